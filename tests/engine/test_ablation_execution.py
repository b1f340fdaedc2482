from __future__ import annotations

import json
import os
import shlex
import threading
import time
from pathlib import Path

import ablation_cases as cases
import pytest

from mmseg_medical.engine.ablation.children import Children, Stopped
from mmseg_medical.engine.ablation.commands import Commands, Slurm
from mmseg_medical.engine.ablation.execution import Executor
from mmseg_medical.engine.ablation.state import State, read_state, write_state
from mmseg_medical.errors import ConfigError


@pytest.fixture
def commands(tmp_path) -> Commands:
    return Commands(cases.write_tools(tmp_path / 'tools'))


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ('a', 'b', 'c'):
        cases.write_config(tmp_path / 'configs', name)
    return tmp_path / 'configs'


@pytest.fixture
def runs(folder, tmp_path):
    return cases.plan(tmp_path / 'w', *(folder / f'{name}.py' for name in 'abc'))


def executor(commands, **options) -> tuple[Executor, list[str]]:
    said: list[str] = []
    return Executor(commands, say=said.append, **options), said


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def test_in_order_and_a_failing_run_stops_no_other(commands, folder, runs):
    (folder / 'b.broken').touch()
    done, said = executor(commands)
    failed = done.execute(runs)
    assert list(failed) == ['b, seed 0']
    assert 'the broken of b' in failed['b, seed 0']
    best = 'best_dice_iter_1.pth'
    assert cases.calls(folder) == ['train a 0', f'test a 0 {best}', 'train b 0', 'train c 0', f'test c 0 {best}']
    assert [line for line in said if line.startswith('b')] == ['b, seed 0: training', 'b, seed 0: FAILED']
    assert [read_state(run).status for run in runs] == ['finished', 'failed', 'finished']
    (folder / 'b.broken').unlink()
    assert done.execute(runs) == {}
    assert cases.calls(folder)[5:] == ['train b 0', f'test b 0 {best}']


def test_one_run_on_each_gpu(commands, folder, runs, monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    done, _ = executor(commands, gpus=('3', '5'))
    assert done.places(9) == ['3', '5']
    assert done.execute(runs[:1]) == {}
    environment = json.loads((folder / 'environment.json').read_text())
    assert environment['CUDA_VISIBLE_DEVICES'] in ('3', '5')
    assert int(environment['OMP_NUM_THREADS']) >= 1
    assert read_state(runs[0]).running == 2
    alone, _ = executor(commands)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '7')
    assert alone.execute(runs[1:2]) == {}
    environment = json.loads((folder / 'environment.json').read_text())
    assert environment['CUDA_VISIBLE_DEVICES'] == '7'
    assert 'OMP_NUM_THREADS' not in environment


def test_places_of_runs(commands):
    assert executor(commands)[0].places(4) == [None]
    assert executor(commands, jobs=3)[0].places(2) == [None, None]
    assert executor(commands, jobs=1, gpus=('0', '1'))[0].places(4) == ['0']
    assert executor(commands, slurm=Slurm())[0].places(4) == [None] * 4


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(jobs=0), 'at least one run'),
        (dict(gpus=('0', '0')), 'named twice'),
        (dict(gpus=('0',), slurm=Slurm()), 'jobs of SLURM ask for theirs'),
        (dict(gpus=('0',), jobs=2), r'--jobs 2: each of the 1 --gpus'),
    ],
)
def test_contradictions(commands, options, message):
    with pytest.raises(ConfigError, match=message):
        executor(commands, **options)


def test_a_changed_config_is_refused_before_anything_begins(commands, folder, runs):
    write_state(runs[2], State('training', settings={'model.type': 'old'}))
    with pytest.raises(ConfigError, match=r'c, seed 0: the config has changed'):
        executor(commands)[0].execute(runs)
    assert cases.calls(folder) == []
    assert executor(commands, again=True)[0].execute(runs) == {}


def test_what_is_left_to_do(commands, folder, runs):
    done, _ = executor(commands)
    done.execute(runs[:1])
    (runs[1].folder).mkdir(parents=True)
    write_state(runs[1], State('training', settings=runs[1].settings))
    (runs[1].folder / 'iter_1.pth').touch()
    train, test, *rest = done.pending(runs)
    assert train[:3] == [commands.python, str(commands.tools / 'train.py'), str(folder / 'b.py')]
    assert train[3:] == ['--work-dir', str(runs[1].folder), '--resume', '--cfg-options', 'randomness.seed=0']
    assert test[3:6] == ['CHECKPOINT', '--work-dir', str(runs[1].folder / 'test')]
    assert [Path(words[2]).name for words in rest] == ['c.py', 'c.py']
    assert '--resume' not in rest[0]
    write_state(runs[1], State('testing', True, settings=runs[1].settings))
    assert done.pending(runs)[0][3] == str(runs[1].folder / 'iter_1.pth')
    write_state(runs[1], State('training', settings={}))
    assert '--resume' not in executor(commands, again=True)[0].pending(runs)[0]
    with pytest.raises(ConfigError, match='has changed'):
        done.pending(runs)


def test_stopping_ends_the_children_and_leaves_a_state_that_resumes(commands, folder, runs):
    (folder / 'a.endless').touch()
    done, _ = executor(commands, children=Children(grace=5))
    caught: list[BaseException] = []

    def work() -> None:
        try:
            done.run_here(runs[0], None, 1)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: 'waiting' in cases.calls(folder))
    done.children.stop()
    thread.join(30)
    assert isinstance(caught[0], Stopped)
    assert read_state(runs[0]).status == 'training'
    with pytest.raises(Stopped):
        done.children.call(['true'], folder / 'log', os.environ)
    (folder / 'a.endless').unlink()
    assert executor(commands)[0].execute(runs[:1]) == {}
    assert cases.calls(folder)[2] == 'train a 0 resumed'


def test_jobs_of_a_cluster(folder, tmp_path, monkeypatch):
    """An srun that runs its command at once; the command of the job is a stand-in that finishes or fails."""
    tools = tmp_path / 'tools'
    tools.mkdir()
    (tools / 'run_ablation.py').write_text('import sys\nprint("job of", sys.argv[1])\nsys.exit("b=" in sys.argv[1])\n')
    options = {'train_dataloader.batch_size': 2}
    runs = cases.plan(tmp_path / 'w', *(folder / f'{name}.py' for name in 'ab'), seeds=(4,), cfg_options=options)
    for run in runs:
        (run.folder / 'test').mkdir(parents=True)
        (run.folder / 'test' / 'test_record.json').touch()
    write_state(runs[1], State('failed', error='of an earlier call', settings=runs[1].settings))
    submit, _ = executor(Commands(tools), slurm=Slurm('gpu', ('--time=1:00', '--gres=gpu:h200:1')), jobs=1)
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(ConfigError, match='there is no srun here'):
        submit.execute(runs)
    monkeypatch.undo()
    monkeypatch.setenv('PATH', cases.write_srun(tmp_path))
    lines = [shlex.join(words[1:]) for words in submit.pending(runs)]
    failed = submit.execute(runs)
    assert (tmp_path / 'srun.txt').read_text().splitlines() == lines
    assert lines[0] == (
        '--partition=gpu --job-name=a_seed4 --ntasks=1 --cpus-per-task=5 --gres=gpu:1 --kill-on-bad-exit=1 '
        f'--time=1:00 --gres=gpu:h200:1 {Commands(tools).python} -u {tools}/run_ablation.py a={folder}/a.py '
        f'--work-dir {tmp_path}/w --seeds 4 --runs-only --cfg-options train_dataloader.batch_size=2'
    )
    assert 'the job ended with status 0' in failed['a, seed 4']  # without leaving a result
    assert 'the job ended with status 1' in failed['b, seed 4']
    assert 'job of b=' in failed['b, seed 4']
    assert 'of an earlier call' not in failed['b, seed 4']
    write_state(runs[0], State('finished', True, settings=runs[0].settings))
    assert list(submit.execute(runs)) == ['b, seed 4']
    assert len((tmp_path / 'srun.txt').read_text().splitlines()) == 3
