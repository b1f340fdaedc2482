"""RARE-UNet's consistency loss, risen over the first epochs."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.losses.consistency import consistency_ramp
from mmseg_medical.registry import HOOKS


@HOOKS.register_module()
class ConsistencyRampHook(Hook):
    """Set ``consistency_factor`` of the head before each epoch, see :func:`consistency_ramp`.

    The authors of RARE-UNet found a late start harmful; without this hook the factor is 1.

    Args:
        start_epoch (int): Epoch, counted from 0, from which on the factor is 1.
    """

    def __init__(self, start_epoch: int) -> None:
        if start_epoch < 0:
            raise ConfigError(f'start_epoch of ConsistencyRampHook must not be negative, got {start_epoch}')
        self.start_epoch = start_epoch

    def before_train(self, runner: Any) -> None:
        """Check that there are epochs, and a factor to set.

        Raises:
            ConfigError: There are none.
        """
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ConfigError('ConsistencyRampHook counts epochs: it needs train_cfg.type=EpochBasedTrainLoop')
        if not hasattr(_head(runner), 'consistency_factor'):
            raise ConfigError('ConsistencyRampHook needs a decode_head with a consistency loss, such as RAREUNetHead')

    def before_train_epoch(self, runner: Any) -> None:
        """Set the factor of the epoch."""
        _head(runner).consistency_factor = consistency_ramp(runner.epoch, self.start_epoch)


def _head(runner: Any) -> Any:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return getattr(model, 'decode_head', None)
