"""Which trials there are to be, and who takes the next: no trial twice, whatever number of processes work on a sweep.

A trial to come waits in the storage, with its values or, where a sampler draws them, without. The change from waiting
to running is the storage's own atomic step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmseg_medical.engine.sweep.owner import BEAT, identify, lives
from mmseg_medical.engine.sweep.space import Labels, key_of
from mmseg_medical.engine.sweep.storage import StudyStore, import_optuna

# attributes of a trial
SLOT = 'slot'  # values of a grid as text
INSTEAD_OF = 'instead_of'  # number of the trial that this one begins again
DROPPED = 'dropped'  # why it does not count
DIED = 'died'  # why it ended without a result
OWNER = 'owner'
BEATEN = 'beaten'


@dataclass(frozen=True)
class Slots:
    """Trials of a sweep to come.

    Attributes:
        store (StudyStore): where they are kept.
        grid (tuple[Labels, ...] | None): all combinations; None: a sampler draws them.
        total (int): trials of the sweep.
        names (tuple[str, ...]): parameters.
        is_busy (Callable): whether a child of a dead process still works on the trial with these values.
    """

    store: StudyStore
    grid: tuple[Labels, ...] | None
    total: int
    names: tuple[str, ...]
    is_busy: Callable[[Labels], bool] = lambda labels: False

    def fill(self, retry_failed: bool = False) -> None:
        """Let those trials wait that are missing, and begin those again that died.

        Args:
            retry_failed (bool): begin failed trials again, too.
        """
        trials = self.store.trials()
        failed = import_optuna().trial.TrialState.FAIL
        replaced = _replaced(trials)
        for trial in trials:
            ended = trial.state == failed and DROPPED not in trial.user_attrs and trial.number not in replaced
            if ended and (retry_failed or DIED in trial.user_attrs):
                self._enqueue(_values(trial), trial.user_attrs.get(SLOT), trial.number)
        known = counting(self.store.trials())
        if self.grid is None:
            for _ in range(self.total - len(known)):
                self._enqueue({}, None)
            return
        slots = {trial.user_attrs.get(SLOT) for trial in known}
        for labels in self.grid[: self.total]:
            if key_of(labels) not in slots:
                self._enqueue(labels, key_of(labels))

    def _enqueue(self, labels: Labels, slot: str | None, instead_of: int | None = None) -> None:
        attrs: dict[str, Any] = {} if slot is None else {SLOT: slot}
        if instead_of is not None:
            attrs[INSTEAD_OF] = instead_of
        self.store.study.enqueue_trial(dict(labels), user_attrs=attrs)

    def claim(self, owner: Mapping[str, Any] | None = None) -> int | None:
        """Take the next trial that waits.

        Args:
            owner (Mapping | None): who takes it; None: this process.

        Returns:
            int | None: its number, None if none waits.
        """
        optuna = import_optuna()
        states = optuna.trial.TrialState
        for trial in self.store.study.get_trials(deepcopy=False, states=(states.WAITING,)):
            trial_id = self.store.trial_id(trial.number)
            try:
                if not self.store.storage.set_trial_state_values(trial_id, state=states.RUNNING):
                    continue
            except optuna.exceptions.UpdateFinishedTrialError:
                continue
            self.store.storage.set_trial_user_attr(trial_id, OWNER, dict(owner or identify()))
            self.beat(trial.number)
            reason = self._surplus(trial.number)
            if reason is None:
                return trial.number
            self.drop(trial.number, reason)
        return None

    def _surplus(self, number: int) -> str | None:
        """Why a trial is one too many, which happens where two machines begin a sweep at once."""
        trials = self.store.trials()
        before = [trial for trial in counting(trials) if trial.number < number]
        slot = trials[number].user_attrs.get(SLOT)
        twins = [trial.number for trial in before if slot is not None and trial.user_attrs.get(SLOT) == slot]
        if twins:
            return f'the same as trial {twins[0]}'
        return 'more than the sweep has' if self.grid is None and len(before) >= self.total else None

    def drop(self, number: int, reason: str) -> None:
        """End a trial that does not count, and let another take its place."""
        self.store.storage.set_trial_user_attr(self.store.trial_id(number), DROPPED, reason)
        # pruned, so that samplers learn to keep away from what is not allowed
        self.store.study.tell(number, state=import_optuna().trial.TrialState.PRUNED)

    def beat(self, number: int) -> None:
        """Give a sign of life."""
        self.store.storage.set_trial_user_attr(self.store.trial_id(number), BEATEN, time.time())

    def release(self, number: int, reason: str) -> None:
        """End a trial without a result, so that the next call begins it again."""
        optuna = import_optuna()
        trial_id = self.store.trial_id(number)
        try:
            self.store.storage.set_trial_user_attr(trial_id, DIED, reason)
            self.store.storage.set_trial_state_values(trial_id, state=optuna.trial.TrialState.FAIL)
        except optuna.exceptions.UpdateFinishedTrialError:  # another process was faster
            return

    def reap(self) -> list[int]:
        """Release the trials whose process has died; their numbers."""
        dead = [trial for trial in self.running() if not self._lives(trial)]
        for trial in dead:
            self.release(trial.number, 'the process that ran it has died')
        return [trial.number for trial in dead]

    def running(self) -> list[Any]:
        """Trials under way."""
        states = import_optuna().trial.TrialState
        return self.store.study.get_trials(deepcopy=False, states=(states.RUNNING,))

    def _lives(self, trial: Any) -> bool:
        owner = trial.user_attrs.get(OWNER)
        started = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        if owner is None:  # it is being claimed, or its process died in between
            return time.time() - started < BEAT
        if lives(owner, trial.user_attrs.get(BEATEN, started)):
            return True
        values = _values(trial)
        return set(self.names) <= set(values) and self.is_busy(values)


def counting(trials: Sequence[Any]) -> list[Any]:
    """Trials that are of the sweep: not dropped, not begun again."""
    replaced = _replaced(trials)
    return [trial for trial in trials if DROPPED not in trial.user_attrs and trial.number not in replaced]


def _replaced(trials: Sequence[Any]) -> set[int]:
    numbers = {trial.user_attrs.get(INSTEAD_OF) for trial in trials if DROPPED not in trial.user_attrs}
    return {number for number in numbers if number is not None}


def _values(trial: Any) -> dict[str, Any]:
    return {**trial.system_attrs.get('fixed_params', {}), **trial.params}
