"""What is to be run: every config of a group with every seed, resolved before the first one starts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmseg_medical.configs import load_config
from mmseg_medical.engine.ablation.group import Experiment
from mmseg_medical.errors import ConfigError, did_you_mean

# of a run, not of the experiment
_IGNORED = ('work_dir', 'launcher', 'resume')


@dataclass(frozen=True)
class Run:
    """One config with one seed.

    Attributes:
        name (str): of the config in the table.
        config (Path): its file.
        seed (int): of all random draws.
        folder (Path): where checkpoints, logs and results go.
        options (dict[str, Any]): what is changed in the config, the seed included.
        settings (dict[str, str]): the resolved config, dotted key -> value as text.
        best_by (tuple[str, ...]): numbers by which best checkpoints are kept, the most important first.
    """

    name: str
    config: Path
    seed: int
    folder: Path
    options: dict[str, Any]
    settings: dict[str, str] = field(repr=False)
    best_by: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Name for messages."""
        return f'{self.name}, seed {self.seed}'

    @property
    def fingerprint(self) -> str:
        """Hash of the resolved config."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()


def make_plan(
    experiments: Sequence[Experiment],
    work_dir: str | Path,
    seeds: Sequence[int] = (0,),
    cfg_options: Mapping[str, Any] | None = None,
) -> list[Run]:
    """Resolve all configs.

    Args:
        experiments (Sequence[Experiment]): the group.
        work_dir (str | Path): a run gets the folder ``<work_dir>/<name>/seed<seed>``.
        seeds (Sequence[int]): each config is run with each of them.
        cfg_options (Mapping | None): changes of all configs, see :func:`~mmseg_medical.configs.load_config`.

    Returns:
        list[Run]: all configs with the first seed, then with the next, so that a table is soon there.

    Raises:
        ConfigError: a config cannot be read, has nothing to test or sets what a run sets; a seed is given twice.
    """
    options = dict(cfg_options or {})
    if 'randomness.seed' in options or 'randomness' in options:
        raise ConfigError('--cfg-options randomness.seed: the seeds of the runs are given with --seeds')
    if len(set(seeds)) != len(seeds):
        raise ConfigError(f'--seeds {" ".join(map(str, seeds))}: a seed is given twice')
    runs = []
    for seed in seeds:
        for experiment in experiments:
            changes = {'randomness.seed': seed, **options}
            cfg = load_config(experiment.config, changes)
            _check(experiment, cfg)
            best = (cfg.get('default_hooks') or {}).get('checkpoint', {}).get('save_best') or ()
            folder = Path(work_dir, experiment.name, f'seed{seed}')
            best_by = (best,) if isinstance(best, str) else tuple(best)
            settings = dict(flatten({key: value for key, value in cfg.to_dict().items() if key not in _IGNORED}))
            runs.append(Run(experiment.name, experiment.config, seed, folder, changes, settings, best_by))
    return runs


def choose_baseline(experiments: Sequence[Experiment], name: str | None) -> str:
    """Name of the config that the others are tested against: the one named, or the first.

    Raises:
        ConfigError: the group has none of that name.
    """
    names = [experiment.name for experiment in experiments]
    if name is None:
        return names[0]
    if name not in names:
        raise ConfigError(
            f'--baseline {name}: the group has no config of this name, it has {", ".join(names)}.'
            + did_you_mean(name, names)
        )
    return name


def flatten(value: Any, place: str = '') -> Iterator[tuple[str, str]]:
    """Dotted keys and values as text of what a config holds; the same in every process, whatever the order of keys.

    >>> dict(flatten({'model': {'type': 'A', 'sizes': (1, 2)}, 'hooks': []}))
    {'model.type': "'A'", 'model.sizes.0': '1', 'model.sizes.1': '2', 'hooks': '[]'}
    """
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from flatten(item, f'{place}.{key}' if place else str(key))
    elif isinstance(value, (list, tuple)) and value:
        for index, item in enumerate(value):
            yield from flatten(item, f'{place}.{index}')
    elif isinstance(value, (set, frozenset)):
        yield place, f'{{{", ".join(sorted(map(repr, value)))}}}'
    elif isinstance(value, (Mapping, list, tuple)):
        yield place, '{}' if isinstance(value, Mapping) else '[]'
    elif hasattr(value, '__qualname__'):  # its repr would hold an address
        yield place, f'{value.__module__}.{value.__qualname__}'
    else:
        yield place, repr(value)


def _check(experiment: Experiment, cfg: Any) -> None:
    missing = [key for key in ('train_dataloader', 'test_dataloader', 'test_evaluator') if not cfg.get(key)]
    if missing:
        raise ConfigError(f'{experiment.config} has no {" and no ".join(missing)}: it cannot be trained and tested')
    metrics = cfg.test_evaluator if isinstance(cfg.test_evaluator, (list, tuple)) else [cfg.test_evaluator]
    if any(metric.get('output_dir') for metric in metrics):
        raise ConfigError(
            f'{experiment.config} sets output_dir of test_evaluator, where all runs would write: leave it out'
        )
