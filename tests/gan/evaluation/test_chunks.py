"""Results by index: resumed, shared by processes, and never of another job."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dataprep.errors import StoreError
from gan.evaluation.result_chunks import CHUNK, ResultChunks, compute, gpu_of, spans


class Ended(Exception):
    """Stands for the end of the process."""


@dataclass(frozen=True)
class Sums:
    """Sums whose rounding depends on the number of threads."""

    seed: int = 1
    dies_at: int = -1

    def key(self) -> dict[str, Any]:
        return {"seed": self.seed}

    def open(self):
        def run(span: range) -> dict[str, np.ndarray]:
            if self.dies_at in span:
                raise Ended
            random = [torch.Generator().manual_seed(self.seed * 100_003 + index) for index in span]
            images = torch.stack([torch.randn(3, 32, 32, generator=one) for one in random])
            kernel = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(self.seed))
            sums = torch.nn.functional.conv2d(images, kernel).square().mean((2, 3))
            return {"sums": sums.numpy(), "index": np.array(span)}

        return run


def test_one_process_or_two_and_a_stop_between_give_the_same_numbers(tmp_path: Path):
    total = 1000
    whole = compute(ResultChunks(tmp_path / "one", Sums()), total, workers=1)
    with pytest.raises(Ended):
        compute(ResultChunks(tmp_path / "two", Sums(dies_at=300)), total, workers=1)
    left = ResultChunks(tmp_path / "two", Sums()).missing(total)
    assert 0 < len(left) < len(spans(total))
    heard: list[int] = []
    shared = compute(ResultChunks(tmp_path / "two", Sums()), total, workers=2, done=heard.append)
    assert heard[0] == 18 * CHUNK  # what lay there already
    assert sum(heard) == total
    assert whole["index"].tolist() == list(range(total))
    for name, values in whole.items():
        assert values.tobytes() == shared[name].tobytes()


def test_other_settings_are_another_job(tmp_path: Path):
    first = compute(ResultChunks(tmp_path, Sums(seed=1)), 20, workers=1)
    second = compute(ResultChunks(tmp_path, Sums(seed=2)), 20, workers=1)
    assert not np.array_equal(first["sums"], second["sums"])
    assert len(list(tmp_path.iterdir())) == 2


def test_more_pictures_keep_the_whole_chunks_of_fewer(tmp_path: Path):
    compute(ResultChunks(tmp_path, Sums()), CHUNK + 4, workers=1)
    assert ResultChunks(tmp_path, Sums()).missing(2 * CHUNK) == [range(CHUNK, 2 * CHUNK)]


def test_a_damaged_file_is_named(tmp_path: Path):
    chunks = ResultChunks(tmp_path, Sums())
    compute(chunks, CHUNK, workers=1)
    path = chunks.path(range(CHUNK))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StoreError, match="delete it and evaluate again"):
        compute(chunks, CHUNK, workers=1)


def test_every_process_has_a_gpu_as_long_as_there_are_enough():
    assert [gpu_of(number, gpus=4) for number in range(6)] == [0, 1, 2, 3, 0, 1]
