"""Products of rounded numbers: what is rounded, what is not, and what that does to pictures and gradients."""

import pytest
import torch

from gan.networks.arithmetic import Arithmetic, arithmetic, computing
from gan.networks.products import Products, product, rounded
from gan.rendering.generator import Generator, Identity
from tests.gan.conftest import codes


def test_tf32_keeps_ten_bits_and_bfloat16_seven() -> None:
    values = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    kinds: dict[Products, int] = {"tf32": 10, "bfloat16": 7}
    for how, bits in kinds.items():
        error = (rounded(values, how).float() / values - 1).abs().max()
        assert 0.9 * 2.0 ** -(bits + 1) < error <= 2.0 ** -(bits + 1)
    assert rounded(values, "float32") is values


def test_sums_stay_in_float32() -> None:
    """4,096 and 1 are exact in bfloat16, 4,097 is not."""
    x, weight = torch.tensor([[[4096.0, 1.0]]]), torch.ones(1, 2, 1)
    assert product(x, weight, "bfloat16").item() == 4097


def test_gradients_are_products_of_the_rounded() -> None:
    x, weight = (torch.randn(1, n, m, requires_grad=True) for n, m in ((5, 3), (3, 2)))
    product(x, weight, "bfloat16").square().sum().backward()
    again, of_weight = (rounded(t.detach(), "bfloat16").float().requires_grad_() for t in (x, weight))
    torch.bmm(again, of_weight).square().sum().backward()
    torch.testing.assert_close(x.grad, again.grad, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(weight.grad, of_weight.grad, rtol=2e-2, atol=2e-2)


def rendered(generator: Generator, how: Arithmetic) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a picture and the gradients of phi."""
    generator.zero_grad()
    given = codes(1)
    with computing(how):
        maps = generator.radiance_maps(given["z_id_1K"], given["noise_1K"], high=False)
        identity = Identity(given["z_id_1K"], given["betas_1K"], maps)
        image = generator.render(identity, given["z_exp_BK"], given["pose_BP3"], given["camera_B2"]).image_low_B3HW
        (image * torch.linspace(-1, 1, image.numel()).view_as(image)).sum().backward()
    gradient = [p.grad.flatten() for p in generator.radiance_net.parameters() if p.grad is not None]
    return image.detach(), torch.cat(gradient)


@pytest.mark.parametrize(("products", "differs"), [("tf32", 1e-3), ("bfloat16", 1e-2)])
def test_pictures_and_gradients_differ_a_little(tiny: Generator, products: Products, differs: float) -> None:
    image, gradient = rendered(tiny, Arithmetic())
    other, other_gradient = rendered(tiny, Arithmetic(products=products))
    assert 0 < (image - other).square().mean().sqrt() < differs
    assert 0 < (gradient - other_gradient).norm() / gradient.norm() < 30 * differs
    assert arithmetic() == Arithmetic()


def test_patches_are_rounded_alike_when_computed_again(tiny: Generator) -> None:
    """Also where the backward pass has left the setting behind: the same as without patches."""
    _, gradient = rendered(tiny, Arithmetic(products="bfloat16"))
    _, again = rendered(tiny, Arithmetic(recompute=True, products="bfloat16"))
    torch.testing.assert_close(again, gradient, rtol=1e-4, atol=1e-4)
