"""Validation scores as a file that another process can follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop

from mmseg_medical.evaluation.json_files import json_ready
from mmseg_medical.files import atomic_write
from mmseg_medical.registry import HOOKS

VALIDATION_FILE = 'validation.jsonl'


@HOOKS.register_module()
class ValidationLogHook(Hook):
    """Add a line to ``validation.jsonl`` of the work dir after each validation of a training.

    A line is ``{"step": 3, "metrics": {"dice": 0.8, ...}}``; the step counts epochs where the training does, otherwise
    iterations. A training from the start begins the file anew, a resumed one leaves out what it will do again.
    """

    priority = 'VERY_LOW'

    def before_train(self, runner: Any) -> None:
        """Leave out the lines of steps that are to come."""
        if not is_main_process():
            return
        path, step = Path(runner.work_dir, VALIDATION_FILE), _step(runner)
        lines = [line for line in read_validations(path) if line[0] <= step]
        with atomic_write(path) as file:
            file.writelines(_line(*line) for line in lines if step)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Add the line of a validation."""
        if not is_main_process():
            return
        numbers = {name: float(value) for name, value in (metrics or {}).items() if isinstance(value, (int, float))}
        with Path(runner.work_dir, VALIDATION_FILE).open('a', encoding='utf-8') as file:
            file.write(_line(_step(runner), numbers))


def read_validations(path: str | Path) -> list[tuple[int, dict[str, Any]]]:
    """Read (step, metrics) pairs in the order of steps; of a step that is there twice the later, of half a line none.

    Metrics that are undefined are None, infinite ones the texts ``inf`` and ``-inf``.
    """
    found: dict[int, dict[str, Any]] = {}
    try:
        lines = Path(path).read_text(encoding='utf-8').splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            content = json.loads(line)
            found[int(content['step'])] = dict(content['metrics'])
        except (ValueError, KeyError, TypeError):
            continue  # the last line while it is being written, or of a process that was killed
    return sorted(found.items())


def _step(runner: Any) -> int:
    return runner.epoch if isinstance(runner.train_loop, EpochBasedTrainLoop) else runner.iter


def _line(step: int, metrics: dict[str, Any]) -> str:
    return json.dumps({'step': step, 'metrics': json_ready(metrics)}, allow_nan=False) + '\n'
