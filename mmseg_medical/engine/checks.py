"""What is looked at before the first step, because it would fail late or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from torch import nn

from mmseg_medical.engine.no_new_best_hook import NoNewBestHook
from mmseg_medical.errors import ConfigError, did_you_mean


def check_work_dir(work_dir: str | Path) -> Path:
    """Create ``work_dir`` and make sure that files can be written there.

    Raises:
        ConfigError: They cannot.
    """
    path = Path(work_dir).absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ConfigError(
            f'work dir {path} cannot be written ({error.strerror}); choose another one with --work-dir'
        ) from error
    return path


def check_classes(network: nn.Module, dataset: Any, split: str) -> None:
    """Compare the classes of a data set with the outputs of every head.

    Args:
        network: Segmentor whose heads state ``num_classes``.
        dataset: Data set whose ``metainfo`` names its ``classes``.
        split: 'train', 'val' or 'test', for the message.

    Raises:
        ConfigError: They differ, so that labels would be out of range or classes would never be learnt.
    """
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    if classes is None:
        return
    for name, head in _heads(network):
        if head.num_classes != len(classes):
            raise ConfigError(
                f'model.{name}.num_classes={head.num_classes}, but the {split} data set '
                f'{type(dataset).__name__} has {len(classes)} classes {tuple(classes)}: '
                f'set model.{name}.num_classes={len(classes)}'
            )


def _heads(network: nn.Module) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name in ('decode_head', 'auxiliary_head'):
        head: Any = getattr(network, name, None)
        heads = {f'{name}.{i}': one for i, one in enumerate(head)} if isinstance(head, nn.ModuleList) else {name: head}
        found += [(key, one) for key, one in heads.items() if hasattr(one, 'num_classes')]
    return found


def check_monitored(hooks: Iterable[Any], metrics: Iterable[Any]) -> None:
    """Make sure that validation yields the number by which the best checkpoint is kept or training is stopped.

    Args:
        hooks: Hooks of the runner.
        metrics: Metrics of the validation; where one has no ``logged_names``, its names are not known.

    Raises:
        ConfigError: ``save_best`` or ``monitor`` names no logged number, which mmengine finds out at the first
            validation (or, stopping early, never).
    """
    known: list[str] = []
    metrics = list(metrics)
    for metric in metrics:
        if not hasattr(metric, 'logged_names'):
            return
        known += metric.logged_names()
    wanted = {}
    for hook in hooks:
        if isinstance(hook, CheckpointHook) and hook.save_best is not None:
            wanted.update(dict.fromkeys(hook.key_indicators, 'save_best of the CheckpointHook'))
        elif isinstance(hook, EarlyStoppingHook):
            wanted[hook.monitor] = 'monitor of the EarlyStoppingHook'
        elif isinstance(hook, NoNewBestHook):
            wanted.update(dict.fromkeys(hook.monitors, 'monitors of the NoNewBestHook'))
    for key, place in wanted.items():
        if key in known or key == 'auto':
            continue
        without_curves = 'AUPR' in key and not any(getattr(metric, 'aupr', False) for metric in metrics)
        remedy = (
            ' Set aupr=True in val_evaluator, or take another number.' if without_curves else did_you_mean(key, known)
        )
        means = ', '.join(name for name in known if '.' not in name)
        raise ConfigError(f'{place} is {key!r}, a number that the validation does not yield.{remedy} It has {means}')


def check_splits(datasets: dict[str, Any]) -> None:
    """Refuse splits that share images; validating and testing on one and the same list of images is allowed.

    Args:
        datasets: Split name ('train', 'val', 'test') to built data set; one alone is compared with nothing.

    Raises:
        DataError: Two of them share images or patients.
    """
    from mmseg_medical.datasets.leakage import check_disjoint, same_images

    for (first, ours), (second, theirs) in combinations(datasets.items(), 2):
        # a recipe without a validation set names its test set twice, on purpose and for all to see
        if 'train' not in (first, second) and same_images(ours, theirs):
            continue
        check_disjoint(ours, theirs)
