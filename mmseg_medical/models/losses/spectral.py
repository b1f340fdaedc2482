"""Prediction and truth compared by their Fourier coefficients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.losses.cross_entropy import cross_entropy
from mmseg_medical.models.losses.dice import SoftDiceLoss
from mmseg_medical.models.losses.focal import focal
from mmseg_medical.models.losses.targets import class_masks
from mmseg_medical.models.losses.voxel_loss import VoxelLoss, reduce_terms
from mmseg_medical.registry import MODELS

FREQUENCY_MODES = ('fixed', 'code')


def spectral_error(difference: Tensor) -> Tensor:
    """Mean squared magnitude of the Fourier coefficients of a difference of real maps.

    That is the mean squared difference of the real parts plus that of the imaginary ones. Only half of the last axis'
    frequencies are kept (``rfftn``); over all of them it would be the mean square of the difference itself (Parseval).

    Args:
        difference (Tensor): float32 or float64, shape (N, K, *S).

    Returns:
        Tensor: shape (N, K).
    """
    axes = tuple(range(2, difference.ndim))
    spectrum = torch.fft.rfftn(difference, dim=axes, norm='ortho')
    return (spectrum.real.square() + spectrum.imag.square()).mean(axes)


def frequency_errors(scores: Tensor, target: Tensor, kept: Tensor | None, frequency_mode: str = 'fixed') -> Tensor:
    """Spectral error of the maps of a prediction; see :class:`FrequencyLoss`.

    Args:
        scores (Tensor): log-probabilities (N, K, *S).
        target (Tensor): labels (N, *S).
        kept (Tensor | None): Voxels that count, bool (N, *S). At others the maps do not differ, and the mean is over
            as many voxels as count.
        frequency_mode (str): ``'fixed'`` or ``'code'``.

    Returns:
        Tensor: shape (N, K); of ``'code'`` (N, 1), without a gradient.
    """
    if frequency_mode == 'code':
        difference = (scores.argmax(1) - target)[:, None].to(scores)
    else:
        difference = scores.exp() - class_masks(target, kept, scores.shape[1], False).to(scores)
    if kept is None:
        return spectral_error(difference)
    errors = spectral_error(difference.masked_fill(~kept[:, None], 0))
    return errors * (target[0].numel() / kept.flatten(1).sum(1).clamp_min(1))[:, None]


def check_frequency_mode(frequency_mode: str) -> str:
    """Return ``frequency_mode``.

    Raises:
        ConfigError: It is not one of :data:`FREQUENCY_MODES`.
    """
    if frequency_mode not in FREQUENCY_MODES:
        raise ConfigError(f'frequency_mode must be one of {FREQUENCY_MODES}, got {frequency_mode!r}')
    return frequency_mode


@MODELS.register_module()
class FrequencyLoss(VoxelLoss):
    """Mean squared difference of the Fourier coefficients of probabilities and masks, all classes included.

    By Parseval's theorem it is nearly the Brier score, mean((p - y)^2): frequencies on the rim of the half spectrum
    count twice as much as they would there, and nothing else is new.

    Args:
        loss_name (str): See :class:`VoxelLoss`.
        **options: Of :class:`VoxelLoss`, without ``use_sigmoid``. ``class_weight`` are shares in the mean.

    Raises:
        ConfigError: ``use_sigmoid``.
    """

    def __init__(
        self, *, loss_name: str = 'loss_frequency', **options: bool | float | str | Sequence[float] | None
    ) -> None:
        super().__init__(loss_name=loss_name, **options)  # type: ignore[arg-type]
        if self.use_sigmoid:
            raise ConfigError('FrequencyLoss compares a softmax with labels and knows no use_sigmoid')

    def terms(self, logits: Tensor, target: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """See the base class."""
        errors = frequency_errors(logits.log_softmax(1), target, kept)
        weight = self.weight_of_classes(errors)
        return errors, None if weight is None else weight.expand_as(errors)


@MODELS.register_module()
class SpectralDualLoss(VoxelLoss):
    """``Dice + focal + frequency_weight * frequency``, HDC-HRNet's spectral-dual loss.

    Args:
        frequency_weight (float): Of the frequency term.
        frequency_mode (str): ``'code'``, as released: labels that are predicted and true ones are compared as if they
            were intensities, which has no gradient and moves the log only; or ``'fixed'``, see
            :class:`FrequencyLoss`.
        gamma (float): Of the focal term.
        class_weight (Sequence[float] | None): Shares of the classes in Dice.
        loss_weight (float): Factor of the sum.
        loss_name (str): Key in the log.

    Raises:
        ConfigError: An unknown ``frequency_mode``, or a negative ``frequency_weight`` or ``gamma``.
    """

    def __init__(
        self,
        *,
        frequency_weight: float = 0.1,
        frequency_mode: str = 'code',
        gamma: float = 2.0,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_spectral_dual',
    ) -> None:
        super().__init__(class_weight=class_weight, loss_weight=loss_weight, loss_name=loss_name)
        if frequency_weight < 0 or gamma < 0:
            raise ConfigError(f'frequency_weight and gamma must not be negative, got {frequency_weight} and {gamma}')
        self.dice = SoftDiceLoss(pooled=False, include_background=True, class_weight=class_weight)
        self.frequency_weight = frequency_weight
        self.frequency_mode = check_frequency_mode(frequency_mode)
        self.gamma = gamma

    def terms(self, logits: Tensor, target: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The sum itself, a term of its own."""
        scores = logits.log_softmax(1)
        dice = reduce_terms(*self.dice.terms_of(scores.exp(), target, kept), 'mean')
        hard = reduce_terms(focal(cross_entropy(scores, target, kept), self.gamma), kept, 'mean')
        frequency = frequency_errors(scores, target, kept, self.frequency_mode).mean()
        return dice + hard + self.frequency_weight * frequency, None
