"""Exporting a model and predicting with it, as a user does."""

from __future__ import annotations

import json
import runpy
import sys

import pytest
from command import ROOT, run
from tiny_volume_model import image, work_dir, write_images

from mmseg_medical.geometry import grid_difference, read_volume, write_volume

pytest.importorskip('safetensors')


def call(monkeypatch: pytest.MonkeyPatch, tool: str, *arguments: object) -> int:
    """Run a tool in this process, which spares its imports; returns the exit code."""
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    try:
        runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_export_then_predict(tmp_path, monkeypatch, capsys):
    work = work_dir(tmp_path / 'work', networks=2)
    words = ('--half', '--licence', 'CC0', '--metrics-note', 'Of two phantoms.')
    assert call(monkeypatch, 'export_model_dir.py', work, tmp_path / 'model', *words) == 0
    assert 'epoch_2.pth' in capsys.readouterr().out
    assert 'Of two phantoms.' in (tmp_path / 'model' / 'README.md').read_text()
    inputs = write_images(tmp_path / 'in')
    arguments = (inputs, '--model', tmp_path / 'model', '--out', tmp_path / 'out', '--json')
    arguments = (*arguments, '--tta', '--overlay', '--keep-largest', 'Anterior')
    report = json.loads(run('predict.py', *arguments).stdout)
    assert report['counts'] == {'done': 2, 'skipped': 0, 'failed': 0}
    written = read_volume(tmp_path / 'out' / 'a.nii.gz')
    assert grid_difference(written, read_volume(inputs / 'a.nii.gz'), 1e-6) is None
    (inputs / 'bad.nii.gz').touch()
    assert call(monkeypatch, 'predict.py', *arguments) == 1
    again = capsys.readouterr()
    assert json.loads(again.out)['counts'] == {'done': 0, 'skipped': 2, 'failed': 1}
    assert again.err.splitlines()[-2].startswith('bad: ')
    assert again.err.splitlines()[-1] == '1 of 3 cases failed'


def test_config_with_checkpoints(tmp_path, monkeypatch, capsys):
    work = work_dir(tmp_path / 'work', networks=2)
    write_volume(image(), tmp_path / 'one.nii.gz')
    model = ('--config', work / 'tiny.py', '--checkpoint', work / 'epoch_1.pth', work / 'epoch_2.pth')
    arguments = (tmp_path / 'one.nii.gz', *model, '--out', tmp_path / 'out', '--min-volume-mm3', 5)
    assert call(monkeypatch, 'predict.py', *arguments) == 0
    assert capsys.readouterr().out.strip() == f'1 done; written to {tmp_path / "out"}'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('--model', '{folder}'), 'no model directory'),
        ((), 'either a model directory'),
        (('--config', '{folder}/x.py'), 'needs --checkpoint'),
        (('--model', '{folder}', '--checkpoint', 'x.pth'), 'belong to --config'),
        (('--config', '{folder}/x.py', '--checkpoint', 'x.pth'), 'no config file'),
    ],
)
def test_what_ends_at_once(arguments, message, tmp_path, monkeypatch, capsys):
    write_volume(image(), tmp_path / 'one.nii.gz')
    given = [argument.format(folder=tmp_path) for argument in arguments]
    code = call(monkeypatch, 'predict.py', tmp_path / 'one.nii.gz', '--out', tmp_path / 'x', *given)
    assert code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'x').exists()


def test_a_work_dir_without_checkpoint_or_config(tmp_path, monkeypatch, capsys):
    assert call(monkeypatch, 'export_model_dir.py', tmp_path, tmp_path / 'model') == 2
    assert 'no checkpoint' in capsys.readouterr().err
    (tmp_path / 'epoch_1.pth').touch()
    assert call(monkeypatch, 'export_model_dir.py', tmp_path, tmp_path / 'model') == 2
    assert 'expected one config' in capsys.readouterr().err


def test_maps_of_uncertainty(tmp_path, monkeypatch, capsys):
    work = work_dir(tmp_path / 'work', networks=2)
    inputs, out = write_images(tmp_path / 'in', ('a',)), tmp_path / 'out'
    model = ('--config', work / 'tiny.py', '--checkpoint', work / 'epoch_1.pth', work / 'epoch_2.pth')
    assert call(monkeypatch, 'predict.py', inputs, *model, '--uncertainty', '--out', out) == 0
    names = sorted(path.name for path in (out / 'uncertainty').iterdir())
    assert names == [f'a_{name}.nii.gz' for name in ('entropy', 'foreground', 'mutual_information', 'variance')]
    capsys.readouterr()
    assert call(monkeypatch, 'predict.py', inputs, *model, '--mc-dropout', 3, '--out', out) == 2
    assert 'has no dropout layer' in capsys.readouterr().err
    assert call(monkeypatch, 'predict.py', inputs, *model, '--planes', 'axial', '--out', out) == 2
    assert "planes=['axial']" in capsys.readouterr().err
