"""Truncation: pull modulations towards their mean over the label prior (spec 2, section 5).

Suffixes: N draws, K values of a code or of a modulation.
"""

import dataclasses
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from gan.config import NOISE_CODE

if TYPE_CHECKING:
    from gan.rendering.generator import Generator

DRAWS = 10_000
PSI = 0.7


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


@torch.inference_mode()
def mean_modulations(
    generator: "Generator", z_id_NK: Float[Tensor, "n 80"], seed: int, draws: int = DRAWS, psi: float = PSI
) -> Truncation:
    """Average over `draws` identities resampled from label rows, each with standard-normal noise, all from `seed`.

    phi's mean is that of the mapping network's output; U's is taken before its last layer and passed through it.
    """
    random = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(z_id_NK), (draws,), generator=random)
    noise_NK = torch.randn(draws, NOISE_CODE, generator=random)
    device = next(generator.parameters()).device
    code_NK = torch.cat([z_id_NK.cpu()[rows], noise_NK], 1).to(device)
    sr = generator.sr_net.mapping_network
    return Truncation(
        generator.radiance_net.mapping_network(code_NK).mean(0),
        sr.last(sr.hidden(code_NK).mean(0)),
        psi,
    )
