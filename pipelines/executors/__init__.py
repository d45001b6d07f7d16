"""Where tasks run: this process, worker processes, a dask cluster."""
