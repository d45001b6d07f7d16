"""Exemplar fine-tuning (EFT): tune the regressor's weights on one image, read its output, restore the weights.

Tuning weights instead of pose parameters keeps the regressor's prior: a few steps of a small learning rate move the
body towards the 2D points and little else. Steps stop at the noise level of the points; more of them fit noise.
"""

from __future__ import annotations

import copy
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dataprep.fits.body.body_fit import BodyFit, finish
from dataprep.fits.body.eft_config import EftConfig
from dataprep.fits.body.evidence import Evidence
from dataprep.fits.body.map_body import apply_residual, neck_in_picture
from dataprep.fits.body.reprojection import Target, leg_loss, loss_2d, loss_49_compat, project, scale_loss, target_of
from dataprep.models.body.body_points import BodyPoints
from dataprep.models.regressors.lifter import BodyEstimate, LifterInput


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

    def fit(
        self,
        exemplar: LifterInput,
        evidence: Evidence | None = None,
        body: BodyPoints | None = None,
        residual: Float[Tensor, "85"] | None = None,
    ) -> BodyFit:
        """Tune on a batch of one; the stop is tested on the pass before a step, and the best pass is the result.

        `body` has OpenPose's points, too, where the evidence has them. `residual` is added to whatever the regressor
        says: with what MAP found, tuning starts from there.
        `fallback` is set when no pass after the first was better than the regressor's own output.
        """
        optimiser = torch.optim.Adam(self._tuned, lr=self.config.learning_rate, fused=True)
        target, body = target_of(exemplar, evidence), body or self.body
        losses: list[float] = []
        try:
            for _ in range(self.config.max_steps + 1):
                raw = self.regressor(exemplar)
                estimate = raw if residual is None else self._moved(raw, residual)
                total, loss = self._loss(estimate, target, body)
                if not losses:
                    before = _detached(raw)
                losses.append(loss.item())
                if len(losses) == 1 or losses[-1] < min(losses[:-1]):
                    best = _detached(estimate)
                if len(losses) > self.config.max_steps or self._settled(losses):
                    break
                optimiser.zero_grad(set_to_none=True)
                total.backward()
                optimiser.step()
        finally:
            self.restore()
        steps = len(losses) - 1
        useless = residual is None and steps > 0 and losses.index(min(losses)) == 0
        return finish("eft", before, best, exemplar, target, body, steps, useless)

    def _moved(self, raw: BodyEstimate, residual: Float[Tensor, "85"]) -> BodyEstimate:
        return apply_residual(raw, neck_in_picture(raw, self.body), residual[None], self.body)

    def _settled(self, losses: list[float]) -> bool:
        """At the noise level of the points, or no longer on the way to it."""
        config, now = self.config, losses[-1]
        if now < config.stop:
            return True
        return len(losses) > config.patience and now > (1 - config.least_gain) * losses[-1 - config.patience]

    def _loss(self, estimate: BodyEstimate, target: Target, body: BodyPoints) -> tuple[Tensor, Tensor]:
        """The reference's bracket, and the part of it that the stop is tested on: points, and the scale if known."""
        config = self.config
        projected = project(estimate, body)
        seen = (loss_49_compat if config.compat else loss_2d)(projected, target).mean()
        if not config.compat:
            seen = seen + scale_loss(estimate, target).mean()
        crop_scale = estimate.camera[:, :1] / target.half_crop[..., 0]
        bracket = (
            config.weight_2d * seen
            + config.weight_betas * estimate.betas.square().mean()
            + torch.exp(-10 * crop_scale).square().mean()
            + config.weight_leg * leg_loss(projected, target).mean()
        )
        return config.gain * bracket, seen


def _detached(estimate: BodyEstimate) -> BodyEstimate:
    return BodyEstimate(*(tensor.detach().clone() for tensor in estimate))
