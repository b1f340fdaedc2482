"""Folders of predictions with maps of uncertainty: cases, curves, the tool."""

from __future__ import annotations

import json
import runpy
import sys

import numpy as np
import pytest

from mmseg_medical.evaluation.folders import CasePair
from mmseg_medical.evaluation.uncertainty_folders import case_curve, case_risk, folder_risks, risk_report
from mmseg_medical.geometry import Volume, write_volume
from mmseg_medical.visualization.risk_coverage_figure import risk_coverage_figure

TOOL = 'tools/analysis_tools/risk_coverage.py'
AFFINE = np.diag([1.0, 2, 3, 1])


def write(path, array, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(Volume(np.asarray(array), affine), path)


@pytest.fixture
def folders(tmp_path):
    """Two cases of 2 x 2 x 2: one wrong voxel that is uncertain, two wrong ones that are certain."""
    target = np.zeros((2, 2, 2), np.uint8)
    target[0, 0] = 1
    target[1, 1] = 2
    pred = {name: target.copy() for name in ('a', 'b')}
    pred['a'][0, 0, 0] = 0
    pred['b'][0, 0] = 2
    maps = {name: np.full((2, 2, 2), 0.5, np.float32) for name in pred}
    maps['a'][0, 0, 0] = 1.0
    maps['b'][0, 0] = 0.25
    for name in pred:
        write(tmp_path / 'out' / f'{name}.nii.gz', pred[name])
        write(tmp_path / 'out' / 'uncertainty' / f'{name}_entropy.nii.gz', maps[name])
        write(tmp_path / 'labels' / f'{name}.nii.gz', target)
    return tmp_path / 'out', tmp_path / 'labels'


def test_numbers_by_hand(folders):
    cases, failures = folder_risks(*folders, progress=False)
    assert failures == []
    first, second = cases
    assert (first.case_id, second.case_id) == ('a', 'b')
    assert first.dice == pytest.approx((2 / 3 + 1) / 2)
    assert second.dice == pytest.approx((0 + 2 / 3) / 2)
    assert first.uncertainty == pytest.approx(0.5)  # of (0, 0, 1), (1, 1, 0) and (1, 1, 1)
    assert second.uncertainty == pytest.approx((2 * 0.25 + 2 * 0.5) / 4)
    np.testing.assert_allclose(first.voxels.coverage, [7 / 8, 1])
    np.testing.assert_allclose(first.voxels.risk, [0, 1 / 8])
    np.testing.assert_allclose(second.voxels.risk, [1, 1 / 4])
    curve = case_curve(cases)
    np.testing.assert_allclose(curve.risk, [2 / 3, (2 / 3 + 1 / 6) / 2])
    report = risk_report(cases, failures, 'entropy')
    assert report['voxels']['error_rate'] == pytest.approx((1 / 8 + 2 / 8) / 2)
    assert report['cases']['b']['aurc'] == pytest.approx(second.voxels.aurc)
    assert report['cases_curve']['optimal'] == pytest.approx((1 / 6 + 5 / 12) / 2)


def test_nothing_predicted(folders):
    empty = np.zeros((2, 2, 2), np.uint8)
    for folder in folders:
        write(folder / 'a.nii.gz', empty)
    cases, _ = folder_risks(*folders, progress=False)
    assert np.isnan(cases[0].dice)
    assert cases[0].uncertainty == pytest.approx((7 * 0.5 + 1) / 8)
    assert case_curve(cases).number == 1
    assert case_curve(cases[:1]) is None
    assert risk_report(cases[:1], [], 'entropy')['cases_curve'] is None
    assert risk_coverage_figure({'a': cases[0].voxels}, None, 'entropy').startswith(b'\x89PNG')


def test_the_tool(folders, tmp_path, monkeypatch, capsys):
    out, labels = folders

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(TOOL, run_name='__main__')
        return end.value.code, capsys.readouterr()

    code, said = run(out, labels, '--out', tmp_path / 'risk')
    assert not code
    assert '2 cases, 0 failed' in said.out
    assert 'cases: AURC 0.5417, best 0.2917, 1 - Dice 0.4167' in said.out
    report = json.loads((tmp_path / 'risk' / 'risk_coverage.json').read_text())
    assert report['cases']['a']['error_rate'] == 0.125
    assert (tmp_path / 'risk' / 'risk_coverage.png').read_bytes().startswith(b'\x89PNG')
    (out / 'uncertainty' / 'b_entropy.nii.gz').unlink()
    code, said = run(out, labels, '--out', tmp_path / 'risk')
    assert code == 1
    assert '1 cases, 1 failed' in said.out
    assert 'no such map, found none' in said.err
    code, said = run(out, labels, '--map', 'variance', '--out', tmp_path / 'none')
    assert code == 1
    assert 'a_variance.nii.gz: no such map, found a_entropy.nii.gz' in said.err
    assert not (tmp_path / 'none').exists()
    (labels / 'b.nii.gz').unlink()
    code, said = run(out, labels, '--out', tmp_path / 'none')
    assert code == 2
    assert '1 prediction without target' in said.err


def test_a_map_of_another_grid(folders):
    out, labels = folders
    write(out / 'uncertainty' / 'a_entropy.nii.gz', np.zeros((2, 2, 2), np.float32), np.eye(4))
    with pytest.raises(ValueError, match=r'a_entropy.nii.gz and the prediction lie on different grids'):
        case_risk(CasePair('a', out / 'a.nii.gz', labels / 'a.nii.gz'), 'entropy')
