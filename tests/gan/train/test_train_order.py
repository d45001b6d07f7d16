"""The order of samples depends on the seed and on one integer, and on nothing else."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from dataprep.errors import ConfigError, ShardsMissing
from gan.data.mirror import Mirror
from gan.data.sampler import PositionSampler, draw_at
from gan.data.shards import ShardDataset
from gan.data.stream import real_batches, to_unit_range
from tests.gan.train.shard_tools import set_column

WEIGHTS = np.array([1.0, 4, 1, 1, 2, 10, 1])

NO_COEFFICIENTS = Mirror(None, None, None)


def drawn(count: int, **kwargs: int) -> list:
    return list(itertools.islice(PositionSampler(7, 5, **kwargs), count))


def test_every_epoch_is_another_permutation() -> None:
    rows = [draw.row for draw in drawn(21)]
    epochs = [rows[i : i + 7] for i in (0, 7, 14)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert rows != [draw.row for draw in itertools.islice(PositionSampler(7, 6), 21)]


@pytest.mark.parametrize("world", [1, 2, 3, 4, 6])
def test_a_step_holds_the_same_samples_for_any_number_of_ranks(world: int) -> None:
    """Global batch 12, two steps, resumed in the middle of an epoch."""
    for step in range(2):
        seen = 24 + 12 * step
        parts = [drawn(12 // world, images_seen=seen, rank=rank, world=world) for rank in range(world)]
        assert sorted(itertools.chain(*parts)) == drawn(12, images_seen=seen)


def test_resuming_continues_exactly() -> None:
    whole = drawn(40)
    for seen in (1, 7, 20, 39):
        assert drawn(40 - seen, images_seen=seen) == whole[seen:]
    assert draw_at(7, 5, 39) == whole[39]


def test_impossible_samplers_are_refused() -> None:
    for wrong in ({"rank": 2, "world": 2}, {"images_seen": -1}):
        with pytest.raises(ConfigError):
            PositionSampler(7, 5, **wrong)
    with pytest.raises(ConfigError):
        PositionSampler(0, 5)


def batches(dataset: ShardDataset, count: int, **kwargs: int) -> list:
    options = {"images_seen": 0, "batch": 2} | kwargs
    return list(itertools.islice(real_batches(dataset, 9, mirror=NO_COEFFICIENTS, **options), count))


def test_loader_workers_and_micro_batches_do_not_change_the_stream(built: Path) -> None:
    dataset = ShardDataset([built], portrait_px=32, face_px=16)
    plain = batches(dataset, 8)
    resumed = batches(dataset, 2, images_seen=8, batch=4, workers=2)
    for name in ("position_B", "portrait_B3HW", "face_B3HW", "camera_B2", "face_camera_B2"):
        whole = torch.cat([getattr(batch, name) for batch in plain])
        later = torch.cat([getattr(batch, name) for batch in resumed])
        assert torch.equal(whole[8:], later)
    ranks = [batches(dataset, 2, rank=rank, world=2, workers=rank) for rank in range(2)]
    positions = torch.stack([torch.cat([batch.position_B for batch in rank]) for rank in ranks])
    assert positions.tolist() == [[0, 2, 4, 6], [1, 3, 5, 7]]
    portrait = torch.stack([torch.cat([batch.portrait_B3HW for batch in rank]) for rank in ranks], 1).flatten(0, 1)
    assert torch.equal(portrait, torch.cat([batch.portrait_B3HW for batch in plain[:4]]))


def test_a_run_goes_on_with_other_ranks_and_workers(built: Path) -> None:
    """Six pictures by two ranks, the next six by three, one of them with a loader process: those of one rank."""
    dataset = ShardDataset([built], portrait_px=32, face_px=16)
    seen: dict[int, torch.Tensor] = {}
    for images_seen, world in ((0, 2), (6, 3)):
        for rank in range(world):
            share = {"images_seen": images_seen, "batch": 1, "rank": rank, "world": world, "workers": int(rank == 2)}
            for batch in batches(dataset, 6 // world, **share):
                seen[int(batch.position_B)] = batch.portrait_B3HW
    assert sorted(seen) == list(range(12))
    alone = torch.cat([batch.portrait_B3HW for batch in batches(dataset, 6)])
    assert torch.equal(torch.cat([seen[position] for position in range(12)]), alone)


def test_mirrored_pictures_carry_mirrored_cameras(built: Path) -> None:
    """About half of the positions are mirrored, picture and label together."""
    dataset = ShardDataset([built], portrait_px=32, face_px=16)
    mirrored = 0
    for batch in batches(dataset, 16):
        for position, portrait, face, camera in zip(
            batch.position_B.tolist(), batch.portrait_B3HW, batch.face_B3HW, batch.camera_B2, strict=True
        ):
            sample = dataset[draw_at(len(dataset), 9, position).row]
            label = dataset.labels.camera_pitch_yaw[sample.row]
            flipped = not np.array_equal(portrait.permute(1, 2, 0), sample.portrait)
            mirrored += flipped
            expected = sample.portrait[:, ::-1] if flipped else sample.portrait
            np.testing.assert_array_equal(portrait.permute(1, 2, 0), expected)
            np.testing.assert_array_equal(face.permute(1, 2, 0), sample.face[:, ::-1] if flipped else sample.face)
            np.testing.assert_allclose(camera, [label[0], np.pi - label[1]] if flipped else label, rtol=1e-6)
    assert 8 <= mirrored <= 24


def test_unit_range() -> None:
    image = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    assert to_unit_range(image)[0, 0, 0].tolist() == [-1.0, 1.0]


def weighted(count: int, **kwargs: int) -> list:
    return list(itertools.islice(PositionSampler(7, 5, weights=WEIGHTS, **kwargs), count))


def test_weighted_rows_are_drawn_by_their_share_in_every_epoch() -> None:
    rows = np.array([draw.row for draw in weighted(700)]).reshape(100, 7)
    share = WEIGHTS * 7 / WEIGHTS.sum()
    counts = np.stack([np.bincount(epoch, minlength=7) for epoch in rows])
    assert (np.abs(counts - share) < 1).all()
    np.testing.assert_allclose(counts.mean(axis=0), share, atol=0.15)
    assert len({tuple(epoch) for epoch in rows}) > 80


@pytest.mark.parametrize("world", [1, 2, 3])
def test_weighted_draws_resume_exactly_on_any_number_of_ranks(world: int) -> None:
    whole = weighted(40)
    for seen in (6, 12, 30):
        assert weighted(40 - seen, images_seen=seen) == whole[seen:]
        parts = [weighted(6 // world, images_seen=seen, rank=rank, world=world) for rank in range(world)]
        assert sorted(itertools.chain(*parts)) == sorted(whole[seen : seen + 6])


@pytest.mark.parametrize("wrong", [np.ones(6), np.array([1, 1, 1, 1, 1, 1, 0.0]), np.full(7, np.nan)])
def test_wrong_weights_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="weights for 7 samples"):
        PositionSampler(7, 5, weights=wrong)


def test_weights_come_from_the_shards_and_reach_the_stream(built: Path, copy: Path) -> None:
    dataset = ShardDataset([built])
    weights = dataset.sampling_weights()
    assert weights.mean() == pytest.approx(1, abs=1e-6)
    steep = np.where(np.arange(len(weights)) == 0, 20.0, 1.0)
    stream = itertools.islice(real_batches(dataset, 9, 0, 2, weights=steep), 2 * len(weights))
    rows = torch.cat([batch.row_B for batch in stream]).numpy()
    assert (rows == 0).mean() > 0.5
    set_column(copy / "shards", "train-00000", "sampling_weight", [None] * len(weights))
    with pytest.raises(ShardsMissing, match="balance=yes"):
        ShardDataset([copy]).sampling_weights()
