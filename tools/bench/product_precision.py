"""How far pictures and gradients are off with rounded products: `python -m tools.bench.product_precision`.

People of the shipped generator, on a CPU, which rounds by hand as tensor cores do; against float32.
"""

import argparse

import torch
from torch import Tensor

from gan.generator_files import open_checkpoint, open_generator
from gan.networks.arithmetic import Arithmetic, computing
from gan.rendering.generator import Generator, Identity

NETWORKS = {"phi": "radiance_net", "M": "sample_net", "D_e": "deform_net"}


def seen(generator: Generator, seed: int, how: Arithmetic) -> tuple[Tensor, dict[str, Tensor]]:
    """Return a random person's portrait in [-1, 1], and the gradients of a weighted sum of it, by network."""
    random = torch.Generator().manual_seed(seed)
    draw = lambda *shape, std=1.0: torch.randn(*shape, generator=random) * std  # noqa: E731
    generator.zero_grad()
    with computing(how):
        z_id_1K = draw(1, 80)
        identity = Identity(z_id_1K, draw(1, 10), generator.radiance_maps(z_id_1K, draw(1, 80), high=False))
        camera_12 = torch.pi / 2 + draw(1, 2, std=0.15)
        image = generator.render(identity, draw(1, 64), draw(1, 6, 3, std=0.1), camera_12).image_low_B3HW
        (image * draw(*image.shape)).sum().backward()
    found = {who: [p.grad.flatten() for p in getattr(generator, net).parameters()] for who, net in NETWORKS.items()}
    return image.detach(), {who: torch.cat(parts) for who, parts in found.items()}


def main(arguments: list[str] | None = None) -> None:
    """Print one line for each kind of products."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.product_precision", description=__doc__)
    parser.add_argument("--people", type=int, default=4, metavar="N", help="random people (default 4)")
    people = parser.parse_args(arguments).people
    generator = open_generator(open_checkpoint(None), [], None, None)
    for network in NETWORKS.values():
        getattr(generator, network).requires_grad_()
    exact = [seen(generator, seed, Arithmetic()) for seed in range(people)]
    for products in ("tf32", "bfloat16"):
        squares, errors = [], dict.fromkeys(NETWORKS, 0.0)
        for seed, (image, gradients) in enumerate(exact):
            other, rounded = seen(generator, seed, Arithmetic(products=products))
            squares.append((image - other).square().mean())
            for who, gradient in gradients.items():
                errors[who] += float((rounded[who] - gradient).norm() / gradient.norm()) / people
        psnr_db = 10 * float(torch.log10(4 / torch.stack(squares).mean()))
        told = "  ".join(f"gradients of {who} {error:.2%} off" for who, error in errors.items())
        print(f"{products:<9} portrait {psnr_db:.1f} dB  {told}", flush=True)


if __name__ == "__main__":
    main()
