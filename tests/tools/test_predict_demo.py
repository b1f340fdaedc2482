"""`make predict-demo`: phantoms always, another folder where it is present; the model is a tiny one here."""

from __future__ import annotations

import json

import pytest
from command import run
from tiny_volume_model import work_dir, write_images

from mmseg_medical.geometry import grid_difference, read_volume

pytest.importorskip('safetensors')


def test_predict_demo(tmp_path):
    run('export_model_dir.py', work_dir(tmp_path / 'work'), tmp_path / 'model')
    scans = write_images(tmp_path / 'scans')
    arguments = ('--model', tmp_path / 'model', '--work-dir', tmp_path / 'out')
    done = run('predict_demo.py', *arguments, '--dicom', scans)
    for word in ('hippocampus_001', 'Anterior, mm³', 'overlays', 'NIfTI'):
        assert word in done.stdout
    report = json.loads((tmp_path / 'out' / 'predictions.json').read_text())
    assert report['counts']['done'] == 4
    images = tmp_path / 'out' / 'phantoms' / 'Task04_Hippocampus' / 'imagesTr'
    for case in ('hippocampus_001', 'hippocampus_002'):
        written = read_volume(tmp_path / 'out' / f'{case}.nii.gz')
        assert grid_difference(written, read_volume(images / f'{case}.nii.gz'), 1e-6) is None
        assert (tmp_path / 'out' / 'overlays' / f'{case}.png').stat().st_size
    (scans / 'bad.nii.gz').touch()
    failed = run('predict_demo.py', *arguments, '--dicom', scans, fails=True)
    assert 'not all cases' in failed.stderr
    phantoms_only = run('predict_demo.py', *arguments, '--dicom', tmp_path / 'none')
    assert 'phantoms only' in phantoms_only.stdout
    assert 'no model directory' in run('predict_demo.py', '--model', tmp_path / 'no', fails=True).stderr
