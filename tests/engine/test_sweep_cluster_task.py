"""What a node does with a trial, called here without a cluster."""

from __future__ import annotations

import os
import shutil
import threading
import time

import pytest
import sweep_cases as cases

from mmseg_medical.engine.ablation.children import Children
from mmseg_medical.engine.sweep import cluster_task as module
from mmseg_medical.engine.sweep.cluster_task import MARK_FILE, Worker, join, make_task, run_trial, try_to_join
from mmseg_medical.engine.sweep.storage import JOURNAL, open_storage
from mmseg_medical.errors import ConfigError

optuna = pytest.importorskip('optuna')


def prepare(folder, storage=None, **options):
    """A task of a sweep whose trials wait, and these."""
    cases.write(folder)
    sweep = cases.sweep(folder, **options)
    slots = cases.slots(sweep, storage)
    slots.fill()
    return make_task(sweep, slots.store, storage, folder / 'tools', threads=3, places=2), slots


def states(slots) -> list[str]:
    return [trial.state.name for trial in slots.store.trials()]


def test_one_trial_after_the_other_until_none_waits(tmp_path, monkeypatch, capfd):
    cases.in_process(monkeypatch)
    task, slots = prepare(tmp_path)
    (tmp_path / 'broken').write_text('[8]')
    answers = [run_trial(task, Children(1, 0.05)) for _ in range(4)]
    said = [answer.pop('said', '') for answer in answers]
    assert answers == [
        {'trial': 0, 'outcome': 'finished', 'dice': pytest.approx(0.84)},
        {'trial': 1, 'outcome': 'failed'},
        {'trial': 2, 'outcome': 'finished', 'dice': pytest.approx(0.82)},
        {},
    ]
    assert said[0].startswith('trial 0 (width=2): dice 0.8400')
    assert said[1].startswith('trial 1 (width=8): FAILED, seed 0: training ended with status 3')
    assert states(slots) == ['COMPLETE', 'FAIL', 'COMPLETE']
    assert 'seed 0: training\n' in capfd.readouterr().out


def test_threads_and_gpu_of_a_trial(tmp_path, monkeypatch):
    """Ray has set CUDA_VISIBLE_DEVICES in the process of the worker, and threads of its own."""
    task, _ = prepare(tmp_path)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '5')
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    seen = []

    def call(self, command, log, environment, keep_open=(), watch=None) -> int:
        log.touch()
        seen.append((environment['OMP_NUM_THREADS'], environment['CUDA_VISIBLE_DEVICES']))
        return 1

    monkeypatch.setattr(Children, 'call', call)
    run_trial(task, Children())
    assert seen == [('3', '5')]


def test_relative_paths_begin_where_the_sweep_does(tmp_path, monkeypatch):
    cases.in_process(monkeypatch)
    cases.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    relative = cases.sweep(type(tmp_path)())
    slots = cases.slots(relative, 'kept/trials.journal')
    slots.fill()
    task = make_task(relative, slots.store, 'kept/trials.journal', type(tmp_path)('tools'))
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert run_trial(task, Children())['outcome'] == 'finished'
    assert os.getcwd() == str(tmp_path)  # noqa: PTH109 - what is changed
    assert list(elsewhere.iterdir()) == []
    assert slots.store.trials()[0].user_attrs['folder'].startswith(str(tmp_path / 'w' / 'trials'))


@pytest.mark.parametrize('name', ['tools/train.py', 'net.py', 'space.py', 'w', 'w/sweep.mark', 'w/sweep.journal'])
def test_a_node_that_does_not_see_a_file(tmp_path, name):
    task, _ = prepare(tmp_path)
    (tmp_path / name).rename(tmp_path / 'hidden')
    reason = try_to_join(task)
    missing = 'w/sweep.mark' if name == 'w' else name
    assert f'cannot take part: it does not see {tmp_path / missing}. Config, space, tools, work dir' in reason
    # nothing is begun in a local folder of this name
    assert run_trial(task, Children()) == {'fatal': reason}
    assert not (tmp_path / name).exists()


def test_a_node_with_other_files_of_the_same_names(tmp_path):
    task, slots = prepare(tmp_path)
    assert try_to_join(task) is None
    journal = tmp_path / 'w' / JOURNAL
    shutil.copy(journal, tmp_path / 'kept')
    journal.write_text('')
    assert 'what it finds at the address of --storage is another one' in try_to_join(task)
    assert journal.read_text() == ''  # no study is begun there
    other = cases.slots(cases.sweep(tmp_path))  # a study of the same name
    assert other.store.study.user_attrs.get('mark') is None
    assert 'what it finds at the address of --storage is another one' in try_to_join(task)
    shutil.copy(tmp_path / 'kept', journal)
    (tmp_path / 'w' / MARK_FILE).write_text('another')
    with pytest.raises(ConfigError, match=r'its .*/w is another one\. The work dir must be shared by all nodes'):
        join(task)
    assert make_task(cases.sweep(tmp_path), slots.store, None, tmp_path / 'tools').mark == task.mark
    assert try_to_join(task) is None
    (tmp_path / 'net.py').write_text(cases.config().pretty_text.replace('lr=0.1', 'lr=0.2'))
    assert 'begun otherwise: config was' in try_to_join(task)


def test_servers_have_no_journal(tmp_path):
    url = f'sqlite:///{tmp_path}/trials.db'
    task, _ = prepare(tmp_path, url)
    assert task.journal is None
    assert try_to_join(task) is None
    (tmp_path / 'trials.db').unlink()
    open_storage(url, tmp_path)
    assert 'name its host' in try_to_join(task)


def test_what_no_trial_can_mend_ends_the_sweep(tmp_path, monkeypatch):
    cases.in_process(monkeypatch)
    task, slots = prepare(tmp_path, metric='dise')
    assert 'has no such number' in run_trial(task, Children())['fatal']
    assert states(slots) == ['FAIL', 'WAITING', 'WAITING']
    lost = optuna.exceptions.StorageInternalError('gone')

    def fail(*args):
        raise lost

    monkeypatch.setattr(module, 'run_next', fail)
    assert run_trial(task, Children())['fatal'] == 'the storage of the sweep was lost: gone; the same call goes on'


def test_a_worker_answers_while_its_trial_runs_and_gives_it_back(tmp_path, monkeypatch):
    monkeypatch.setattr(module, '_STEP', 0.05)
    task, slots = prepare(tmp_path)
    (tmp_path / 'endless').write_text('[2]')
    worker = Worker(task, Children(5, 0.05))
    deadline = time.monotonic() + 120
    while 'waiting' not in cases.calls(tmp_path) and time.monotonic() < deadline:
        assert worker.step() == {'done': False}
        threading.Event().wait(0.02)
    worker.end()
    assert worker.step() == {'done': True}
    assert slots.store.trials()[0].user_attrs['died'] == 'interrupted'
    (tmp_path / 'endless').unlink()
    slots.fill()
    assert states(slots) == ['FAIL', 'WAITING', 'WAITING', 'WAITING']
    assert run_trial(task, Children())['trial'] == 1
    assert cases.calls(tmp_path)[:2] == ['train 2 0', 'waiting']


def test_a_fault_of_the_program_is_raised(tmp_path, monkeypatch):
    task, _ = prepare(tmp_path)
    monkeypatch.setattr(module, 'run_next', lambda *args: 1 / 0)
    worker = Worker(task)
    worker.end()
    with pytest.raises(ZeroDivisionError):
        worker.step()
