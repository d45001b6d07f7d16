"""Which label rows may be drawn: one rule, and everybody who draws, counts or flags rows follows it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataprep.errors import ConfigError
from dataprep.report.census import Census
from dataprep.report.prior import prior
from dataprep.tables.labels import PriorGroup, drawn
from dataprep.tables.outliers import (
    distance_by_parts,
    drawable_rows,
    label_outliers,
    require_rows,
    robust_distance,
    usual_rows,
)
from gan.animation.animate_labels import open_labels
from gan.data.priors import LabelPrior
from gan.data.shards import ShardDataset
from pipelines.engine.dag import assemble
from pipelines.paper_stages import build
from tests import fake_dataset

BAD = {  # photo -> its label that was misjudged, by so much
    "photo0002.jpg": ("bfm_exp", 12.0),
    "photo0005.jpg": ("bfm_exp", 6.0),  # beyond the cut, far from eight deviations
    "photo0007.jpg": ("smpl_betas", 30.0),
    "photo0011.jpg": ("face_pitch_yaw", 30.0),
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of forty, of whom four have one misjudged label; some lie in the validation split."""
    folder, known = tmp_path_factory.mktemp("judged"), fake_dataset._known

    def misjudged(source: Any, part: int, pictures: Any, rng: np.random.Generator) -> dict[str, Any]:
        row = known(source, part, pictures, rng)
        quiet = np.random.default_rng(int(source.sample_id[:8], 16))
        for label in drawn():
            value = quiet.normal(0, 0.1, label.shape)
            name, factor = BAD.get(source.path, ("", 1.0))
            row[label.name] = value * factor if label.name == name else value
        return row

    fake_dataset.make_photos(folder / "photos", 40)
    paper = build(["manifest.keep_near_duplicates=true", "manifest.val_fraction=0.2"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_dataset, "_known", misjudged)
        fake_dataset.make_dataset(folder / "photos", folder / "out", {}, dag=assemble(paper.stages, paper.aggregates))
    return folder / "out"


def test_training_animation_report_and_manifest_agree(judged: Path) -> None:
    census, labels, animated = Census(judged), ShardDataset([judged]).labels, open_labels(judged)
    kept = drawable_rows({label.name: getattr(labels, label.name) for label in drawn()})
    left = {group.value: int((~rows).sum()) for group, rows in kept.items()}
    shown = prior(census, 4, 100)
    assert shown is not None
    assert shown.trimmed == left
    assert set(LabelPrior(labels, 0).trimmed.values()) == set(left.values())
    assert np.array_equal(LabelPrior(labels, 0).identities(), animated.identity_N80)
    for group, values, name in (
        (PriorGroup.IDENTITY, animated.betas_N10, "smpl_betas"),
        (PriorGroup.EXPRESSION, animated.expression_E64, "bfm_exp"),
        (PriorGroup.POSE, animated.pose_M63, "joints_zyx"),
        (PriorGroup.POSE, animated.camera_M2, "camera_pitch_yaw"),
    ):
        assert np.array_equal(values, getattr(labels, name)[kept[group]])
    train = [split == "train" for split in census.column("split")]
    flags = np.array(census.column("flag_label_outlier"), bool)
    flagged = {census.ids[i] for i in np.flatnonzero(flags & train)}
    assert flagged == {one.sample_id for one in shown.left_out}
    assert flags[train].sum() == (~np.all(list(kept.values()), axis=0)).sum()


def test_the_misjudged_are_left_out_of_one_group_alone(judged: Path) -> None:
    census = Census(judged)
    paths = dict(zip(census.ids, census.column("source_path"), strict=True))
    shown = prior(census, 4, 100)
    assert shown is not None
    train = {name for name, split in zip(paths.values(), census.column("split"), strict=True) if split == "train"}
    assert {(paths[one.sample_id], one.label) for one in shown.left_out} == {
        (photo, label) for photo, (label, _) in BAD.items() if photo in train
    }
    assert len(train & set(BAD)) >= 3
    flags = dict(zip(paths.values(), census.column("flag_label_outlier"), strict=True))
    assert {photo for photo, flag in flags.items() if flag} == set(BAD)  # validation rows are flagged too


def test_the_distance_is_one_whether_read_at_once_or_by_parts() -> None:
    values = np.random.default_rng(0).standard_normal((50, 37)).astype(np.float32)
    assert np.array_equal(distance_by_parts(lambda some: values[:, some], 37), robust_distance(values))
    assert np.array_equal(robust_distance(values.reshape(50, 37, 1)), robust_distance(values))


def test_the_outlier_is_found_whatever_the_scale() -> None:
    values = np.random.default_rng(0).normal(size=(200, 6)) * [1, 10, 100, 1, 1, 1]
    values[7] *= 12
    distance = robust_distance(values)
    assert distance.argmax() == 7
    assert distance[7] > 8 > np.delete(distance, 7).max()
    np.testing.assert_allclose(robust_distance(values * 5 + 3), distance)


def test_rows_beyond_the_reference_are_measured_by_it() -> None:
    """Median 2 and MAD 1 of the first five; the sixth, at 8, does not enter them; nulls elsewhere do no harm."""
    values = np.array([[0.0], [1], [2], [3], [4], [8], [np.nan]])
    distance = robust_distance(values, np.arange(7) < 5)
    np.testing.assert_allclose(distance[:6], np.abs(values[:6, 0] - 2) / 1.4826)
    assert np.isnan(distance[6])
    splits = ["train"] * 5 + ["val", None]
    flags = label_outliers({"bfm_exp": 2 * values}, splits)
    assert flags.tolist() == [False] * 5 + [True, False]
    assert label_outliers({"bfm_exp": values}, [None] * 7).tolist() == [False] * 7


def test_a_group_without_rows_names_its_labels() -> None:
    kept = usual_rows({"bfm_id": np.array([9.0, 1.0]), "smpl_betas": np.array([1.0, 9.0])})
    assert set(kept) == {PriorGroup.IDENTITY}
    with pytest.raises(ConfigError, match=r"OUT: none of 2 rows has a usual bfm_id \+ smpl_betas.*shhq-hs report"):
        require_rows(kept, "OUT")
