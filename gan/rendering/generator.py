"""The generator: five networks, a body, two cameras.

    identity = generator.identity(z_id, noise, betas)              # radiance maps, seconds, cached
    frames = generator.frames(identity, z_exp, pose, camera)       # any number of frames of that identity

Suffixes: B frames, K code values, P posed joints, L level sets, H W pixels, C channels.
"""

from collections import OrderedDict
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.profiler import record_function

from gan.config import GeneratorConfig
from gan.networks.arithmetic import arithmetic
from gan.networks.expression_deformation import ExpressionDeformation
from gan.networks.film import film_style
from gan.networks.manifold_predictor import ManifoldPredictor
from gan.networks.manifold_superres import ManifoldSuperResolution
from gan.networks.pose_deformation import PoseSmoothing
from gan.networks.radiance_generator import LAYERS, RadianceGenerator
from gan.rendering.body_arrays import BodyArrays
from gan.rendering.cameras import ViewCamera, camera_origin, face_camera, portrait_camera, ray_samples
from gan.rendering.compositing import ComposedPicture, render_hits
from gan.rendering.deformed_rays import DeformedField, hit_manifolds
from gan.rendering.posed_body import PosableBody, PosedBody
from gan.rendering.radiance_maps import RadianceMaps, shade_maps, super_resolve
from gan.rendering.skinning import carry_with_head, neutral_from_target, neutral_from_target_points
from gan.rendering.truncation import Truncation

View = Literal["portrait", "face"]
CPU_CHUNK_POINTS = 1 << 10  # a thread: activations of 128-256 channels stay in its second-level cache
CUDA_CHUNK_POINTS = 1 << 18  # a product of so many rows keeps any GPU busy; more would only take memory [assumed]
PATCH_POINTS = 1 << 16  # computed again at a time for the backward pass: at phi's 256 channels 1.2 GB


class Identity(NamedTuple):
    """What stays the same over the frames of one person."""

    z_id_1K: Tensor
    betas_1K: Tensor
    maps: RadianceMaps


class Frames(NamedTuple):
    """Images in [-1, 1]; depth in face units, NaN where nothing is hit; opacity in [0, 1]."""

    image_B3HW: Tensor
    depth_BHW: Tensor
    opacity_BHW: Tensor
    image_low_B3HW: Tensor


class Generator(nn.Module):
    """AniPortraitGAN's generator over any SMPL-format body. Attribute names are those of the published state dict."""

    def __init__(
        self,
        body: BodyArrays,
        config: GeneratorConfig | None = None,
        nearest_subset: np.ndarray | None = None,
        cached_identities: int = 2,
    ) -> None:
        """Search nearest vertices among `nearest_subset` (the authors' list) or those the body's weights suggest."""
        super().__init__()
        self.config = config = config or GeneratorConfig()
        self.radiance_net = RadianceGenerator(config.radiance_width, config.features, config.radiance_mapping_layers)
        self.sample_net = ManifoldPredictor(config.manifold_width)
        self.deform_net = ExpressionDeformation(
            config.deform_width, config.deform_code_width, config.deform_mapping_layers
        )
        self.sr_net = ManifoldSuperResolution(
            config.features, config.sr_width, config.sr_growth, config.sr_blocks, config.radiance_width
        )
        self.smoother = PoseSmoothing()
        subset = body.upper_body(config.outside_weight_max) if nearest_subset is None else nearest_subset
        self.body = PosableBody(body, subset, config.heads_in_place)
        self.cameras: dict[View, ViewCamera] = {"portrait": portrait_camera(config), "face": face_camera(config)}
        self._cache: OrderedDict[tuple, Identity] = OrderedDict()
        self._cached_identities = cached_identities

    # -- identities

    @torch.inference_mode()
    def identity(
        self,
        z_id_1K: Float[Tensor, "1 80"],
        noise_1K: Float[Tensor, "1 80"],
        betas_1K: Float[Tensor, "1 10"],
        truncation: Truncation | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Identity:
        """Bake the radiance maps of one person, or return those baked before from the same codes and weights.

        `dtype` bfloat16 runs U (two thirds of the work) in that type, on a CPU that has such products phi's, too; what
        enters a sine stays in float32.
        """
        key = (
            *(code.cpu().numpy().tobytes() for code in (z_id_1K, noise_1K, betas_1K)),
            truncation.key() if truncation else None,
            dtype,
            tuple((parameter.data_ptr(), parameter._version) for parameter in self.parameters()),
        )
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        maps = self.radiance_maps(z_id_1K, noise_1K, truncation, dtype, high=self.has_superres)
        while len(self._cache) >= max(1, self._cached_identities):
            self._cache.popitem(last=False)
        self._cache[key] = Identity(z_id_1K, betas_1K, maps)
        return self._cache[key]

    @property
    def has_superres(self) -> bool:
        """Whether pictures are larger than their rays: before stage 2 they are not, and U knows nothing yet."""
        return self.config.image_size > self.config.ray_size

    def radiance_maps(
        self,
        z_id_1K: Float[Tensor, "1 80"],
        noise_1K: Float[Tensor, "1 80"],
        truncation: Truncation | None = None,
        dtype: torch.dtype = torch.float32,
        high: bool = True,
    ) -> RadianceMaps:
        """Bake the maps of one person without a cache and with gradients; `high` False leaves U out (stage 1)."""
        code_1K = torch.cat([z_id_1K, noise_1K], 1)
        raw_1K = self.radiance_net.mapping_network(code_1K)
        sr_style_1K = self.sr_net.mapping_network(code_1K) if high else None
        if truncation is not None:
            raw_1K = truncation.towards_mean(raw_1K, truncation.radiance_K)
            if sr_style_1K is not None:
                sr_style_1K = truncation.towards_mean(sr_style_1K, truncation.sr_K)
        maps_LCHW = shade_maps(
            *(self.sample_net, self.radiance_net, film_style(raw_1K, LAYERS + 1), self.config),
            *(self.chunk_points(), dtype),
        )
        # A copy of the four channels, so that the cache does not keep the features alive.
        low_L4HW = maps_LCHW[:, :4].contiguous()
        if sr_style_1K is None:
            return RadianceMaps(low_L4HW, None)
        at_once = 1 if maps_LCHW.device.type == "cpu" or arithmetic().recompute else self.config.levels
        return RadianceMaps(low_L4HW, super_resolve(self.sr_net, maps_LCHW, sr_style_1K[0], dtype, at_once))

    # -- frames

    @torch.inference_mode()
    def frames(
        self,
        identity: Identity,
        z_exp_BK: Float[Tensor, "b 64"],
        pose_BP3: Float[Tensor, "b 6 3"],
        camera_B2: Float[Tensor, "b 2"],
        view: View = "portrait",
        config: GeneratorConfig | None = None,
    ) -> Frames:
        """Render frames: expression, pose (ZYX Euler radians of joints 12..17), camera (pitch, yaw radians).

        `config` overrides rays, samples and image size, not what the maps or the networks were built with
        (`gan.config.preview`; an `image_size` of 256 for the face camera of stage 2).
        """
        return self.render(identity, z_exp_BK, pose_BP3, camera_B2, view, config)

    def render(
        self,
        identity: Identity,
        z_exp_BK: Float[Tensor, "b 64"],
        pose_BP3: Float[Tensor, "b 6 3"],
        camera_B2: Float[Tensor, "b 2"],
        view: View = "portrait",
        config: GeneratorConfig | None = None,
    ) -> Frames:
        """Do what `frames` does, with gradients."""
        config = config or self.config
        # One frame at a time: each fills every core, memory stays that of one, and a batch equals its frames exactly.
        frames = []
        for z_exp_1K, pose_1P3, camera_12 in zip(z_exp_BK.split(1), pose_BP3.split(1), camera_B2.split(1), strict=True):
            _, neutral = self.neutral_rays(identity.betas_1K, pose_1P3, camera_12, view, config)
            with record_function("search: D_e and M"):
                style = self.deform_net.style(identity.z_id_1K, z_exp_1K)
                field = DeformedField(self.deform_net, self.sample_net, style, self.chunk_points())
                hits_RL3, valid_RL = hit_manifolds(neutral[0].flatten(0, 1), field, config)
            frames.append(self._composite(identity.maps, hits_RL3, valid_RL, camera_12, view, config))
        return Frames(*(torch.cat(parts) for parts in zip(*frames, strict=True)))

    def neutral_rays(
        self,
        betas_BK: Float[Tensor, "b 10"],
        pose_BP3: Float[Tensor, "b 6 3"],
        camera_B2: Float[Tensor, "b 2"],
        view: View = "portrait",
        config: GeneratorConfig | None = None,
    ) -> tuple[Float[Tensor, "b h w s 3"], Float[Tensor, "b h w s 3"]]:
        """Return the ray samples in target space and in neutral-pose space, both in the face frame."""
        config, camera = config or self.config, self.cameras[view]
        with record_function("body, rays, nearest vertices, D_p"):
            body: PosedBody = self.body(betas_BK, pose_BP3)
            target = ray_samples(camera, camera_B2, config.ray_size, config.coarse_samples)
            if camera.follows_head:
                target = carry_with_head(target, body.posed_from_canonical_head_B34)
            return target, neutral_from_target(target, body, self.smoother)

    def neutral_rays_at(
        self,
        pixel_R: Int[Tensor, " r"],
        betas_1K: Float[Tensor, "1 10"],
        pose_1P3: Float[Tensor, "1 6 3"],
        camera_12: Float[Tensor, "1 2"],
        view: View,
        size: int,
    ) -> Float[Tensor, "r s 3"]:
        """Return one person's ray samples in neutral-pose space at some pixels of a picture of `size` a side.

        Each sample is undone by itself, without D_p: the whole picture's samples are not asked for.
        """
        camera, body = self.cameras[view], self.body(betas_1K, pose_1P3)
        every_RS3 = ray_samples(camera, camera_12, size, self.config.coarse_samples)[0].flatten(0, 1)
        target_1RS3 = every_RS3[pixel_R][None]
        if camera.follows_head:
            target_1RS3 = carry_with_head(target_1RS3[:, None], body.posed_from_canonical_head_B34)[:, 0]
        return neutral_from_target_points(target_1RS3.reshape(-1, 3), body).view(target_1RS3.shape[1:])

    def _composite(
        self,
        maps: RadianceMaps,
        hits_RL3: Tensor,
        valid_RL: Tensor,
        camera_12: Tensor,
        view: View,
        config: GeneratorConfig,
    ) -> Frames:
        side = (config.ray_size, config.ray_size)
        hits_L3HW = hits_RL3.unflatten(0, side).permute(2, 3, 0, 1)
        valid_L1HW = valid_RL.unflatten(0, side).permute(2, 0, 1)[:, None]
        # Distances to the camera without its look-at offset, in canonical space: they only sort the layers.
        origin_3 = camera_origin(camera_12, self.cameras[view].radius)[0]
        with record_function("compositing"):
            low = render_hits(maps.low_L4HW, hits_L3HW, valid_L1HW, origin_3, config, config.ray_size)
            high: ComposedPicture = low
            if maps.high_L4HW is not None:
                high = render_hits(maps.high_L4HW, hits_L3HW, valid_L1HW, origin_3, config, config.image_size)
        return Frames(high.image_3HW[None], high.depth_HW[None], high.opacity_HW[None], low.image_3HW[None])

    def chunk_points(self) -> int:
        cpu = next(self.parameters()).device.type == "cpu"
        if arithmetic().recompute and torch.is_grad_enabled():
            return PATCH_POINTS
        return CPU_CHUNK_POINTS * torch.get_num_threads() if cpu else CUDA_CHUNK_POINTS
