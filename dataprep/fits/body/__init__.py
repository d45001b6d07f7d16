"""Body models fitted to key points: MAP and EFT, the errors of detectors, made-up people to measure with."""
