"""Networks that others trained, by their shapes: the numbers of float64 on a CPU, and how many pictures a second."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from dataprep.errors import AssetError
from dataprep.models.regressors.hmr import Hmr
from dataprep.models.regressors.rnet import RNet
from dataprep.models.superres.enlarging import Upscaler
from gan.evaluation.inception import Inception
from tools.gpu_check.trial import NotHere, Numbers, Trial, allow_tf32, off_by, require, seconds_of

OFF = 1e-3  # of the outputs' norm, float32 against float64
LEAST_PSNR = 35.0  # dB, of an enlarged picture in half precision against float32 on a CPU
HMR_PX, INCEPTION_PX = 224, 299
PICTURES = {"tiny": 1, "paper": 64}


def hmr(trial: Trial) -> Numbers:
    """Estimate bodies with random weights of HMR's shape."""
    return _compared(trial, Hmr, lambda network, images: torch.cat(
        [part.flatten(1) for part in network.estimate(images)], 1), HMR_PX)  # type: ignore[operator]  # fmt: skip


def rnet(trial: Trial) -> Numbers:
    """Read faces with random weights of R-Net's shape."""
    return _compared(trial, RNet, lambda network, images: network(images), HMR_PX)


def inception(trial: Trial) -> Numbers:
    """Take features with random weights of Inception's shape."""
    return _compared(trial, Inception, lambda network, images: network(images), INCEPTION_PX)


@torch.inference_mode()
def _compared(
    trial: Trial, make: Callable[[], nn.Module], run: Callable[[nn.Module, Tensor], Tensor], side_px: int
) -> Numbers:
    allow_tf32(False)
    torch.manual_seed(0)
    network = make().eval()
    one_13HW = torch.randn(1, 3, side_px, side_px)
    reference = run(network.double(), one_13HW.double())
    network.float().to(trial.where)
    numbers: Numbers = {"off_by": off_by(run(network, one_13HW.to(trial.where)), reference)}
    allow_tf32(trial.tf32)
    images = one_13HW.expand(PICTURES[trial.size], -1, -1, -1).to(trial.where)
    if not trial.is_tiny:
        run(network, images)  # kernels are chosen
    numbers["images_per_second"] = len(images) / seconds_of(lambda: run(network, images), trial.where)
    return require({f"it is off by {numbers['off_by']:.1e}, at most {OFF}": float(numbers["off_by"]) <= OFF}, numbers)


def superres(trial: Trial) -> Numbers:
    """Enlarge pictures with ESRGAN (tiny: with SPAN), and one of them on the CPU in float32, too."""
    allow_tf32(trial.tf32)
    model, side, count = ("span", 24, 1) if trial.is_tiny else ("x4plus", 128, 32)
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    picture = np.kron(coarse, np.ones((side // 4, side // 4, 1), np.uint8))
    try:
        ours = Upscaler(model, device=trial.device, precision="bfloat16" if not trial.is_gpu else "auto")
        enlarged = ours.all_of([picture] * count)
    except AssetError as error:
        raise NotHere(str(error)) from error
    part = Upscaler(model, device="cpu", precision="float32")(picture)
    error_of = float(((part.astype(float) - enlarged[0].astype(float)) ** 2).mean())
    numbers: Numbers = {
        "model": model,
        "precision": ours.precision,
        "pictures_px": side,
        "images_per_second": count / seconds_of(lambda: ours.all_of([picture] * count), trial.where),
        "psnr_db": 10 * float(np.log10(255**2 / error_of)) if error_of else 999.0,
    }
    holds = {f"{numbers['psnr_db']:.1f} dB is at least {LEAST_PSNR:.0f}": float(numbers["psnr_db"]) >= LEAST_PSNR}
    return require(holds, numbers)
