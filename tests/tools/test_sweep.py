"""tools/sweep.py as a user calls it."""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import phantom_config
import pytest
import sweep_cases as cases
from command import ROOT, caller

from mmseg_medical.engine.ablation.children import Children

pytest.importorskip('optuna')


@pytest.fixture
def tool(tmp_path) -> Path:
    """The tool beside stand-ins of train.py and test.py."""
    cases.write(tmp_path, "parameters = {'model.width': [2, 8, 16, 20]}\n")
    return Path(shutil.copy(ROOT / 'tools' / 'sweep.py', tmp_path / 'tools'))


@pytest.fixture
def call(monkeypatch, capsys):
    return caller(monkeypatch, capsys)


def words(folder: Path, *more: object) -> list[object]:
    space = folder / 'space.py'
    return [folder / 'net.py', '--space', space, '--sampler', 'grid', '--work-dir', folder / 'w', *more]


def start(tool: Path, *more: object) -> subprocess.Popen:
    command = [sys.executable, str(tool), *map(str, words(tool.parents[1], *more))]
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def wait_for_waiting(folder: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 240
    while 'waiting' not in cases.calls(folder):
        assert process.poll() is None
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def test_bad_input_dry_run_and_failure(tool, tmp_path, call, monkeypatch):
    status, output, _ = call(tool, *words(tmp_path), '--dry-run', '--seeds', 0, 1)
    assert (status, output.splitlines()[-1]) == (0, '4 trials, 2 training(s) each')
    assert not (tmp_path / 'w').exists()
    (tmp_path / 'space.py').write_text("parameters = {'model.widht': [1]}")
    status, _, errors = call(tool, *words(tmp_path))
    assert status == 2
    assert 'no key model.widht. Did you mean model.width?' in errors
    assert not (tmp_path / 'w').exists()
    (tmp_path / 'space.py').write_text(cases.WIDTHS)
    status, _, errors = call(tool, *words(tmp_path), '--storage', 'sqlite:////nowhere/at/all/x.db')
    assert status == 2
    assert 'cannot be reached' in errors
    assert cases.calls(tmp_path) == []
    cases.in_process(monkeypatch)
    (tmp_path / 'broken').write_text('[16]')
    status, output, errors = call(tool, *words(tmp_path))
    assert status == 1
    assert '--retry-failed begins them again' in errors
    assert '3 trials: 2 finished, 1 failed.' in output
    assert {path.name for path in (tmp_path / 'w').iterdir()} >= {
        *('results.json', 'sweep.txt', 'sweep.md', 'history.png', 'slices.png', 'sweep.journal')
    }


def test_a_cluster_that_cannot_be(tool, tmp_path, call, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'ray' else find(name))
    status, _, errors = call(tool, *words(tmp_path), '--trial-cpus', 2)
    assert (status, '--trial-cpus is of --launcher ray' in errors) == (2, True)
    given = [*words(tmp_path), '--launcher', 'ray', '--ray-address', 'local', '--trial-cpus', 2]
    status, _, errors = call(tool, *given, '--trial-gpus', 3)
    assert (status, '--trial-gpus 3: expected is 0 to 1' in errors) == (2, True)
    status, _, errors = call(tool, *given, '--gpus', 0)
    assert (status, '--gpus are those of this machine' in errors) == (2, True)
    status, _, errors = call(tool, *given, '--trial-gpus', 0.5)
    assert (status, "pip install 'mmseg-medical[cluster]'" in errors) == (2, True)
    assert not (tmp_path / 'w').exists()


def test_killed_without_mercy_then_two_processes_on_one_storage(tool, tmp_path):
    (tmp_path / 'endless').write_text('[8]')
    process = start(tool)
    wait_for_waiting(tmp_path, process)
    child = _newest_child(process.pid)
    process.kill()
    process.wait()
    os.kill(child, signal.SIGKILL)  # a sweep that is killed so cannot end its training
    (tmp_path / 'endless').unlink()
    both = [start(tool) for _ in range(2)]
    assert [process.wait(300) for process in both] == [0, 0]
    trained = [line for line in cases.calls(tmp_path) if line.startswith('train')]
    assert sorted(trained) == ['train 16 0', 'train 2 0', 'train 20 0', 'train 8 0', 'train 8 0 resumed']
    content = json.loads((tmp_path / 'w' / 'results.json').read_text())
    assert sorted(one['config']['model.width'] for one in content) == [2, 8, 16, 20]


def test_ended_by_a_signal(tool, tmp_path):
    (tmp_path / 'endless').write_text('[2]')
    process = start(tool)
    wait_for_waiting(tmp_path, process)
    child = _newest_child(process.pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def _newest_child(pid: int) -> int:
    found = [
        int(path.parent.name)
        for path in Path('/proc').glob('[0-9]*/stat')
        if path.read_text().rpartition(')')[2].split()[1] == str(pid)
    ]
    return max(found)


def test_real_trainings(tmp_path, call, monkeypatch):
    """Two networks on phantoms; the real tools, called in this process to spare their start."""

    def in_process(self, command, log, environment, keep_open=(), watch=None):
        log.write_text(' '.join(command))
        monkeypatch.setattr(sys, 'argv', list(command[1:]))
        runpy.run_path(command[1], run_name='__main__')
        assert not watch()
        return 0

    monkeypatch.setattr(Children, 'call', in_process)
    config = phantom_config.write(tmp_path, num_train=2, num_test=2)
    space = tmp_path / 'space.yaml'
    space.write_text('parameters:\n  model.decode_head.channels: [8, 16]\n')
    options = ['--cfg-options', 'train_cfg.max_iters=2', 'train_cfg.val_interval=1', 'randomness.deterministic=True']
    given = [config, '--space', space, '--sampler', 'grid', '--work-dir', tmp_path / 'w', '--metric', 'mAUPR', *options]
    status, output, errors = call(ROOT / 'tools' / 'sweep.py', *given)
    assert status == 0, errors
    assert '2 trials: 2 finished.' in output
    content = json.loads((tmp_path / 'w' / 'results.json').read_text())
    by_channels = {one['config']['model.decode_head.channels']: one['metrics'] for one in content}
    assert by_channels[16]['num_params'] > by_channels[8]['num_params']
    for folder in (tmp_path / 'w' / 'trials').iterdir():
        if folder.is_dir():
            found = json.loads((folder / 'result.json').read_text())
            lines = [json.loads(line) for line in (folder / 'seed0' / 'validation.jsonl').read_text().splitlines()]
            assert [line['step'] for line in lines] == [1, 2]
            assert found['metrics']['best_mAUPR'] == max(line['metrics']['mAUPR'] for line in lines)
