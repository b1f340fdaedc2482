"""Weight of one loss, moved during the training."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import HOOKS


@HOOKS.register_module()
class LossWeightHook(Hook):
    """Move ``loss_weight`` of a loss of the decode head linearly from one value to another.

    A boundary loss, for example, rises beside an overlap loss (Kervadec et al. 2019,
    doi:10.1016/j.media.2020.101851). Before ``begin`` the weight is ``start``, from ``end`` on ``stop``.

    Args:
        loss_name (str): Of the loss; all of that name are moved.
        start (float): First weight.
        stop (float): Last weight.
        begin (int): Iteration at which it begins to move.
        end (int): Iteration at which it has arrived.
    """

    def __init__(self, loss_name: str, start: float, stop: float, end: int, begin: int = 0) -> None:
        if not 0 <= begin < end:
            raise ConfigError(f'LossWeightHook needs 0 <= begin < end, found {begin} and {end}')
        self.loss_name = loss_name
        self.start, self.stop = start, stop
        self.begin, self.end = begin, end

    def before_train(self, runner: Any) -> None:
        """Check that the loss is there.

        Raises:
            ConfigError: It is not.
        """
        losses = _losses(runner)
        if not any(loss.loss_name == self.loss_name for loss in losses):
            known = ', '.join(loss.loss_name for loss in losses) or 'none'
            raise ConfigError(f'the decode head has no loss {self.loss_name!r} with a loss_weight; it has {known}')

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Set the weight of the iteration."""
        share = min(max((runner.iter - self.begin) / (self.end - self.begin), 0.0), 1.0)
        for loss in _losses(runner):
            if loss.loss_name == self.loss_name:
                loss.loss_weight = self.start + share * (self.stop - self.start)


def _losses(runner: Any) -> list[Any]:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    found = getattr(getattr(model, 'decode_head', None), 'loss_decode', ())
    losses = found if isinstance(found, nn.ModuleList) else [found]
    return [loss for loss in losses if hasattr(loss, 'loss_weight') and hasattr(loss, 'loss_name')]
