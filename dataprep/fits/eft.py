"""Exemplar fine-tuning (EFT): tune the regressor's weights on one image, read its output, restore the weights.

Tuning weights instead of pose parameters keeps the regressor's prior: a few steps of a small learning rate move the
body towards the 2D points and little else. Steps stop at the noise level of the points; more of them fit noise.
"""

from __future__ import annotations

import copy
from typing import Protocol

import torch
from torch import Tensor, nn

from dataprep.fits.body_fit import BodyFit, finish
from dataprep.fits.eft_config import EftConfig
from dataprep.fits.reprojection import Target, leg_loss, loss_2d, loss_49_compat, project, target_of
from dataprep.models.body_points import BodyPoints
from dataprep.models.lifter import BodyEstimate, LifterInput


class Regressor(Protocol):
    """What EFT tunes: the key-point lifter, or an image regressor such as SPIN's HMR behind the same face."""

    def __call__(self, batch: LifterInput) -> BodyEstimate: ...

    def parameters_for_eft(self) -> list[nn.Parameter]: ...

    def freeze_norm(self) -> None: ...


class ExemplarTuner:
    """Holds a private copy of a regressor and its initial weights; every fit starts from exactly those."""

    def __init__(self, regressor: nn.Module, body: BodyPoints, config: EftConfig) -> None:
        self.regressor = copy.deepcopy(regressor)
        self.body, self.config = body, config
        self.regressor.freeze_norm()  # type: ignore[operator]
        self._tuned: list[nn.Parameter] = self.regressor.parameters_for_eft()  # type: ignore[operator]
        self._initial = [parameter.detach().clone() for parameter in self._tuned]

    def restore(self) -> None:
        """Put every tuned weight back, bit for bit."""
        with torch.no_grad():
            for parameter, initial in zip(self._tuned, self._initial, strict=True):
                parameter.copy_(initial)

    def fit(self, exemplar: LifterInput) -> BodyFit:
        """Tune on a batch of one; the stop is tested on the pass before a step, and the best pass is the result.

        `fallback` is set when no pass after the first was better.
        """
        optimiser = torch.optim.Adam(self._tuned, lr=self.config.learning_rate, fused=True)
        target = target_of(exemplar)
        best: BodyEstimate | None = None
        best_loss = first_loss = float("inf")
        best_step = step = 0
        try:
            for step in range(self.config.max_steps + 1):
                estimate = self.regressor(exemplar)
                total, l2d, projected = self._loss(estimate, target)
                value = l2d.item()
                if step == 0:
                    first_loss = loss_2d(projected.detach(), target).item()
                if best is None or value < best_loss:
                    best = BodyEstimate(*(tensor.detach().clone() for tensor in estimate))
                    best_loss, best_step = value, step
                if step == self.config.max_steps or value < self.config.stop:
                    break
                optimiser.zero_grad(set_to_none=True)
                total.backward()
                optimiser.step()
        finally:
            self.restore()
        assert best is not None
        fallback = torch.tensor([step > 0 and best_step == 0])
        return finish("eft", best, exemplar, target, self.body, step, torch.tensor([first_loss]), fallback)[0]

    def _loss(self, estimate: BodyEstimate, target: Target) -> tuple[Tensor, Tensor, Tensor]:
        """The reference's bracket, its 2D part alone, which the stop is tested on, and the projected points."""
        config = self.config
        projected = project(estimate, self.body)
        l2d = (loss_49_compat if config.compat else loss_2d)(projected, target).mean()
        crop_scale = estimate.camera[:, :1] / target.half_crop[..., 0]
        bracket = (
            config.weight_2d * l2d
            + config.weight_betas * estimate.betas.square().mean()
            + torch.exp(-10 * crop_scale).square().mean()
            + config.weight_leg * leg_loss(projected, target).mean()
        )
        return config.gain * bracket, l2d, projected
