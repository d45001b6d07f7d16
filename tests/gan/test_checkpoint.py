"""Published names and shapes, strictness, and labels that a checkpoint must refuse."""

import pickle
from pathlib import Path

import pytest
import torch

from dataprep.errors import AssetError
from gan.checkpoint import (
    SMPL_BUFFERS,
    Bases,
    load_into,
    load_state,
    published_state,
    read_checkpoint,
    require_bases,
    require_smpl,
    save_checkpoint,
)
from gan.errors import BasisError, CheckpointError
from tests.gan.conftest import HERE, codes, tiny_generator

FREE = Bases("anny-standin", "a" * 64, "anny-face-standin", "b" * 64)
LICENSED = Bases("SMPL_NEUTRAL", "c" * 64, "BFM_model_front", "d" * 64)


def rows() -> dict[str, tuple[int, ...]]:
    lines = (HERE / "parity/official_checkpoint.tsv").read_text().splitlines()[1:]
    parts = [line.split("\t") for line in lines]
    return {name: tuple(int(d) for d in dims.split("x")) for name, dims in parts}


def test_every_published_row_is_ours_by_name_and_shape(published):
    ours = {name: tuple(value.shape) for name, value in published_state(published).items()}
    assert ours == {name: shape for name, shape in rows().items() if not name.startswith(SMPL_BUFFERS)}


def test_published_file_round_trips_with_its_smpl_buffers(published, published_state_arrays, tmp_path):
    """A plain state dict as the authors saved it, SMPL's buffers included, loads without any renaming."""
    buffers = {name: torch.zeros(shape) for name, shape in rows().items() if name.startswith(SMPL_BUFFERS)}
    file = tmp_path / "sshq512.pt"
    torch.save({**published_state_arrays, **buffers}, file)
    checkpoint = read_checkpoint(file)
    assert checkpoint.published
    load_into(published, checkpoint, LICENSED)
    back = published_state(published)
    assert back.keys() == published_state_arrays.keys()
    assert all(torch.equal(back[name], value) for name, value in published_state_arrays.items())


@pytest.mark.parametrize("damage", ["missing", "unknown", "shape"])
def test_a_state_that_does_not_fit_is_refused_by_name(damage):
    generator = tiny_generator()
    state = published_state(generator)
    name = "sample_net.output_layer.bias"
    if damage == "unknown":
        state["sample_net.extra"] = state[name]
    elif damage == "missing":
        del state[name]
    else:
        state[name] = torch.zeros(3)
    with pytest.raises(CheckpointError, match=r"sample_net\.(output_layer\.bias|extra)"):
        load_state(generator, state)


def test_two_different_smoothers_are_refused():
    generator = tiny_generator()
    state = published_state(generator)
    state["renderer.smooth_layer.conv_block1.weight"] = state["smoother.conv_block1.weight"] + 1
    with pytest.raises(CheckpointError, match="one module"):
        load_state(generator, state)


@pytest.mark.parametrize(
    "labels",
    [FREE, Bases("SMPL_NEUTRAL", "c" * 64, "anny-face-standin", "b" * 64), Bases("anny", "a", "BFM_model_front", "d")],
)
def test_published_weights_refuse_labels_of_the_free_tier(published, published_state_arrays, tmp_path, labels):
    torch.save(published_state_arrays, tmp_path / "sshq512.pt")
    with pytest.raises(BasisError, match="expect SMPL and BFM"):
        load_into(published, read_checkpoint(tmp_path / "sshq512.pt"), labels)


def test_our_checkpoint_brings_its_configuration_and_bases(tmp_path):
    generator, file = tiny_generator(seed=3), tmp_path / "ours.pt"
    save_checkpoint(file, generator, FREE)
    checkpoint = read_checkpoint(file)
    assert (checkpoint.config, checkpoint.bases, checkpoint.published) == (generator.config, FREE, False)
    other = tiny_generator(seed=4)
    load_into(other, checkpoint, FREE)
    given = codes(1)
    maps = [g.radiance_maps(given["z_id_1K"], given["noise_1K"]).low_L4HW for g in (generator, other)]
    assert torch.equal(*maps)
    with pytest.raises(BasisError, match="never mix"):
        require_bases(checkpoint, LICENSED)


def test_another_topology_is_refused_with_the_published_weights():
    require_smpl(6890)
    with pytest.raises(AssetError, match="SMPL_NEUTRAL"):
        require_smpl(19158)


class _Hostile:
    def __reduce__(self):
        return Path.touch, (Path("ran"),)


def test_files_that_are_no_checkpoints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="no such"):
        read_checkpoint(tmp_path / "absent.pt")
    (tmp_path / "hostile.pt").write_bytes(pickle.dumps({"weight": _Hostile()}, protocol=2))
    with pytest.raises(CheckpointError, match="safely"):
        read_checkpoint(tmp_path / "hostile.pt")
    assert not (tmp_path / "ran").exists()
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="expected a state dict"):
        read_checkpoint(tmp_path / "list.pt")
