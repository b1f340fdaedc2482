"""Exporting a model and predicting with it, as a user does."""

from __future__ import annotations

import json

import pytest
from command import run
from tiny_volume_model import image, work_dir, write_images

from mmseg_medical.geometry import grid_difference, read_volume, write_volume

pytest.importorskip('safetensors')


def test_export_then_predict(tmp_path):
    work = work_dir(tmp_path / 'work', networks=2)
    done = run('export_model_dir.py', work, tmp_path / 'model', '--half', '--licence', 'CC0')
    assert 'epoch_2.pth' in done.stdout
    inputs = write_images(tmp_path / 'in')
    arguments = ('predict.py', inputs, '--model', tmp_path / 'model', '--out', tmp_path / 'out', '--json')
    report = json.loads(run(*arguments, '--tta', '--overlay', '--keep-largest', 'Anterior').stdout)
    assert report['counts'] == {'done': 2, 'skipped': 0, 'failed': 0}
    written = read_volume(tmp_path / 'out' / 'a.nii.gz')
    assert grid_difference(written, read_volume(inputs / 'a.nii.gz'), 1e-6) is None
    (inputs / 'bad.nii.gz').touch()
    again = run(*arguments, '--tta', '--overlay', '--keep-largest', 'Anterior', code=1)
    assert json.loads(again.stdout)['counts'] == {'done': 0, 'skipped': 2, 'failed': 1}
    assert again.stderr.splitlines()[-2].startswith('bad: ')
    assert again.stderr.splitlines()[-1] == '1 of 3 cases failed'


def test_config_with_checkpoints_and_what_is_refused(tmp_path):
    work = work_dir(tmp_path / 'work', networks=2)
    write_volume(image(), tmp_path / 'one.nii.gz')
    config = ('--config', work / 'tiny.py', '--checkpoint', work / 'epoch_1.pth', work / 'epoch_2.pth')
    done = run('predict.py', tmp_path / 'one.nii.gz', *config, '--out', tmp_path / 'out', '--min-volume-mm3', 5)
    assert done.stdout.strip() == f'1 done; written to {tmp_path / "out"}'
    failed = run('predict.py', tmp_path / 'one.nii.gz', '--model', tmp_path, '--out', tmp_path / 'x', fails=True)
    assert 'no model directory' in failed.stderr
    assert not (tmp_path / 'x').exists()
