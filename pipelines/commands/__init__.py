"""The verbs of `shhq-hs`: what each does, from its options to what is said."""
