"""The benchmark of HDC-HRNet runs, and compares formulations that agree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS, TORCH = 'ours', 'specification, torch operator'


@pytest.fixture
def sections(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    import networks_sections

    return networks_sections


def test_one_small_case_of_everything(tmp_path):
    out = tmp_path / 'networks.json'
    out.write_text('{"networks, cuda": 1, "memory": {"another case": 2}}')
    command = [sys.executable, 'benchmarks/networks.py', '--quick', '--out', str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, cwd=ROOT)
    found = json.loads(out.read_text())
    assert found['networks, cuda'] == 1
    assert found['memory'].pop('another case') == 2
    (machine,) = found['measured_on']['memory'].values()
    assert machine['arguments']['quick'] is True

    (network,) = found['networks'].values()
    assert {OURS, TORCH} <= set(network['sides'])
    assert max(network['difference'][TORCH].values()) < 1e-9
    ratio = network['sides'][TORCH]['forward']['ms'] / network['sides'][OURS]['forward']['ms']
    assert network['over ours'][TORCH]['forward'] == pytest.approx(ratio, abs=1e-3)

    for blocks in found['blocks'].values():
        assert len(blocks) == 9
        assert all(max(row['difference'][TORCH].values()) < 1e-9 for row in blocks.values())
    (memory,) = found['memory'].values()
    assert all(side['training_step_mb'] > side['forward_mb'] for side in memory.values())
    (modes,) = found['modes'].values()
    assert list(modes['sides']) == ['plain', 'channels last']
    assert modes['not available'] == {}
    for section in ('HDC-HRNet', 'blocks', 'growth of the peak', 'other modes'):
        assert section in done.stdout


def test_a_formulation_that_computes_something_else_is_not_timed(sections, monkeypatch):
    build = sections.build_block

    def wrong(name, channels):
        ours, reference = build(name, channels)
        reference.run = lambda block, x: block(x) + 1e-7
        return ours, reference

    monkeypatch.setattr(sections, 'build_block', wrong)
    with pytest.raises(RuntimeError, match=r"block basic: .* does not compute what 'ours' computes"):
        sections.measure_blocks([(1, 8, 4, 4)], ['basic'], 1, 'cpu')


def test_a_network_that_computes_something_else_is_not_timed(sections, monkeypatch):
    import networks_reference

    released = networks_reference._loss
    monkeypatch.setattr(networks_reference, '_loss', lambda *args: 1.000001 * released(*args))
    case = sections.Case('hrnet_dcn_small', 'standard', 64, 1, 8)
    with pytest.raises(RuntimeError, match='does not compute'):
        sections.check_network(case, [OURS, TORCH], 'cpu')


def test_growth_of_the_memory(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    from resident_memory import peak_growth_mb

    assert peak_growth_mb(lambda: len(b'x' * 100_000_000)) == pytest.approx(100, abs=5)
    kept = b'x' * 50_000_000
    assert peak_growth_mb(lambda: kept.count(b'y')) < 5
