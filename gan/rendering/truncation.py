"""Truncation: pull modulations towards their mean over the label prior (`mean_modulations` takes it).

Suffixes: B pictures, K values of a modulation.
"""

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

PSI = 0.7  # the released code's


@dataclasses.dataclass(frozen=True, eq=False)
class Truncation:
    """Mean raw modulations of phi and U, and how far to stay from them (psi 1: no truncation, 0: the mean person)."""

    radiance_K: Tensor
    sr_K: Tensor
    psi: float = PSI

    def key(self) -> tuple[float, bytes, bytes]:
        """Return what tells two truncations apart."""
        return self.psi, self.radiance_K.numpy(force=True).tobytes(), self.sr_K.numpy(force=True).tobytes()

    def towards_mean(self, value_BK: Float[Tensor, "b k"], mean_K: Float[Tensor, " k"]) -> Float[Tensor, "b k"]:
        return torch.lerp(mean_K, value_BK, self.psi)
