"""Evaluations from a checkpoint and a data set to pages, with everything a number depends on beside it."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dataprep.errors import ConfigError
from dataprep.models.face.face_files import STANDIN
from gan.checkpoint import Bases, read_checkpoint
from gan.data.mirror import mirror_image
from gan.data.shards import ShardDataset
from gan.errors import BasisError
from gan.evaluation import jobs, measure
from gan.evaluation.compare_runs import comparison
from gan.evaluation.control import UNITS, ControlError, angle_deg
from gan.evaluation.evaluation_files import NUMBERS_FILE, read_numbers, summary_lines, write_report
from gan.evaluation.evaluation_run import Options, evaluate
from gan.evaluation.fakes import Sizes
from gan.evaluation.feature_networks import offline_networks
from gan.evaluation.jobs import FakeJob, FakeSource, NoiseJob, RealJob, jittered, known_of_labels
from gan.evaluation.reals import choose_reals
from gan.evaluation.result_chunks import ResultChunks, compute

SIZES = Sizes(16, 16, False)


def silent(what: str, total: int):
    return lambda images: None


def options(checkpoint: Path, data: Path, folder: Path, **changes) -> Options:
    plain = Options(checkpoint, (data,), folder / "report", count=20, control=0, people=0, cache=folder / "cache")
    return dataclasses.replace(plain, **changes)


@pytest.fixture(scope="module")
def whole(checkpoint: Path, data: Path, tmp_path_factory: pytest.TempPathFactory):
    chosen = options(checkpoint, data, tmp_path_factory.mktemp("whole"))
    outcome = evaluate(chosen, silent)
    write_report(chosen, outcome)
    return chosen, outcome


def test_every_number_carries_its_protocol(whole, data: Path):
    _, outcome = whole
    own = [one for one in outcome.measurements if one.of == measure.GENERATOR]
    assert {(one.protocol.metric, one.protocol.view) for one in own} == {
        (metric, view)
        for metric in ("frechet_span", "kernel_span x100", "frechet_srvgg", "kernel_srvgg x100")
        for view in ("portrait", "face")
    }
    count = len(ShardDataset([data], "train", 16, 16))
    for one in own:
        said = one.protocol.line()
        for part in (f"{count} real, 20 fake", "16 px", "area average", "flips: none", "seed 0", "psi 1"):
            assert part in said
        assert one.protocol.real_sha256[:12] in said
        assert one.protocol.weights_sha256[:12] in said
        assert np.isfinite(one.value)
    assert {one.of for one in outcome.measurements} == {measure.GENERATOR, measure.NOISE, measure.HALVES}


def test_a_stopped_evaluation_ends_as_the_undisturbed_one(whole, checkpoint: Path, data: Path, tmp_path: Path):
    chosen, outcome = whole
    again = options(checkpoint, data, tmp_path)
    shutil.copytree(chosen.out / "features", again.out / "features")
    lost = sorted(again.out.rglob("*.npz"))
    assert len(lost) == 2
    lost[1].unlink()
    assert [one.value for one in evaluate(again, silent).measurements] == [one.value for one in outcome.measurements]


@pytest.mark.slow
def test_a_thousand_pictures_by_one_process_or_two(checkpoint: Path, data: Path, tmp_path: Path):
    """One is stopped on its way; features are equal to the last bit."""

    class Stopped(Exception):
        pass

    def stops(images: int) -> None:
        heard.append(images)
        if sum(heard) > 300:
            raise Stopped

    heard: list[int] = []
    reals = choose_reals(ShardDataset([data], "train", 16, 16), [data], "train", None, 0)
    job = FakeJob(FakeSource(checkpoint, "x", reals, 0, 1.0, None), offline_networks())
    with pytest.raises(Stopped):
        compute(ResultChunks(tmp_path / "one", job), 1000, 1, stops)
    one, two = (
        compute(ResultChunks(tmp_path / name, job), 1000, workers) for name, workers in (("one", 1), ("two", 2))
    )
    assert one.keys() == two.keys()
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)


def test_files_for_people_and_programs(whole):
    chosen, outcome = whole
    content, rows = read_numbers(chosen.out)
    assert rows == outcome.measurements
    assert content["checkpoint_sha256"] == outcome.checkpoint_sha256
    page = (chosen.out / "index.html").read_text()
    for said in (
        "frechet_span",
        "frechet_srvgg",
        outcome.reals.sha256[:12],
        "not comparable",
        "7.64",
        "mean portrait plus noise",
    ):
        assert said in page
    assert "FID<" not in page.split("for reference")[0]  # without its weights there is no FID of ours
    assert (chosen.out / "summary.png").stat().st_size > 1000
    assert len(summary_lines(content)) == 9  # a head, and two distances of two views by two networks


def test_too_few_read_faces_are_said_instead_of_numbers(whole, tmp_path: Path):
    chosen, outcome = whole
    nan = float("nan")
    few = ControlError(nan, nan, nan, 1.0, None, read=9, of=40)
    enough = ControlError(3.0, 3.0, 4.0, 2.0, None, read=20, of=40)
    outcome = dataclasses.replace(outcome, reader="a reader", control={"expression_mm": few, "head_deg": enough})
    write_report(dataclasses.replace(chosen, out=tmp_path), outcome)
    content, _ = read_numbers(tmp_path)
    assert content["control"]["errors"]["expression_mm"]["mean"] is None
    *_, expression, head = summary_lines(content)
    assert "no number, read 9 of 40" in expression
    assert "at least 10" in expression
    assert "obeyed 25 %" in head
    assert "at least 10 must be read" in (tmp_path / "index.html").read_text()
    assert "at least 10 must be read" not in (chosen.out / "index.html").read_text()
    assert comparison([tmp_path])[-2:] == [["expression_mm (obeyed)", "-"], ["head_deg (obeyed)", "3 (25 %)"]]


def test_a_generator_whose_faces_cannot_be_found_gets_no_control_number(checkpoint: Path, data: Path, tmp_path: Path):
    """Pictures of 16 px through the real reader: everything that is measured, and of control only the reason."""
    chosen = options(checkpoint, data, tmp_path, control=12, people=1)
    write_report(chosen, evaluate(chosen, silent))
    content, _ = read_numbers(chosen.out)
    for error in (*content["control"]["errors"].values(), *content["control"]["drift"].values()):
        assert error["read"] < 10
        assert not any(isinstance(value, float) for value in error.values())
    assert content["control"]["floor_drift_mm"] == {}
    assert sum("at least 10 must be read" in line for line in summary_lines(content)) == len(UNITS)


def test_runs_share_a_line_only_with_one_protocol(whole, tmp_path: Path):
    chosen, _ = whole
    content = json.loads((chosen.out / NUMBERS_FILE).read_text())
    for one in content["distances"]:
        one["protocol"] |= {"n_fake": 24, "weights": "the same under another name"}
    (tmp_path / NUMBERS_FILE).write_text(json.dumps(content))
    table = comparison([chosen.out, tmp_path, chosen.out])
    assert table[0] == ["metric", *(f"{chosen.run.name} #{i}" for i in (1, 2, 3))]
    first = next(row for row in table if row[0] == "frechet_span, portrait 16 px")
    assert first[1] == first[3]
    assert first[2] == "other n_fake"
    with pytest.raises(ConfigError, match="shhq-hs evaluate"):
        comparison([tmp_path / "nowhere"])


def test_real_features_are_those_of_the_pictures_as_they_are(data: Path, tmp_path: Path):
    """Not mirrored, in order, whatever the seed; another picture is another set."""
    dataset = ShardDataset([data], "train", 16, 16)
    reals = choose_reals(dataset, [data], "train", None, seed=5)
    arrays = compute(ResultChunks(tmp_path, RealJob(reals, SIZES, offline_networks())), len(reals), 1)
    network = offline_networks()[0].open()
    plain = np.stack([dataset[i].portrait for i in range(len(dataset))])
    np.testing.assert_allclose(arrays["frechet_span/portrait"], network(plain), atol=1e-5)
    flipped = network(np.stack([mirror_image(one) for one in plain]))
    assert not np.allclose(flipped, network(plain), atol=1e-3)
    some = choose_reals(dataset, [data], "train", 5, seed=5)
    assert len(some) == 5
    assert list(some.rows) == sorted(some.rows)
    assert some.sha256 != reals.sha256
    with pytest.raises(ConfigError, match="--real 1000"):
        choose_reals(dataset, [data], "train", 1000, seed=5)


def test_the_bar_is_the_mean_with_noise(data: Path):
    reals = choose_reals(ShardDataset([data], "train", 16, 16), [data], "train", None, 0)
    draw = NoiseJob(reals, SIZES, (), seed=1).pictures()
    noise, same, later = draw(range(200)), draw(range(5)), draw(range(5, 6))
    np.testing.assert_array_equal(noise.portrait_NHW3[:5], same.portrait_NHW3)
    np.testing.assert_array_equal(noise.portrait_NHW3[5:6], later.portrait_NHW3)
    real = reals.pictures(reals.open(SIZES), range(len(reals))).portrait_NHW3.astype(float)
    inside = (real.mean(0) > 20) & (real.mean(0) < 235)  # where nothing is cut off
    np.testing.assert_allclose(noise.portrait_NHW3.mean(0)[inside], real.mean(0)[inside], atol=3)
    np.testing.assert_allclose(noise.portrait_NHW3.std(0)[inside], real.std(0)[inside], atol=3)


def test_jitter_is_undone_in_the_shoulders():
    """A dot is moved with the picture; taken back, it is where it was."""
    image = np.full((1, 100, 100, 3), 255, np.uint8)
    image[0, 60:64, 30:34] = 0
    moved, moves = jittered(image, range(7, 8), 0)
    y, x = (255.0 - moved[0, :, :, 0]).nonzero()
    weight = (255.0 - moved[0, :, :, 0])[y, x]
    at = np.array([np.average(x + 0.5, weights=weight), np.average(y + 0.5, weights=weight)]) / 100
    assert np.linalg.norm(at - [0.32, 0.62]) > 0.005
    np.testing.assert_allclose(jobs._unmoved(at[None, None], moves)[0, 0], [0.32, 0.62], atol=0.002)


def test_other_models_and_missing_files_are_named(checkpoint: Path, data: Path, bases: Bases, tmp_path: Path):
    content = torch.load(checkpoint, weights_only=True)
    content["bases"]["face_sha256"] = "0" * 64
    torch.save(content, tmp_path / "generator.pt")
    assert read_checkpoint(tmp_path / "generator.pt").bases != bases
    with pytest.raises(BasisError, match="was trained on labels of"):
        evaluate(options(tmp_path, data, tmp_path), silent)
    with pytest.raises(ConfigError, match=r"no generator\.pt there"):
        evaluate(options(tmp_path / "nowhere", data, tmp_path), silent)
    with pytest.raises(ConfigError, match="at least two pictures"):
        options(checkpoint, data, tmp_path, count=1)


def test_exact_labels_are_what_a_generator_would_be_commanded(checkpoint: Path, data: Path) -> None:
    """What real pictures show by their labels is what codes of the same rows ask for."""
    reals = choose_reals(ShardDataset([data], "train", 16, 16), [data], "train", 4, 0)
    source = FakeSource(checkpoint, "x", reals, 0, 1.0, None)
    rows, known = known_of_labels(source, STANDIN)
    labels = ShardDataset([data], "train").labels.take(list(reals.rows))
    np.testing.assert_array_equal(rows, np.arange(len(reals)))
    np.testing.assert_allclose(known.z_exp_NK, labels.bfm_exp)
    np.testing.assert_allclose(known.z_id_NK, labels.bfm_id)
    turned = angle_deg(known.head_N33[:1].repeat(len(reals), 0), known.head_N33)
    assert turned[1:].max() > 1, "each row's own head"
    assert np.isfinite(known.shoulders_N22).all()
