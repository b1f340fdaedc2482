"""Penalty of undecided predictions."""

from __future__ import annotations

from torch import Tensor

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.losses.voxel_loss import VoxelLoss
from mmseg_medical.registry import MODELS


def eye_opening(logits: Tensor) -> Tensor:
    """Give ``4 p (1 - p)`` of the largest probability p: 1 where it is 1/2, 0 where it is 1.

    Args:
        logits (Tensor): shape (N, K, *S).

    Returns:
        Tensor: shape (N, *S).
    """
    largest = logits.softmax(1).amax(1)
    return 4 * largest * (1 - largest)


def eye_opening_weight(epoch: int, start: int = 5, slope: float = 0.02, most: float = 0.1) -> float:
    """Weight of the penalty: 0 up to epoch ``start``, then it rises by ``slope`` an epoch up to ``most``.

    Args:
        epoch (int): Counted from 0.
        start (int): Epoch from which on it rises.
        slope (float): Rise of an epoch.
        most (float): Largest weight.

    Example:
        >>> [eye_opening_weight(epoch) for epoch in (0, 5, 6, 10, 20)]
        [0.0, 0.0, 0.02, 0.1, 0.1]
    """
    return min(most, max(0.0, slope * (epoch - start)))


@MODELS.register_module()
class EyeOpeningLoss(VoxelLoss):
    """Mean of ``4 p (1 - p)``, p the largest probability of a voxel, with a weight that rises with the epoch.

    Of HDC-HRNet's code. It knows no truth: a voxel is pulled to the class that it is closest to, right or wrong, and
    where no class reaches 1/2 to even probabilities. Use it beside a loss that compares with the truth.
    ``weight`` of :meth:`forward` is the energy of each voxel, such as a monogenic energy map.
    :class:`~mmseg_medical.engine.LossEpochHook` tells the epoch; before it is told one, the weight is the largest.

    Args:
        start (int): See :func:`eye_opening_weight`.
        slope (float): See there.
        most (float): See there.
        loss_weight (float): Factor of the loss, besides the weight of the epoch.
        loss_name (str): Key in the log.

    Raises:
        ConfigError: A negative ``start``, ``slope`` or ``most``.
    """

    by_voxel = True

    def __init__(
        self,
        *,
        start: int = 5,
        slope: float = 0.02,
        most: float = 0.1,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_eye_opening',
    ) -> None:
        super().__init__(loss_weight=loss_weight, loss_name=loss_name)
        if min(start, slope, most) < 0:
            raise ConfigError(f'start, slope and most must not be negative, got {start}, {slope} and {most}')
        self.start, self.slope, self.most = start, slope, most
        self.epoch_weight = most

    def set_epoch(self, epoch: int) -> None:
        """Weigh the penalty as in an epoch, counted from 0."""
        self.epoch_weight = eye_opening_weight(epoch, self.start, self.slope, self.most)

    def terms(self, logits: Tensor, target: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """See the base class; of the target only which voxels count."""
        return self.epoch_weight * eye_opening(logits), kept
