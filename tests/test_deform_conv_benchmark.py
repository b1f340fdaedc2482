"""The benchmark of the deformable convolution runs, and compares operators that agree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(out: Path, *words: str) -> dict:
    command = [sys.executable, 'benchmarks/deform_conv.py', '--repeats', '1', '--threads', '1', '--out', str(out)]
    subprocess.run([*command, *words], check=True, capture_output=True, timeout=300, cwd=ROOT)
    return json.loads(out.read_text())


def test_compared_operators_agree(tmp_path):
    found = run(tmp_path / 'a.json', '--sections', 'operator', 'cuda', '--shapes', '2')
    (row,) = found['operator']['1 threads']['shapes'].values()
    assert {'numba', 'torch', 'plain grid_sample'} <= set(row)
    assert all(figures['relative_difference_to_torch'] < 1e-5 for figures in row.values())
    assert row['numba']['over_numba'] == 1
    assert 'gpu' in found
    assert found['measured_on']['operator']['arguments']['shapes'] == [2]


def test_other_sections_stay(tmp_path):
    (tmp_path / 'a.json').write_text('{"memory": 1}')
    words = ['--network', '--variants', 'torch back end', 'ours', '--slow-repeats', '1', '--image', '32', '64']
    found = run(tmp_path / 'a.json', *words, '--crop', '64', '64')
    assert found['memory'] == 1
    inference, training = found['network'].values()
    assert inference['ours']['relative_difference_to_torch'] < 1e-4
    assert training['ours']['relative_difference_to_torch'] == pytest.approx(0, abs=1e-2)
