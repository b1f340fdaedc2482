"""Seconds of training and the score at each check."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

CHECKS = 6
#: steps of the trial that says how long one takes; the first ones warm up and do not count
TIMED_STEPS, WARM_UP = 60, 15


class Clock:
    """Runs while :meth:`start` was called last."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.steps = 0
        self.curve: list[dict[str, Any]] = []
        self._since: float | None = None
        self._warm = 0.0

    def start(self) -> None:
        """Run."""
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Pause."""
        if self._since is not None:
            self.seconds += time.perf_counter() - self._since
            self._since = None

    def step(self) -> None:
        """Count a step."""
        self.steps += 1
        if self.steps == WARM_UP:
            self.stop()
            self._warm = self.seconds
            self.start()

    @property
    def seconds_per_step(self) -> float:
        """Seconds a step took since the warm-up."""
        return (self.seconds - self._warm) / (self.steps - WARM_UP)

    def note(self, dice: list[float]) -> None:
        """Keep the Dice of each class at this moment."""
        self.curve.append(dict(step=self.steps, seconds=round(self.seconds, 1), dice=dice, mean=sum(dice) / len(dice)))
        print(json.dumps(self.curve[-1]), file=sys.stderr, flush=True)

    def summary(self, planned: int) -> dict[str, Any]:
        """Return what goes into the file."""
        return dict(
            steps=planned,
            seconds=round(self.seconds, 1),
            seconds_per_step=round(self.seconds_per_step, 4),
            curve=self.curve,
        )
