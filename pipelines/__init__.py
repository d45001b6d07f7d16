"""The pipeline: the DAG of stages, its executors, and the command line."""
