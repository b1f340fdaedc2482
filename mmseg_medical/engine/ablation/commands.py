"""Command lines of a run."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmseg_medical.engine.ablation.plan import Run
from mmseg_medical.engine.ablation.state import TEST_FOLDER
from mmseg_medical.engine.checkpoint import find_resumable
from mmseg_medical.errors import CheckpointError

# a further hook of the test, see RecordHook
_RECORD = {'default_hooks.record': {'type': 'RecordHook'}}


@dataclass(frozen=True)
class Slurm:
    """How a run becomes a job of a cluster.

    Attributes:
        partition (str | None): None takes the cluster's default.
        srun_args (tuple[str, ...]): further words for srun; of an option given twice it takes the last.
    """

    partition: str | None = None
    srun_args: tuple[str, ...] = ()


@dataclass(frozen=True)
class Commands:
    """Command lines of the tools.

    Attributes:
        tools (Path): folder of train.py, test.py and run_ablation.py.
        python (str): interpreter.
        train_options (dict[str, Any]): changes of the config that concern a training alone.
    """

    tools: Path
    python: str = field(default_factory=lambda: sys.executable)
    train_options: dict[str, Any] = field(default_factory=dict)

    def train(self, run: Run, resume: bool) -> list[str]:
        """Train a run, from the start or from its newest checkpoint."""
        words = [self.python, str(self.tools / 'train.py'), str(run.config), '--work-dir', str(run.folder)]
        return [*words, *(['--resume'] if resume else []), *_options({**run.options, **self.train_options})]

    def test(self, run: Run, checkpoint: str | Path) -> list[str]:
        """Test a checkpoint of a run."""
        words = [self.python, str(self.tools / 'test.py'), str(run.config), str(checkpoint)]
        return [*words, '--work-dir', str(run.folder / TEST_FOLDER), *_options({**run.options, **_RECORD})]

    def job(self, run: Run, slurm: Slurm, again: bool) -> list[str]:
        """Train and test a run as one job of a cluster."""
        words = ['srun', *([f'--partition={slurm.partition}'] if slurm.partition else [])]
        words += [f'--job-name={run.name}_seed{run.seed}', '--ntasks=1', '--cpus-per-task=5', '--gres=gpu:1']
        words += ['--kill-on-bad-exit=1', *slurm.srun_args]
        words += [self.python, '-u', str(self.tools / 'run_ablation.py'), f'{run.name}={run.config}']
        words += ['--work-dir', str(run.folder.parents[1]), '--seeds', str(run.seed), '--runs-only']
        options = {key: value for key, value in run.options.items() if key != 'randomness.seed'}
        return [*words, *(['--again'] if again else []), *_options(options)]


def find_checkpoint(run: Run) -> Path | None:
    """Checkpoint to test: the best by the first number that names best ones, else the last; None without any."""
    for number in run.best_by:
        name = '.+' if number == 'auto' else re.escape(number.replace('/', '_'))
        best = [path for path in run.folder.glob('best_*.pth') if re.fullmatch(rf'best_{name}_[a-z]+_\d+', path.stem)]
        if best:
            return max(best, key=lambda path: path.stat().st_mtime_ns)
    return last_checkpoint(run)


def last_checkpoint(run: Run) -> Path | None:
    """Newest checkpoint of a run, None without any."""
    try:
        return find_resumable(run.folder)
    except CheckpointError:
        return None


def _options(options: dict[str, Any]) -> Sequence[str]:
    """``--cfg-options`` as the tools read them back: every value as a Python literal."""
    pairs = [f'{key}={value!r}' for key, value in options.items()]
    return ['--cfg-options', *pairs] if pairs else []
