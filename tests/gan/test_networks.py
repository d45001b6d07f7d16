"""The five networks: what they promise beyond numbers, and their gradients in float64."""

import torch
import torch.nn.functional as F

from gan.config import COORDINATE_SCALE
from gan.networks.expression_deformation import ExpressionDeformation
from gan.networks.film import FiLMLayer, MappingNet, film_style
from gan.networks.manifold_predictor import ManifoldPredictor
from gan.networks.manifold_superres import ManifoldSuperResolution
from gan.networks.pose_deformation import PoseSmoothing
from gan.networks.radiance_generator import RadianceGenerator
from gan.rendering.compositing import composite
from gan.rendering.level_sets import at_crossings, find_crossings


def test_film_layer_is_the_sine_of_the_equation():
    layer, x = FiLMLayer(5, 4), torch.randn(2, 7, 5)
    frequency, phase = torch.randn(2, 4) * 15 + 30, torch.randn(2, 4)
    expected = torch.sin(frequency[:, None] * layer.layer(x) + phase[:, None])
    torch.testing.assert_close(layer.modulated(frequency, phase)(x), expected, atol=1e-5, rtol=0)


def test_film_style_scales_frequencies_once():
    style = film_style(torch.tensor([[1.0, 0, -1, 2, 5, 6, 7, 8]]), layers=2)
    assert style.frequency_BLC.tolist() == [[[45, 30], [15, 60]]]
    assert style.phase_BLC.tolist() == [[[5, 6], [7, 8]]]


def test_mapping_net_starts_small():
    torch.manual_seed(0)
    net = MappingNet(8, 16, 10)
    assert net.last.weight.std() < 0.5 * net.network[4].weight.std()
    code = torch.randn(3, 8)
    torch.testing.assert_close(net.last(net.hidden(code)), net(code))


def test_deformation_starts_as_nothing_and_ignores_a_zero_reference():
    torch.manual_seed(0)
    net = ExpressionDeformation(width=16)
    style, points = net.style(torch.randn(2, 80), torch.randn(2, 64)), torch.randn(2, 9, 3) * 0.1
    assert torch.equal(net(points, style), torch.zeros(2, 9, 3))
    torch.nn.init.normal_(net.final_layer.weight)
    torch.testing.assert_close(net(points, style), net(points, style, torch.zeros(2, 9, 4)), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(net(points, style), net(points, style, torch.ones(2, 9, 4)))


def test_field_grows_with_distance_at_the_start():
    torch.manual_seed(0)
    field, direction = ManifoldPredictor(), F.normalize(torch.randn(50, 3), dim=1)
    centre = torch.tensor([0, 0, -1.5]) / COORDINATE_SCALE
    near, far = (field(centre + direction * r) for r in (0.5, 5.0))
    assert (far > near).all()


def test_inference_paths_of_the_networks_equal_the_training_paths():
    torch.manual_seed(0)
    radiance, deform, field = RadianceGenerator(64, 8), ExpressionDeformation(64), ManifoldPredictor(64)
    torch.nn.init.normal_(deform.final_layer.weight)
    points = torch.randn(1, 40, 3) * 0.1
    run = lambda: (  # noqa: E731
        radiance(points, radiance.style(torch.ones(1, 160))),
        deform(points, deform.style(torch.ones(1, 80), torch.ones(1, 64))),
        field(points[0]),
    )
    with torch.inference_mode():
        quick = run()
    for a, b in zip(quick, run(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


def test_smoothing_passes_constants_and_doubles():
    torch.manual_seed(0)
    smoother = PoseSmoothing()
    with torch.no_grad():
        for parameter in smoother.parameters():
            parameter.mul_(1 + 0.5 * torch.rand_like(parameter))
    constant = torch.randn(2, 16, 1, 1, 1).expand(2, 16, 4, 6, 8)
    expected = constant[..., :1, :1, :1].expand(2, 16, 8, 12, 16)
    torch.testing.assert_close(smoother(constant.contiguous()), expected, atol=1e-5, rtol=1e-5)


def test_smoothing_of_fewer_channels_is_those_channels():
    torch.manual_seed(0)
    smoother, field = PoseSmoothing(), torch.randn(1, 16, 4, 6, 6)
    torch.testing.assert_close(smoother(field[:, :12]), smoother(field)[:, :12], atol=1e-5, rtol=1e-5)


def test_super_resolution_treats_every_map_alone():
    torch.manual_seed(0)
    net = ManifoldSuperResolution(features=4, width=8, growth=4, blocks=1, code_width=16)
    maps, style = torch.randn(3, 8, 6, 6), net.mapping_network(torch.randn(1, 160))[0]
    whole = net(maps, style)
    assert whole.shape == (3, 4, 24, 24)
    torch.testing.assert_close(whole[1:2], net(maps[1:2], style), atol=1e-5, rtol=1e-4)


def test_modulated_convolution_ignores_the_size_of_its_style():
    """Demodulation cancels any common factor of the style."""
    torch.manual_seed(0)
    net = ManifoldSuperResolution(features=4, width=8, growth=4, blocks=1, code_width=16)
    x, style = torch.randn(1, 8, 5, 5), torch.randn(8)
    torch.testing.assert_close(net.upconvs[0](x, style), net.upconvs[0](x, 7 * style), atol=1e-4, rtol=1e-4)


# -- gradients, float64


def test_gradients_of_deformation():
    torch.manual_seed(0)
    net = ExpressionDeformation(width=4, mapping_width=4).double()
    torch.nn.init.normal_(net.final_layer.weight)
    points = (torch.rand(1, 3, 3, dtype=torch.float64) * 0.02).requires_grad_()
    z_id, z_exp = torch.randn(1, 80).double(), torch.randn(1, 64).double()
    z_exp.requires_grad_()
    assert torch.autograd.gradcheck(lambda p, e: net(p, net.style(z_id, e)), (points, z_exp))


def test_gradients_of_smoothing():
    torch.manual_seed(0)
    smoother = PoseSmoothing(channels=1).double()
    field = torch.randn(1, 1, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    weight = smoother.conv_block1.weight
    assert torch.autograd.gradcheck(lambda f, w: smoother(f), (field, weight), fast_mode=True)


def test_gradients_of_intersections():
    s = torch.tensor([[9.0, 7.4, 5.1, 2.2], [1.0, 3.0, 6.3, 2.0]], dtype=torch.float64, requires_grad=True)
    points = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    levels = torch.tensor([6.0, 3.5], dtype=torch.float64)

    def hits(s, points):
        return at_crossings(points, find_crossings(s, levels, 0.05, falling_only=True))

    assert torch.autograd.gradcheck(hits, (s, points))


def test_gradients_of_compositing():
    torch.manual_seed(0)
    rgba = torch.rand(3, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    distance = torch.rand(3, 2, 2, dtype=torch.float64) + 1
    valid = torch.ones(3, 2, 2, dtype=torch.bool)
    valid[1, 0, 0] = False
    assert torch.autograd.gradcheck(lambda c: composite(c, distance, valid).image_3HW, (rgba,))
