"""What the verbs of the generator do: train, evaluate, animate."""
