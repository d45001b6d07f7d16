"""What a device says of a step: asked once, when the step is done.

Reading a number makes the program wait for the device. A step that is not finite must reach no weight; so on a GPU its
optimiser is told not to step by the device itself, as torch's loss scaler does, and the program hears of it afterwards.
"""

import torch
from torch import Tensor

from gan.networks.device_work import fixed_shapes
from gan.training.errors import Diverged
from gan.training.state import TrainState

CRITICS = ("critic", "r1", "sign")  # names of the critics' losses begin so


def read(state: TrainState, losses: dict[str, Tensor]) -> dict[str, float]:
    """Return losses and gradient norms as numbers; raises Diverged where one is not finite.

    In float16 a step that overflows is left out, and said to be skipped.
    """
    values = torch.stack([value.double() for value in losses.values()]).tolist()
    said = dict(zip(losses, values, strict=True))
    for who in ("critic", "generator"):
        mine = {name: said[name] for name in said if name.startswith(CRITICS) == (who == "critic")}
        bad = [name.removeprefix(f"{who}_") if name == f"{who}_gradient" else name for name in mine if _bad(said[name])]
        if not bad:
            continue
        if not state.scaler.is_enabled() or state.scaler.get_scale() <= 1:
            raise Diverged(f"after {state.images_seen:,} images the {who}'s {', '.join(bad)} is not finite", who)
        said = {name: value for name, value in said.items() if not _bad(value) and name != f"{who}_gradient"}
        said[f"{who}_skipped"] = 1.0
    return said


def step_if_finite(optimiser: torch.optim.Adam, state: TrainState, losses: dict[str, Tensor]) -> None:
    """Apply unscaled gradients unless a loss, or the gradients' norm among them, is not finite."""
    first = next(iter(losses.values()))
    if not fixed_shapes(first):
        read(state, losses)
    elif optimiser.defaults["fused"] and not state.scaler.is_enabled():  # a scaler does this by itself
        is_finite = torch.stack([value.double() for value in losses.values()]).isfinite().all()
        optimiser.found_inf = (~is_finite).float()  # type: ignore[attr-defined]
    state.scaler.step(optimiser)


def _bad(value: float) -> bool:
    return not abs(value) < float("inf")
