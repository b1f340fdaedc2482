"""tools/run_ablation.py as a user calls it."""

from __future__ import annotations

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

import ablation_cases as cases
import phantom_config
import pytest
from command import ROOT, caller

from mmseg_medical.engine.ablation.children import Children

BEST = 'best_dice_iter_1.pth'


@pytest.fixture
def tool(tmp_path) -> Path:
    """The tool beside stand-ins of train.py and test.py."""
    return Path(shutil.copy(ROOT / 'tools' / 'run_ablation.py', cases.write_tools(tmp_path / 'tools')))


@pytest.fixture
def folder(tmp_path) -> Path:
    cases.write_config(tmp_path / 'configs', 'base', 0.5)
    cases.write_config(tmp_path / 'configs' / 'ablations', 'loss_a', 0.75)
    return tmp_path / 'configs'


@pytest.fixture
def call(monkeypatch, capsys):
    return caller(monkeypatch, capsys)


def test_table_dry_run_failure_and_change(tool, folder, tmp_path, call):
    group = [folder / 'base.py', folder / 'ablations' / 'loss', '--work-dir', tmp_path / 'w', '--seeds', 0, 1]
    status, output, _ = call(tool, *group, '--dry-run')
    assert status == 0
    assert [line.split()[1].rpartition('/')[2] for line in output.splitlines()] == ['train.py', 'test.py'] * 4
    assert not (tmp_path / 'w').exists()
    broken = folder / 'ablations' / 'loss_a.broken'
    broken.touch()
    status, output, errors = call(tool, *group)
    assert status == 1
    assert 'loss_a, seed 1: training ended with status 3' in errors
    assert '2 of 4 runs failed; the same call tries them again' in errors
    assert '0/2 failed' in output
    broken.unlink()
    status, output, _ = call(tool, *group)
    assert status == 0
    content = json.loads((tmp_path / 'w' / 'ablation.json').read_text())
    assert [(row['name'], row['mean']) for row in content['rows']] == [('loss_a', 0.75), ('base', 0.5)]
    assert content['rows'][0]['pair']['mean_difference'] == 0.25
    assert content['rows'][0]['wilcoxon_holm'] == 0.25  # three cases, all better
    assert cases.calls(folder) == [f'{what} {k}{then}' for k in (0, 1) for what, then in (
        ('train base', ''), ('test base', f' {BEST}'))]  # fmt: skip
    assert call(tool, *group, '--dry-run')[1] == ''
    status, _, errors = call(tool, *group, '--cfg-options', 'train_dataloader.batch_size=2')
    assert status == 2
    assert 'train_dataloader.batch_size was 1, is 2' in errors
    assert '--again' in errors
    status, output, _ = call(tool, *group, '--baseline', 'loss_a', '--metric', 'mAUPR')
    assert status == 0
    assert 'loss_a (baseline)' in output
    status, _, errors = call(tool, folder / 'nothing')
    assert status == 2
    assert 'is no config, no folder' in errors


def test_killed_and_called_again(tool, folder, tmp_path, call):
    endless = folder / 'base.endless'
    endless.touch()
    words = [folder / 'base.py', folder / 'ablations', '--work-dir', tmp_path / 'w', '--runs-only']
    process = subprocess.Popen([sys.executable, str(tool), *map(str, words)], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while 'waiting' not in cases.calls(folder):
        assert process.poll() is None
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)
    with pytest.raises(BlockingIOError):
        lock(tmp_path / 'w' / 'base' / 'seed0' / '.lock')
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    lock(tmp_path / 'w' / 'base' / 'seed0' / '.lock')  # the training, which held it too, has ended
    assert cases.calls(folder) == ['train base 0', 'waiting']
    endless.unlink()
    assert call(tool, *words)[0] == 0
    assert cases.calls(folder)[2:] == ['train base 0 resumed', f'test base 0 {BEST}']
    assert len(cases.calls(folder / 'ablations')) == 2
    assert not (tmp_path / 'w' / 'ablation.json').exists()


def lock(path: Path) -> None:
    import fcntl

    with path.open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_cluster_runs_the_same_tool(tool, folder, tmp_path, call, monkeypatch):
    monkeypatch.setenv('PATH', cases.write_srun(tmp_path))
    words = [f'mine={folder / "base.py"}', '--work-dir', tmp_path / 'w', '--launcher', 'slurm', '--partition', 'gpu']
    status, output, errors = call(tool, *words, '--srun-args=--time=1:00 --mem=4G')
    assert status == 0, errors
    assert '--time=1:00 --mem=4G' in (tmp_path / 'srun.txt').read_text()
    assert 'mine (baseline)' in output
    assert cases.calls(folder) == ['train base 0', f'test base 0 {BEST}']
    assert 'CUDA_VISIBLE_DEVICES' not in os.environ
    assert json.loads((tmp_path / 'w' / 'mine' / 'seed0' / 'run.json').read_text())['status'] == 'finished'


def test_real_trainings(tmp_path, call, monkeypatch):
    """Two networks on phantoms; the real tools, called in this process to spare their start."""

    def in_process(self, command, log, environment, keep_open=(), watch=None):
        log.write_text(' '.join(command))
        monkeypatch.setattr(sys, 'argv', list(command[1:]))
        runpy.run_path(command[1], run_name='__main__')
        return 0

    monkeypatch.setattr(Children, 'call', in_process)
    config = phantom_config.write(tmp_path, num_train=2, num_test=2)
    heir = config.with_name('wide.py')
    heir.write_text("_base_ = './narrow.py'\nmodel = dict(decode_head=dict(channels=16))\n")
    options = ['--cfg-options', 'train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'randomness.deterministic=True']
    words = [config, heir, '--work-dir', tmp_path / 'w', '--metric', 'dice', *options]
    status, output, errors = call(ROOT / 'tools' / 'run_ablation.py', *words)
    assert status == 0, errors
    content = json.loads((tmp_path / 'w' / 'ablation.json').read_text())
    rows = {row['name']: row for row in content['rows']}
    for name, row in rows.items():
        test = tmp_path / 'w' / name / 'seed0' / 'test'
        cases_of = json.loads((test / 'metrics.json').read_text())['cases']
        lesions = [[scores[code]['dice'] for code in ('EX', 'MA', 'SE', 'HE')] for scores in cases_of.values()]
        defined = [[value for value in of_case if value is not None] for of_case in lesions]
        assert row['mean'] == pytest.approx(sum(sum(v) / len(v) for v in defined) / len(defined), abs=1e-9)
        assert row['cost']['input_shape'] == [3, 64, 96]
        assert row['cost']['seconds_per_image'] > 0
        assert f'{row["cost"]["parameters"]:,}' in output
    assert rows['wide']['cost']['parameters'] > rows['narrow']['cost']['parameters']
    assert rows['wide']['cost']['macs'] > rows['narrow']['cost']['macs'] > 0
    assert rows['wide']['pair']['num_pairs'] == 2
    assert 'percent' in output
