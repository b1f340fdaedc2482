"""What a sweep is, resolved before the first trial starts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_medical.configs import load_config
from mmseg_medical.engine.ablation.group import Experiment
from mmseg_medical.engine.ablation.plan import Run, flatten, make_plan
from mmseg_medical.engine.sweep.checks import check_space, config_options
from mmseg_medical.engine.sweep.samplers import PRUNERS, SAMPLERS
from mmseg_medical.engine.sweep.space import Labels, Space, key_of
from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.evaluation.table import higher_is_better

#: trials that a sampler draws unless told otherwise
TRIALS = 20
#: what a training of a trial has besides, so that its validations can be followed
TRAIN_OPTIONS: dict[str, Any] = {'default_hooks.validation_log': {'type': 'ValidationLogHook'}}
# of a machine, not of an experiment
_OF_MACHINES = ('data_root', 'num_workers', 'persistent_workers', 'split_file', 'work_dir')


@dataclass(frozen=True)
class Sweep:
    """One config, what is varied in it, and by what its trials are judged.

    Attributes:
        config (Path): the file.
        space (Space): what is varied.
        work_dir (Path): a trial with a seed gets ``<work_dir>/trials/<its name>/seed<seed>``.
        cfg_options (dict[str, Any]): changes of all trials.
        seeds (tuple[int, ...]): each trial is trained with all of them, its value is their mean.
        metric (str): name of a logged number.
        objective (str): ``'val'``: the best value over the validations of a training; ``'test'``: that of the test.
        direction (str | None): ``'maximize'`` or ``'minimize'``; None: as the metric's name says.
        sampler (str): see :data:`~mmseg_medical.engine.sweep.samplers.SAMPLERS`.
        pruner (str): see :data:`~mmseg_medical.engine.sweep.samplers.PRUNERS`.
        trials (int | None): how many; None: the whole grid, or 20.
        sampler_seed (int): of what the sampler draws.

    Raises:
        ConfigError: these contradict each other.
    """

    config: Path
    space: Space
    work_dir: Path
    cfg_options: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    metric: str = 'dice'
    objective: str = 'val'
    direction: str | None = None
    sampler: str = 'tpe'
    pruner: str = 'none'
    trials: int | None = None
    sampler_seed: int = 0

    def __post_init__(self) -> None:
        for option, value, known in (('sampler', self.sampler, SAMPLERS), ('pruner', self.pruner, PRUNERS)):
            if value not in known:
                raise ConfigError(f'--{option} {value}: expected is {", ".join(known)}.{did_you_mean(value, known)}')
        if self.trials is not None and self.trials < 1:
            raise ConfigError(f'--trials {self.trials}: at least one')
        if self.direction is None and higher_is_better(self.metric.partition('.')[0]) is None:
            raise ConfigError(f'--metric {self.metric}: say which is better, --direction maximize or minimize')
        if not self.seeds:
            raise ConfigError('--seeds: at least one')

    @property
    def higher(self) -> bool:
        """Whether larger values are better."""
        if self.direction is not None:
            return self.direction == 'maximize'
        return 'loss' not in self.metric and bool(higher_is_better(self.metric.partition('.')[0]))

    @property
    def total(self) -> int:
        """Trials of the sweep."""
        return len(self.grid[: self.trials]) if self.grid is not None else self.trials or TRIALS

    @cached_property
    def grid(self) -> tuple[Labels, ...] | None:
        """All combinations, None where a sampler draws them."""
        return tuple(self.space.grid()) if self.sampler == 'grid' else None

    @cached_property
    def cfg(self) -> Config:
        """The config, ``cfg_options`` in it."""
        return load_config(self.config, self.cfg_options)

    def check(self) -> None:
        """Refuse what no trial could do, before anything runs.

        Raises:
            ConfigError: see :func:`~mmseg_medical.engine.sweep.checks.check_space` and
                :func:`~mmseg_medical.engine.ablation.plan.make_plan`; or there is no validation to judge by.
        """
        combinations = self.grid if self.grid is not None else self.space.examples()
        check_space(self.space, self.cfg, self.cfg_options, combinations)
        if not self.cfg.get('val_dataloader') and (self.objective == 'val' or self.pruner != 'none'):
            raise ConfigError(f'{self.config} has no val_dataloader: take --objective test and --pruner none')
        self.runs(combinations[0])

    def runs(self, labels: Labels) -> list[Run]:
        """A training for each seed with some values."""
        changes = self.space.changes(labels)
        options = {**self.cfg_options, **config_options(changes)}
        experiment = Experiment(_folder_name(self.space.title(labels), changes), self.config)
        return make_plan([experiment], self.work_dir / 'trials', self.seeds, options)

    def steps(self) -> tuple[int, int]:
        """Step of the first validation and of the last."""
        changes = self.space.changes((self.grid or self.space.examples())[0])
        train_cfg = load_config(self.cfg, config_options(changes)).get('train_cfg') or {}
        last = int(train_cfg.get('max_epochs') or train_cfg.get('max_iters') or 1)
        return min(last, int(train_cfg.get('val_interval') or 1)), last

    def identity(self) -> dict[str, str]:
        """What must be the same in all calls for one sweep."""
        settings = dict(flatten(self.cfg.to_dict()))
        kept = {key: value for key, value in settings.items() if key.rpartition('.')[2] not in _OF_MACHINES}
        identity = {
            'config': hashlib.sha256(key_of(kept).encode()).hexdigest()[:12],
            'seeds': repr(self.seeds),
            'metric': f'{self.metric}, {"higher" if self.higher else "lower"} is better',
            'objective': self.objective,
            'sampler': 'grid' if self.sampler == 'grid' else 'random or tpe',
        }
        space = {f'parameter {name}': text for name, text in self.space.description().items()}
        return {**identity, **space}


def _folder_name(title: str, changes: Mapping[str, Any]) -> str:
    """Same name for the same changes, so that a trial begun again goes on."""
    plain = re.sub(r'[^\w.=+-]+', '_', title)[:60].strip('_.')
    return f'{plain}_{hashlib.sha256(key_of(changes).encode()).hexdigest()[:8]}'
