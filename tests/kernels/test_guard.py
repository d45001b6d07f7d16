"""Where loops in machine code are off, torch computes the same."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numba
import pytest
import torch

from dataprep.kernels import guard, winograd_kernels
from dataprep.kernels.guard import SETTING, why_off
from dataprep.kernels.machine_code import _sources
from dataprep.models.superres.rrdbnet import RRDBNet
from dataprep.models.superres.running import runner
from gan.networks.pointwise import Layer, sum_of_heads


def test_loops_run_with_known_versions_of_numba_only():
    assert guard.ON
    assert why_off(numba.__version__, "") == ""
    assert why_off("0.64.0", "") == why_off("0.68.2rc1", "") == ""
    assert "numba 0.69.0 is not one of those known, 0.64 to below 0.69" in why_off("0.69.0", "")
    assert "not one of those known" in why_off("unknown", "")
    assert why_off("0.70.1", "on") == ""


def test_loops_are_off_without_numba_or_when_asked():
    assert why_off("", "on") == "numba cannot be imported"
    assert why_off("0.68.0", "off") == "SHHQ_HS_KERNELS=off"


@torch.no_grad()
@pytest.mark.parametrize(("setting", "numba_is_there"), [("off", True), ("on", False)])
def test_without_loops_torch_computes_the_same(setting, numba_is_there, tmp_path):
    torch.manual_seed(0)
    network, image, x = RRDBNet(2, 16, 8).eval(), torch.rand(1, 3, 9, 14), torch.randn(1, 20, 3)
    layers, heads = (
        [Layer(torch.randn(1, 6, 3), torch.randn(1, 6), "sine")],
        {0: Layer(torch.randn(1, 2, 6), torch.randn(1, 2))},
    )
    torch.save((network, image, x, layers, heads), tmp_path / "given.pt")
    environment = os.environ | {SETTING: setting}
    program = [sys.executable, "-c", ELSEWHERE, tmp_path, "" if numba_is_there else "hidden"]
    subprocess.run(program, check=True, env=environment, timeout=300)
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    expected = runner(network, torch.device("cpu"), torch.float32)(image), sum_of_heads(x, layers, heads)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-5)


ELSEWHERE = """
import sys
from pathlib import Path
if sys.argv[2]:
    sys.modules["numba"] = None
import torch
from dataprep.kernels import guard
from dataprep.kernels.machine_code import suits
from dataprep.models.superres.running import runner, runs_in_loops
from gan.networks.pointwise import sum_of_heads
from gan.rendering import compositing
folder, cpu = Path(sys.argv[1]), torch.device("cpu")
network, image, x, layers, heads = torch.load(folder / "given.pt", weights_only=False)
assert not guard.ON and guard.REASON_OFF and not runs_in_loops(cpu, torch.float32)
with torch.no_grad():
    assert not suits(x)
    torch.save((runner(network, cpu, torch.float32)(image), sum_of_heads(x, layers, heads)), folder / "found.pt")
"""


def test_code_that_other_files_kept_is_not_read():
    """After an update, classes that numba wrote into its index may be gone; loading them ended every command."""
    kept = winograd_kernels._convolve._cache._cache_file
    assert _sources() in kept._version
    index = Path(kept._index_path)
    old = pickle.dumps(numba.__version__, protocol=-1) + b"cnowhere\nGone\n."
    try:
        before = index.read_bytes() if index.is_file() else None
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_bytes(old)
        assert kept._load_index() == {}
    finally:
        if before is None:
            index.unlink()
        else:
            index.write_bytes(before)
