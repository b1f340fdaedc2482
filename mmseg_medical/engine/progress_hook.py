"""A progress bar on the terminal."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from mmseg_medical.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show iterations, loss and remaining time of training and testing, in place of log lines.

    Where the output is not a terminal, ten lines a run are printed instead. Use it with ``log_level='WARNING'``.

    Args:
        smoothing: Weight of the newest loss in the running mean that is shown, in (0, 1].
    """

    priority = 'VERY_LOW'

    def __init__(self, smoothing: float = 0.1) -> None:
        self.smoothing = smoothing
        self._console = Console()
        self._progress: Progress | None = None
        self._task: Any = None
        self._loss: float | None = None

    def _start(self, title: str, total: int, done: int = 0) -> None:
        columns = [
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn('{task.fields[note]}'),
        ]
        times = [TimeElapsedColumn(), TextColumn('left'), TimeRemainingColumn()]
        self._progress = Progress(*columns, *times, console=self._console, disable=not self._console.is_terminal)
        self._task = self._progress.add_task(title, total=total, completed=done, note='')
        self._progress.start()

    def _advance(self, note: str = '') -> None:
        if self._progress is None:
            return
        self._progress.update(self._task, advance=1, note=note)
        task = self._progress.tasks[0]
        done, total = int(task.completed), int(task.total or 1)
        if not self._console.is_terminal and done * 10 // total > (done - 1) * 10 // total:
            left = f'{task.time_remaining:.0f} s left' if task.time_remaining else ''
            parts = [f'{task.description} {done}/{total}', note, left]
            self._console.print(', '.join(part for part in parts if part), highlight=False)

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def before_train(self, runner: Any) -> None:
        """Open the bar at the iteration that training starts from."""
        if runner.rank == 0:
            self._start('training', runner.max_iters, runner.iter)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Show the running mean of the loss."""
        if (value := (outputs or {}).get('loss')) is not None:
            loss = float(value.detach()) if isinstance(value, Tensor) else float(value)
            self._loss = loss if self._loss is None else self._loss + self.smoothing * (loss - self._loss)
        self._advance('' if self._loss is None else f'loss {self._loss:.3f}')

    def before_test_epoch(self, runner: Any) -> None:
        """Open the bar over the test images."""
        if runner.rank == 0:
            self._start('testing', len(runner.test_dataloader))

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Count a batch."""
        self._advance()

    def after_train(self, runner: Any) -> None:
        """Close the bar."""
        self._stop()

    def after_test_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Close the bar."""
        self._stop()
