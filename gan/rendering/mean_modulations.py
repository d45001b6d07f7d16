"""The mean person of a generator: what truncation pulls towards.

Suffixes: N draws, K values of a code or of a modulation.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from gan.config import NOISE_CODE
from gan.rendering.generator import Generator
from gan.rendering.truncation import PSI, Truncation

DRAWS = 10_000  # the released code's number


@torch.inference_mode()
def mean_modulations(
    generator: Generator, z_id_NK: Float[Tensor, "n 80"], seed: int, draws: int = DRAWS, psi: float = PSI
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
