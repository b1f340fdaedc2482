"""Curves of several trainings."""

from __future__ import annotations

import json

import pytest

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.errors import ConfigError
from mmseg_medical.visualization.canvas import png
from mmseg_medical.visualization.pictures.training_curves import curve_groups, curves_figure, read_runs


def write_run(folder, steps=100):
    path = folder / '20260101_000000' / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    lines = [{'lr': 0.1 / step, 'loss': 2 / step, 'decode.loss_ce': 1 / step, 'step': step} for step in range(1, steps)]
    score = {'dice': 0.8, 'dice.front': 0.9, 'nsd@1mm': 0.7, 'nsd@0.5mm': 0.6, 'iou': 0.6, 'step': steps}
    path.write_text('\n'.join(map(json.dumps, [*lines, score])))
    return folder


def test_two_runs(tmp_path):
    runs = read_runs([write_run(tmp_path / 'a' / 'run'), write_run(tmp_path / 'b' / 'run', 20)])
    assert list(runs) == ['a/run', 'b/run']
    assert curve_groups(runs) == {
        'Training loss': ['loss'],
        'Validation Dice': ['dice'],
        'Validation NSD': ['nsd@1mm', 'nsd@0.5mm'],
        'Learning rate': ['lr'],
    }
    written = png(curves_figure(runs, title='$x$'))
    assert int.from_bytes(written[16:20], 'big') == round(11.5 * 144)
    assert list(curve_groups(runs, ['iou'])) == ['Training loss', 'iou', 'Learning rate']


def test_errors(tmp_path):
    run = write_run(tmp_path / 'a')
    with pytest.raises(DataError, match='no such folder'):
        read_runs([run, tmp_path / 'c'])
    with pytest.raises(ConfigError, match='named twice'):
        read_runs([run, tmp_path / '.' / 'a'])
    with pytest.raises(ConfigError, match='Did you mean dice'):
        curves_figure(read_runs([run]), ['dicee'])
    with pytest.raises(ConfigError, match='neither loss'):
        curves_figure({'x': {'time': [(1.0, 2.0)]}})
