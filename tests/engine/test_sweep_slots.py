from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import sweep_cases as cases

from mmseg_medical.engine.ablation.children import locked
from mmseg_medical.engine.sweep import owner
from mmseg_medical.engine.sweep.slots import DROPPED, INSTEAD_OF, SLOT, counting

optuna = pytest.importorskip('optuna')
STATES = optuna.trial.TrialState


@pytest.fixture
def sweep(tmp_path):
    cases.write(tmp_path)
    return cases.sweep(tmp_path)


def numbers(trials) -> list[int]:
    return [trial.number for trial in trials]


@pytest.mark.parametrize('kind', ['journal', 'sqlite'])
def test_two_processes_share_a_grid(sweep, tmp_path, kind):
    url = None if kind == 'journal' else f'sqlite:///{tmp_path}/trials.db'
    one, two = cases.slots(sweep, url), cases.slots(sweep, url)
    one.fill()
    two.fill()
    assert len(one.store.trials()) == 3
    claimed = [slots.claim() for slots in (one, two, one, two)]
    assert claimed == [0, 1, 2, None]
    assert two.reap() == []  # this process lives
    for number in claimed[:3]:
        one.store.study.tell(number, 0.5)
    two.fill()
    assert two.claim() is None


def test_beginning_at_once_on_two_machines_makes_no_trial_twice(sweep):
    one = cases.slots(sweep)
    one.fill()
    for labels in sweep.grid:  # what a machine adds that has not seen these yet
        one._enqueue(labels, one.store.trials()[0].user_attrs[SLOT].replace('2', str(labels['model.width'])))
    assert len(one.store.trials()) == 6
    assert [one.claim() for _ in range(4)] == [0, 1, 2, None]
    assert numbers(counting(one.store.trials())) == [0, 1, 2]
    assert one.store.trials()[4].user_attrs[DROPPED] == 'the same as trial 1'


def test_drawn_trials_are_as_many_as_asked_for(tmp_path):
    cases.write(tmp_path)
    slots = cases.slots(cases.sweep(tmp_path, sampler='random', trials=3))
    slots.fill()
    slots.store.study.enqueue_trial({})
    assert [slots.claim() for _ in range(4)] == [0, 1, 2, None]
    slots.drop(1, 'not allowed')
    slots.fill()
    assert slots.claim() == 4
    more = cases.slots(cases.sweep(tmp_path, sampler='random', trials=5))
    more.fill()
    assert [more.claim() for _ in range(3)] == [5, 6, None]


def test_a_dead_process_gives_its_trial_back(sweep):
    dead = subprocess.Popen([sys.executable, '-c', ''])
    dead.wait()
    slots = cases.slots(sweep)
    slots.fill()
    slots.claim({**owner.identify(), 'pid': dead.pid, 'started': '1'})
    slots.claim()
    assert slots.reap() == [0]
    assert slots.store.trials()[0].state == STATES.FAIL
    slots.fill()
    slots.fill()
    again = slots.store.trials()[3]
    assert (again.user_attrs[INSTEAD_OF], again.system_attrs['fixed_params']) == (0, {'model.width': 2})
    assert numbers(counting(slots.store.trials())) == [1, 2, 3]
    assert [slots.claim() for _ in range(3)] == [2, 3, None]
    slots.release(2, 'late')
    slots.release(2, 'later')
    slots.fill(retry_failed=True)
    assert slots.claim() == 4


def test_a_child_that_outlives_its_parent_keeps_the_trial(sweep):
    slots = cases.slots(sweep)
    slots.fill()
    slots.claim({**owner.identify(), 'started': '1'})
    run = sweep.runs(sweep.grid[0])[0]
    with locked(run.folder):
        assert slots.reap() == []
    assert slots.reap() == [0]


def test_who_lives():
    mine = owner.identify()
    assert owner.lives(mine, 0.0)
    assert not owner.lives({**mine, 'started': '1'}, time.time())  # another process with this number
    other = {**mine, 'host': 'elsewhere'}
    assert owner.lives(other, time.time() - owner.STALE / 2)
    assert not owner.lives(other, time.time() - 2 * owner.STALE)
    assert owner.identify(os.getppid())['pid'] != mine['pid']


def test_a_claim_that_was_cut_short(sweep, monkeypatch):
    slots = cases.slots(sweep)
    slots.fill()
    trial_id = slots.store.trial_id(0)
    slots.store.storage.set_trial_state_values(trial_id, STATES.RUNNING)
    assert slots.reap() == []
    monkeypatch.setattr('mmseg_medical.engine.sweep.slots.BEAT', 0.0)
    assert slots.reap() == [0]
