"""One torch and one OpenCV thread a test process: parallelism is processes here as in the pipeline."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pipelines.executors.worker_process import prepare_process

prepare_process()
