"""The command line, one file a verb: what it takes, what its help says, and what it loads when it is asked for."""
