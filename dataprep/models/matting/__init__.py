"""From a coarse mask to a soft alpha that colours and points do not contradict."""
