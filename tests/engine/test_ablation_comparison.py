from __future__ import annotations

import json
import math
import shutil

import ablation_cases as cases
import numpy as np
import pytest

from mmseg_medical.engine.ablation.comparison import compare_runs
from mmseg_medical.engine.ablation.state import State
from mmseg_medical.engine.ablation.table import ablation_markdown, ablation_text, table_rows, write_ablation
from mmseg_medical.errors import ConfigError

BASE = np.array([0.7, 0.9, 0.5, 0.6, 0.4, 0.8])


@pytest.fixture
def group(tmp_path):
    """Finish runs of configs: name -> seed -> Dice of each case, the same of both classes."""

    def group(tables, seeds=(0,), **state):
        configs = []
        for name, of_seeds in tables.items():
            configs.append(cases.write_config(tmp_path / 'configs', name, seeds=()))
            for seed, dice in of_seeds.items():
                cases.write_measured(configs[-1], seed, np.stack([dice, dice], axis=1))
        runs = cases.plan(tmp_path / 'w', *configs, seeds=seeds)
        states = []
        for run in runs:
            done = run.seed in tables[run.name]
            states.append(State('finished' if done else 'failed', trained=done, **state))
            for name in ('metrics', 'test_record') if done else ():
                (run.folder / 'test').mkdir(parents=True, exist_ok=True)
                shutil.copy(run.config.parent / f'{run.name}.{name}.{run.seed}.json', run.folder / f'test/{name}.json')
        return runs, states

    return group


def test_numbers_by_hand(group):
    """Six cases that are all better: p = 2 / 2^6 of both tests, times 2 configs; equal ones: p = 1."""
    gain = np.array([0.3, 0.1, 0.2, 0.1, 0.2, 0.1])
    spread = np.array([0.05, -0.05, 0.05, -0.05, 0.05, 0.05])
    better = {0: BASE + gain - spread, 1: BASE + gain + spread}
    runs, states = group({'base': {0: BASE, 1: BASE}, 'better': better, 'equal': {0: BASE, 1: BASE}}, (0, 1))
    result = compare_runs(runs, states, 'base')
    assert [row.name for row in result.rows] == ['better', 'base', 'equal']
    best, base, equal = result.rows
    assert base.mean == pytest.approx(0.65, abs=1e-12)
    assert base.std == 0
    assert best.mean == pytest.approx(0.65 + 1 / 6, abs=1e-12)
    assert best.seeds == pytest.approx({0: best.mean - 0.1 / 6, 1: best.mean + 0.1 / 6}, abs=1e-12)
    assert best.std == pytest.approx(math.sqrt(2) * 0.1 / 6, abs=1e-12)
    assert best.classes == pytest.approx({'LV': best.mean, 'RV': best.mean}, abs=1e-12)
    assert best.pair.mean_difference == pytest.approx(1 / 6, abs=1e-12)
    assert best.pair.wilcoxon.p_value == pytest.approx(2 / 64, abs=1e-12)
    assert best.wilcoxon_holm == pytest.approx(4 / 64, abs=1e-12)
    assert best.permutation_holm == pytest.approx(4 / 64, abs=1e-12)
    assert equal.wilcoxon_holm == 1
    assert base.pair is None
    assert (result.num_cases, result.by_case, result.notes) == (6, True, [])


def test_cases_may_come_in_another_order(group):
    runs, states = group({'base': {0: BASE}, 'turned': {0: BASE[::-1]}})
    names = tuple(f'case_{n}' for n in range(6))
    config = runs[1].config
    cases.write_measured(config, 0, np.stack([BASE[::-1] + 0.1] * 2, axis=1), names[::-1])
    shutil.copy(config.parent / 'turned.metrics.0.json', runs[1].folder / 'test' / 'metrics.json')
    pair = compare_runs(runs, states, 'base').rows[0].pair
    assert pair.mean_difference == pytest.approx(0.1, abs=1e-12)
    assert pair.wilcoxon.p_value == pytest.approx(2 / 64)


@pytest.mark.parametrize('what', ['cases', 'conventions'])
def test_what_is_not_comparable_is_not_tested(group, what):
    runs, states = group({'base': {0: BASE}, 'other': {0: BASE[:5] if what == 'cases' else BASE}})
    path = runs[1].folder / 'test' / 'metrics.json'
    if what == 'conventions':
        path.write_text(json.dumps({**json.loads(path.read_text()), 'conventions': {'unit': 'pixels'}}))
    result = compare_runs(runs, states, 'base')
    other = next(row for row in result.rows if row.name == 'other')
    assert other.pair is None
    reason = 'other cases than the baseline, as case_5' if what == 'cases' else 'other conventions than the baseline'
    assert reason in other.note
    assert f'other: {other.note}' in result.notes


def test_failed_runs_stand_last_and_without_a_baseline_nothing_is_tested(group):
    runs, states = group({'base': {}, 'whole': {0: BASE, 1: BASE}, 'half': {1: BASE + 0.1}}, (0, 1))
    result = compare_runs(runs, states, 'base')
    assert [row.name for row in result.rows] == ['half', 'whole', 'base']
    assert result.rows[0].unfinished == {0: 'failed'}
    assert math.isnan(result.rows[0].std)
    assert math.isnan(result.rows[2].mean)
    assert 'the baseline has no finished run' in result.rows[1].note
    against = compare_runs(runs, states, 'whole')
    assert against.rows[0].pair is not None
    assert 'not all seeds' in against.rows[0].note
    assert table_rows(against)[1][2] == ['base', '-', '-', '0/2 failed', *['-'] * 8]


def test_a_logged_number_is_not_tested(group):
    runs, states = group({'base': {0: BASE}, 'other': {0: BASE}})
    result = compare_runs(runs, states, 'base', 'mAUPR')
    assert not result.by_case
    assert 'Wilcoxon p' not in table_rows(result)[0]
    assert 'as logged by the test' in ablation_text(result)
    with pytest.raises(ConfigError, match='neither larger nor smaller is better'):
        compare_runs(runs, states, 'base', 'volume_mm3')


def test_distances_are_sorted_upwards(group, monkeypatch):
    runs, states = group({'base': {0: BASE}, 'other': {0: BASE / 2}})
    for run in runs:
        path = run.folder / 'test' / 'metrics.json'
        path.write_text(path.read_text().replace('"dice"', '"hd95"'))
    result = compare_runs(runs, states, 'base', 'hd95')
    assert [row.name for row in result.rows] == ['other', 'base']
    assert result.rows[0].pair.better == 'other'
    assert 'lower is better' in ablation_text(result)


def test_cost_over_seeds(group):
    runs, states = group({'base': {0: BASE, 1: BASE, 2: BASE}, 'other': {0: BASE}}, (0, 1, 2), running=2)
    for run, seconds, memory in zip(runs[::2], (0.4, 0.1, 0.2), (2, 4, 3), strict=True):
        record = cases.record({'dice': 0.5}, seconds_per_image=seconds, peak_memory_bytes=memory * 2**20)
        (run.folder / 'test' / 'test_record.json').write_text(json.dumps(record))
    lost = cases.record({'dice': 0.5}, macs=None, macs_error='no', seconds_per_image=None, device='cuda')
    (runs[1].folder / 'test' / 'test_record.json').write_text(json.dumps(lost))
    result = compare_runs(runs, states, 'base')
    base, other = result.rows
    assert (base.cost['seconds_per_image'], base.cost['peak_memory_bytes']) == (0.2, 4 * 2**20)
    rows = {row[0]: row for row in table_rows(result)[1]}
    assert rows['base (baseline)'][-4:] == ['1,234,567', '2.5', '0.2', '4']
    assert rows['other'][-4:] == ['1,234,567', '-', '-', '3']
    assert other.cost['device'] == 'cuda'
    text = '\n'.join(result.notes)
    assert 'up to 2 runs shared the machine' in text
    assert 'different devices: cpu, cuda' in text
    assert 'other: MACs not counted, no' in text


def test_files(group, tmp_path):
    runs, states = group({'base': {0: BASE}, 'o|ther': {0: BASE + 0.1}})
    result = compare_runs(runs, states, 'base')
    files = write_ablation(result, tmp_path / 'out', {'group': ['x']})
    assert [file.name for file in files] == ['ablation.txt', 'ablation.md', 'ablation.json']
    content = json.loads(files[2].read_text())
    assert content['group'] == ['x']
    assert content['rows'][0]['seeds'] == {'0': pytest.approx(0.75)}
    assert content['rows'][0]['std'] is None
    assert content['rows'][0]['pair']['num_pairs'] == 6
    markdown = ablation_markdown(result).splitlines()
    assert markdown[0].startswith('| config | dice | runs | difference | cases | Wilcoxon p |')
    assert (
        markdown[2] == '| o\\|ther | 0.75 | 1/1 | +0.1 [+0.1, +0.1] | 6 | 0.031 | 0.031 | 1,234,567 | 2.5 | 0.25 | 3 |'
    )
    assert markdown[5:8] == ['| config | LV | RV |', '| --- | ---: | ---: |', '| o\\|ther | 0.75 | 0.75 |']
    assert 'process resident' in files[0].read_text()
