from __future__ import annotations

import os
from pathlib import Path

import cv2
import pytest
from command import ROOT, run
from phantom_config import write

PYTHON_TOOLS = (
    'train.py',
    'test.py',
    'print_config.py',
    'get_flops.py',
    'browse_dataset.py',
    'demo.py',
    'export_onnx.py',
)


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp('phantoms'))


@pytest.mark.parametrize('tool', PYTHON_TOOLS)
def test_help(tool):
    text = run(tool, '--help').stdout
    assert 'usage:' in text
    assert '--debug' in text


@pytest.mark.parametrize('tool', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh'])
def test_shell_tools_say_how_to_call_them(tool):
    assert f'tools/{tool} ' in run(tool, fails=True).stderr


@pytest.mark.parametrize(('tool', 'given'), [('train', ['CONFIG']), ('test', ['CONFIG', 'a checkpoint.pth'])])
def test_slurm_commands(tool, given, tmp_path):
    """A stand-in for srun prints its words, one a line."""
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    done = run(
        f'slurm_{tool}.sh', 'gpu', 'a job', *given, '--work-dir', 'a b', PATH=f'{tmp_path}:{os.environ["PATH"]}',
        GPUS='16', GPUS_PER_NODE='8', CPUS_PER_TASK='3', SRUN_ARGS='--time=1:00 --qos=high',
    )  # fmt: skip
    words = done.stdout.splitlines()
    assert words[:2] == ['--partition=gpu', '--job-name=a job']
    assert {'--gres=gpu:8', '--ntasks=16', '--ntasks-per-node=8', '--cpus-per-task=3', '--qos=high'} <= set(words)
    assert words[-len(given) - 5 :] == [
        str(ROOT / 'tools' / f'{tool}.py'),
        *given,
        '--launcher',
        'slurm',
        '--work-dir',
        'a b',
    ]


def test_print_config(config):
    text = run('print_config.py', config, '--cfg-options', 'train_cfg.max_iters=17').stdout
    assert 'max_iters=17' in text
    assert "type='HACDRNet'" in text


def test_get_flops():
    text = run('get_flops.py', 'configs/hacdr/idrid.py', '--shape', 960, 1440, '--depth', 1).stdout
    assert '24,562,038' in text
    assert '23,527,057' in text
    assert 'sampling' in text


def test_get_flops_of_volumes():
    config = 'configs/hippocampus/unet3d_inr_light.py'
    text = run('get_flops.py', config, '--shape', 16, 24, 16, '--depth', 0).stdout
    assert 'input 1 x 16 x 24 x 16' in ' '.join(text.split())
    assert '1,402,727' in text
    assert '--shape D H W' in run('get_flops.py', config, fails=True).stderr


@pytest.mark.parametrize('split', ['train', 'test'])
def test_browse_dataset(config, split, tmp_path):
    done = run('browse_dataset.py', config, '--output-dir', tmp_path, '--split', split, '--number', 5)
    assert done.stdout.strip().splitlines()[-1].startswith('5 pictures of')
    files = sorted(tmp_path.iterdir())
    assert len(files) == 5
    assert cv2.imread(str(files[0])).shape[1] > 2 * 96


def test_browse_multi_label_into_the_default_folder(config, tmp_path):
    options = ['--cfg-options', f'work_dir={tmp_path}', 'train_dataloader.dataset.target=multilabel']
    run('browse_dataset.py', config, '--number', 1, *options)
    assert len(list((tmp_path / 'browse').iterdir())) == 1


@pytest.mark.parametrize(
    ('tool', 'arguments', 'message'),
    [
        ('train.py', ['configs/hacdr/idird.py'], 'Did you mean'),
        ('train.py', ['configs/hacdr/idrid.py', '--cfg-options', 'data_root=/no/such'], '/no/such'),
        ('print_config.py', ['configs/hacdr/idrid.py', '--cfg-options', 'modell.type=1'], 'Did you mean model'),
        ('browse_dataset.py', ['configs/hacdr/demo.py', '--split', 'val', '--output-dir', 'x'], 'no val_dataloader'),
    ],
)
def test_mistakes_end_in_one_message(tool, arguments, message, tmp_path):
    arguments = [*arguments, *(['--work-dir', tmp_path] if tool == 'train.py' else [])]
    done = run(tool, *arguments, fails=True)
    assert done.stderr.count('error:') == 1
    assert message in done.stderr


def test_started_as_distributed_without_a_launcher(config, tmp_path):
    done = run('train.py', config, '--launcher', 'slurm', '--work-dir', tmp_path, fails=True)
    assert 'slurm_train.sh' in done.stderr


def test_an_unreadable_photograph_stops_training_with_its_name(config, tmp_path):
    root = write(tmp_path, num_train=2, num_test=1)
    photograph = next((tmp_path / 'A data root').rglob('a. Training Set/IDRiD_01.jpg'))
    photograph.write_bytes(photograph.read_bytes()[:300])
    options = ['--cfg-options', 'train_dataloader.num_workers=1']
    done = run('train.py', root, '--work-dir', tmp_path / 'w', *options, fails=True)
    assert done.stderr.count('error:') == 1
    assert 'IDRiD_01.jpg' in done.stderr.split('error:')[1]
