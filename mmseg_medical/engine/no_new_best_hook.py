"""Early stopping by several metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook

from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.registry import HOOKS

RULES = ('greater', 'less')
_STATE = 'no_new_best'


@HOOKS.register_module()
class NoNewBestHook(Hook):
    """Stop the training when none of several metrics has had a new best value for a number of epochs.

    mmengine's ``EarlyStoppingHook`` watches one metric and begins anew in a run that is resumed; this one goes on. A
    metric that is NaN is no new best.

    Args:
        monitors (Mapping[str, str]): Metric to what is better, ``'greater'`` or ``'less'``.
        patience (int): Epochs; training stops at a validation this many or more after that of the last new best.

    Raises:
        ConfigError: There are no metrics, a rule is unknown, or ``patience`` is below 1.
    """

    # before CheckpointHook, which saves the state
    priority = 'LOW'

    def __init__(self, monitors: Mapping[str, str], patience: int) -> None:
        if not monitors or any(rule not in RULES for rule in monitors.values()):
            raise ConfigError(
                f'monitors of NoNewBestHook must map metrics to one of {RULES}, e.g. '
                f"dict(dice='greater', hd95='less'), got {dict(monitors)}"
            )
        if patience < 1:
            raise ConfigError(f'patience of NoNewBestHook must be at least 1, got {patience}')
        self.monitors = dict(monitors)
        self.patience = patience

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Compare, and stop.

        Raises:
            ConfigError: A metric is not among those of the validation.
        """
        metrics = {} if metrics is None else metrics
        for name in self.monitors:
            if name not in metrics:
                raise ConfigError(
                    f'NoNewBestHook watches {name!r}, which the validation does not report.'
                    f'{did_you_mean(name, metrics)} It reports {", ".join(metrics) or "nothing"}'
                )
        info = runner.message_hub.runtime_info.get(_STATE, {'epoch': runner.epoch, 'best': {}})
        best = {name: metrics[name] for name in self.monitors if self._is_best(name, metrics[name], info['best'])}
        if best:
            info = {'epoch': runner.epoch, 'best': {**info['best'], **best}}
        # the message hub goes into the checkpoints
        runner.message_hub.update_info(_STATE, info)
        waited = runner.epoch - info['epoch']
        if waited >= self.patience:
            runner.train_loop.stop_training = True
            runner.logger.info(
                f'Training stops: no new best of {", ".join(self.monitors)} for {waited} epochs; the last one was '
                f'found at epoch {info["epoch"]}: {info["best"]}'
            )

    def _is_best(self, name: str, value: float, best: Mapping[str, float]) -> bool:
        if value != value:  # NaN
            return False
        if name not in best:
            return True
        return value > best[name] if self.monitors[name] == 'greater' else value < best[name]
