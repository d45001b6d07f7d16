"""What one training picture of a preset asks for, counted network by network on the meta device.

Every sample of a ray and every level is counted, as a device works that must not wait for its own numbers: a search
that leaves samples out, as the CPU's does, does less. Optimisers, loading and the average are left out: they are of a
step, not of a picture. R1 counts in every step, and rays as many as there are when they have grown.

Suffixes: N points, B one person, K code values, H W pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gan.config import EXPRESSION_CODE, ID_CODE, NOISE_CODE
from gan.losses import adversarial_loss, critics_loss
from gan.networks.critics import Critics, CriticSizes
from gan.networks.expression_deformation import search_coordinates
from gan.presets import Preset
from gan.rendering.body_arrays import BodyArrays
from gan.rendering.compositing import render_hits
from gan.rendering.generator import Generator, View
from gan.training.cost.counted_work import Operation, work_of
from gan.training.state import trains

BETAS, JOINTS = 10, 6
POINTS = frozenset({"phi", "M and D_e", "bodies and D_p", "compositing"})  # `--precision` says nothing about these

Work = dict[str, list[Operation]]


class PictureWork:
    """A preset's networks without numbers. `trained` counts a picture of both sides' steps, `paired` one of the
    paired start.
    """

    def __init__(self, preset: Preset, body: BodyArrays) -> None:
        self.preset = preset
        subset = body.upper_body(preset.generator.outside_weight_max)[:: preset.nearest_step]
        self.generator = Generator(body, preset.generator, subset).to("meta")
        sizes = CriticSizes(preset.portrait_px, preset.face_px)
        self.critics = Critics(
            sizes, preset.critic, preset.with_face, preset.with_torso, preset.patch_width
        ).to("meta")  # fmt: skip
        for name, parameter in self.generator.named_parameters():
            parameter.requires_grad_(trains(name, preset))

    def trained(self) -> Work:
        """Return what a picture of the paper's step asks for: critics with R1, then the generator."""
        work: Work = defaultdict(list)
        if not self.preset.shared_fakes:
            self._make(work, learns=False)
        self._make(work, learns=True)
        work["critics"] += work_of(self._critics_learn) + work_of(self._critics_teach)
        if self.preset.stage == 1:
            self._deformation(work)
        return dict(work)

    def paired(self) -> Work:
        """Return what a picture of the paired start asks for: phi, in stage 2 U, learns from rays of either camera."""
        work: Work = defaultdict(list)
        if self.preset.stage == 2:
            self._make(work, learns=True)
            return dict(work)
        rays = self.preset.paired.rays
        for view in self._views():
            work["bodies and D_p"] += self._counted(partial(self._rays, view), learns=False)
            work["M and D_e"] += self._counted(lambda: self._search(rays * self.preset.generator.fine_samples), False)
            work["phi"] += self._counted(lambda: self._phi(rays * self.preset.generator.levels), learns=True)
        return dict(work)

    def _make(self, work: Work, learns: bool) -> None:
        """Both cameras' pictures of one person."""
        preset, config = self.preset, self.preset.generator
        rays, learns_shape = config.ray_size**2, learns and preset.stage == 1
        ends = min(config.fine_samples, 2 * config.levels)
        if preset.stage == 1 and preset.shades_at_hits and not preset.cropped_face:
            shaded = len(self._views()) * rays * config.levels
        else:
            shaded = config.map_size**2 * config.levels
            samples = config.map_size**2 * config.map_samples
            work["M and D_e"] += self._counted(lambda: self._m(samples), learns=False)
            of_maps = config.map_size**2 * min(config.map_samples, 2 * config.levels)
            work["M and D_e"] += self._counted(lambda: self._m(of_maps), learns_shape)
        work["phi"] += self._counted(lambda: self._phi(shaded), learns_shape)
        if preset.stage == 2:
            work["U"] += self._counted(self._u, learns)
        for view in self._views():
            smooths = learns_shape and preset.with_pose_smoothing
            work["bodies and D_p"] += self._counted(partial(self._rays, view), smooths)
            work["M and D_e"] += self._counted(lambda: self._search(rays * config.fine_samples), learns=False)
            work["M and D_e"] += self._counted(lambda: self._search(rays * ends), learns_shape)
            work["compositing"] += self._counted(partial(self._composite, view), learns)

    def _counted(self, work: Callable[[], Tensor], learns: bool) -> list[Operation]:
        with nullcontext() if learns else torch.no_grad():
            return work_of(work)

    def _views(self) -> list[View]:
        return ["portrait", "face"] if self.preset.with_face and not self.preset.cropped_face else ["portrait"]

    def _codes(self, *sizes: int) -> list[Tensor]:
        return [torch.zeros(1, size, device="meta") for size in sizes]

    def _phi(self, points: int) -> Tensor:
        phi = self.generator.radiance_net
        learns = any(parameter.requires_grad for parameter in phi.parameters())
        points_1N3 = torch.zeros(1, points, 3, device="meta", requires_grad=learns)
        style = phi.style(torch.cat(self._codes(ID_CODE, NOISE_CODE), 1))
        return phi(points_1N3, style, features=self.preset.stage == 2)

    def _m(self, points: int) -> Tensor:
        return self.generator.sample_net(torch.zeros(points, 3, device="meta"))

    def _search(self, points: int) -> Tensor:
        deform = self.generator.deform_net
        points_1N3 = torch.zeros(1, points, 3, device="meta")
        shift_1N3 = deform(points_1N3, deform.style(*self._codes(ID_CODE, EXPRESSION_CODE)))
        return self.generator.sample_net(search_coordinates(points_1N3, shift_1N3)[0])

    def _u(self) -> Tensor:
        config, u = self.preset.generator, self.generator.sr_net
        style_1K = u.mapping_network(torch.cat(self._codes(ID_CODE, NOISE_CODE), 1))
        maps = torch.zeros(config.levels, 4 + config.features, config.map_size, config.map_size, device="meta")
        return torch.sigmoid(u(maps, style_1K[0]))

    def _rays(self, view: View) -> Tensor:
        pose_1P3, camera_12 = torch.zeros(1, JOINTS, 3, device="meta"), torch.zeros(1, 2, device="meta")
        return self.generator.neutral_rays(self._codes(BETAS)[0], pose_1P3, camera_12, view)[1]

    def _composite(self, view: View) -> Tensor:
        config, stage = self.preset.generator, self.preset.stage
        size = (4 if stage == 2 else 1) * config.map_size
        side = self.preset.portrait_px if view == "portrait" else self.preset.face_px
        maps_L4HW = torch.zeros(config.levels, 4, size, size, device="meta", requires_grad=True)
        hits_L3HW = torch.zeros(config.levels, 3, config.ray_size, config.ray_size, device="meta")
        config = replace(config, image_size=max(side, config.ray_size))
        return render_hits(
            maps_L4HW, hits_L3HW, torch.ones_like(hits_L3HW[:, :1]), torch.zeros(3, device="meta"), config, side
        ).image_3HW

    def _pictures(self, learns: bool) -> tuple[Tensor, Tensor]:
        sides = self.preset.portrait_px, self.preset.face_px
        portrait, face = (torch.zeros(1, 3, side, side, device="meta", requires_grad=learns) for side in sides)
        return portrait, face

    def _critics_learn(self) -> Tensor:
        real, fake = self._pictures(learns=True), self._pictures(learns=False)
        said = self.critics(*real), self.critics(*fake)
        return critics_loss(*said, *real, self.preset.adversarial, self.preset.r1_gamma)[0]

    def _critics_teach(self) -> Tensor:
        self.critics.requires_grad_(False)
        loss = adversarial_loss(self.critics(*self._pictures(learns=True)), self.preset.adversarial)[0]
        self.critics.requires_grad_(True)
        return loss

    def _deformation(self, work: dict[str, Any]) -> None:
        """Eqs. 10-13: rays of the face camera once more, and D_e at points and near them."""
        work["bodies and D_p"] += self._counted(lambda: self._rays("face"), self.preset.with_pose_smoothing)
        deform = self.generator.deform_net
        points_1N3 = torch.zeros(1, 2 * self.preset.deformation.points, 3, device="meta")
        style = lambda: deform.style(*self._codes(ID_CODE, EXPRESSION_CODE))  # noqa: E731
        work["M and D_e"] += self._counted(lambda: deform(points_1N3, style()), learns=True)


def tflop(work: Work) -> float:
    """Return the products of some work, in TFLOP."""
    return sum(one.flops for operations in work.values() for one in operations) / 1e12
