"""How far our arrays may be from those recorded of the released code."""

from collections.abc import Iterator

import numpy as np
import torch

# array -> (quantile, absolute tolerance), as recorded with the expected arrays
TOLERANCES = {
    "expected_target_points": [(1.0, 1e-5)],
    "expected_neutral_points": [(0.999, 1e-4)],
    "expected_maps_lr": [(0.99, 1e-3), (0.999, 2e-3)],
    "expected_maps_hr": [(0.999, 1e-3)],
    "expected_image_lr": [(0.999, 1e-3)],
    "expected_image": [(0.5, 1e-4), (0.999, 2e-3)],
    "expected_depth": [(0.999, 1e-4)],
}


def disagreements(name: str, ours: torch.Tensor, expected: torch.Tensor) -> Iterator[str]:
    """Say what of an array is farther off than it may be."""
    if ours.shape != expected.shape:
        yield f"{name} has the shape {tuple(ours.shape)}, expected {tuple(expected.shape)}"
        return
    if not torch.equal(ours.isnan(), expected.isnan()):
        yield f"{name}: NaN in other places"
    for quantile, tolerance in TOLERANCES[name]:
        if (found := np.quantile(_differences(ours, expected), quantile)) > tolerance:
            yield f"{name} at {quantile:.1%} is off by {found:.2g}, at most {tolerance}"


def largest(ours: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest difference where both are numbers."""
    return float(_differences(ours, expected).max())


def _differences(ours: torch.Tensor, expected: torch.Tensor) -> np.ndarray:
    difference = (ours.double() - expected.double()).abs().numpy()
    return difference[~np.isnan(difference)]
