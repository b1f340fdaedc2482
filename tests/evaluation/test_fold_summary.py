"""Results of folds together."""

from __future__ import annotations

import json
import math
import runpy
import sys

import pytest

from mmseg_medical.evaluation.fold_summary import summarize_folds


def write(folder, number, numbers, source='sphere', case=None):
    path = folder / f'{number}.json'
    content = dict(mask_source=source, numbers=numbers, cases={case or f'case{number}': {}})
    path.write_text(json.dumps(content))
    return path


def test_mean_and_deviation(tmp_path):
    paths = [write(tmp_path, k, dict(dice_scan=d, froc=f)) for k, (d, f) in enumerate([(0.5, 0.1), (0.7, None)])]
    found = summarize_folds(paths)
    assert found['mask_source'] == 'sphere'
    assert found['numbers']['dice_scan'] == pytest.approx(dict(mean=0.6, std=0.02**0.5, n=2))
    assert found['numbers']['froc']['n'] == 1
    assert math.isnan(found['numbers']['froc']['std'])


def test_what_does_not_belong_together(tmp_path):
    one = write(tmp_path, 1, dict(dice_scan=0.5))
    with pytest.raises(ValueError, match=r'different masks.*sphere.*mask_dir'):
        summarize_folds([one, write(tmp_path, 2, {}, 'mask_dir')])
    with pytest.raises(ValueError, match='expected cases of its own, found case1'):
        summarize_folds([one, write(tmp_path, 3, {}, case='case1')])
    with pytest.raises(ValueError, match="none of 'mask_source'"):
        summarize_folds([_text(tmp_path, '{}')])
    with pytest.raises(ValueError, match=r'expected metrics\.json of a fold'):
        summarize_folds([_text(tmp_path, 'no')])
    with pytest.raises(ValueError, match='no fold'):
        summarize_folds([])


def _text(folder, text):
    path = folder / 'other.json'
    path.write_text(text)
    return path


def test_the_command_line(tmp_path, monkeypatch, capsys):
    paths = [write(tmp_path, k, dict(dice_scan=0.5 + k / 10)) for k in range(3)]
    tool = 'tools/analysis_tools/summarize_folds.py'
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, paths), '--out', str(tmp_path / 'all.json')])
    runpy.run_path(tool, run_name='__main__')
    printed = capsys.readouterr().out
    assert '3 folds, masks: sphere' in printed
    assert '0.6' in printed
    assert json.loads((tmp_path / 'all.json').read_text())['numbers']['dice_scan']['std'] == pytest.approx(0.1)
