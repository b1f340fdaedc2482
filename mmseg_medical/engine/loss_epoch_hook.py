"""The epoch, told to the losses that depend on it."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import HOOKS


@HOOKS.register_module()
class LossEpochHook(Hook):
    """Call ``set_epoch`` of every loss of the model that has it, before each epoch.

    Such losses are :class:`~mmseg_medical.models.losses.HDCHRNetLoss` and
    :class:`~mmseg_medical.models.losses.EyeOpeningLoss`. Epochs are counted from 0, and go on where a training is
    resumed.

    Args:
        iters_per_epoch (int | None): What counts as an epoch where the training counts iterations; None where it
            counts epochs.

    Raises:
        ConfigError: ``iters_per_epoch`` is below 1.
    """

    def __init__(self, iters_per_epoch: int | None = None) -> None:
        if iters_per_epoch is not None and iters_per_epoch < 1:
            raise ConfigError(f'iters_per_epoch of LossEpochHook must be at least 1, got {iters_per_epoch}')
        self.iters_per_epoch = iters_per_epoch

    def before_train(self, runner: Any) -> None:
        """Check that there are epochs, and a loss to tell.

        Raises:
            ConfigError: There are none.
        """
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        if by_epoch == (self.iters_per_epoch is not None):
            raise ConfigError(
                'LossEpochHook needs iters_per_epoch exactly if the training counts iterations, '
                f'found iters_per_epoch={self.iters_per_epoch} and {type(runner.train_loop).__name__}'
            )
        if not _losses(runner):
            raise ConfigError(
                'LossEpochHook finds no loss that depends on the epoch, such as HDCHRNetLoss or EyeOpeningLoss: '
                'leave the hook out or take one of them'
            )

    def before_train_epoch(self, runner: Any) -> None:
        """Tell the epoch."""
        if self.iters_per_epoch is None:
            _tell(runner, runner.epoch)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Tell the epoch, where iterations are counted."""
        if self.iters_per_epoch is not None:
            _tell(runner, runner.iter // self.iters_per_epoch)


def _tell(runner: Any, epoch: int) -> None:
    for loss in _losses(runner):
        loss.set_epoch(epoch)


def _losses(runner: Any) -> list[Any]:
    model: nn.Module = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return [module for module in model.modules() if hasattr(module, 'set_epoch') and hasattr(module, 'loss_name')]
