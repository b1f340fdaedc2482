import json
import math
import re

import numpy as np
import pytest

from mmseg_medical.evaluation.cases import evaluate_case
from mmseg_medical.evaluation.options import EvaluationOptions
from mmseg_medical.evaluation.table import CaseTable, higher_is_better
from mmseg_medical.evaluation.table_text import interval_text, table_text

OPTIONS = EvaluationOptions(3, {'a': (1,), 'b': (2,)}, tolerances=(1.0,))


def case(name, pred, target, spacing=(1.0, 1.0)):
    maps = np.zeros((2, 12, 12), np.uint8)
    for labels, filled in zip(maps, (pred, target), strict=True):
        for label, size in filled.items():
            labels[4 * label : 4 * label + 3, :size] = label
    return evaluate_case(name, *maps, OPTIONS, spacing)


def table():
    """Class a: right, half right, missed. Class b: a false alarm, then nothing."""
    return CaseTable.from_cases(
        [
            case('p10', {1: 6}, {1: 6}),
            case('p2', {1: 3, 2: 2}, {1: 6}),
            case('p1', {}, {1: 4}),
        ],
        OPTIONS,
    )


def test_cases_in_natural_order():
    t = table()
    assert t.case_ids == ('p1', 'p2', 'p10')
    assert t.classes == ('a', 'b')
    assert t.values.shape == (3, 2, len(t.metrics))
    np.testing.assert_allclose(t.column('a', 'dice'), [0, 2 / 3, 1])
    assert t.state_column('a').tolist() == [1, 0, 0]
    assert t.state_column('b').tolist() == [3, 2, 3]


def test_summary_counts_what_stands_behind_a_mean():
    summary = table().summary()
    dice = summary['a']['dice']
    assert dice['mean'] == pytest.approx(5 / 9)
    assert dice['median'] == pytest.approx(2 / 3)
    assert dice['std'] == pytest.approx(np.std([0, 2 / 3, 1], ddof=1))
    assert dice['ci_low'] <= dice['mean'] <= dice['ci_high']
    counts = {key: dice[key] for key in dice if key.startswith('n_')}
    assert counts == {
        'n_cases': 3, 'n_defined': 3, 'n_valid': 2, 'n_missed': 1, 'n_false_alarm': 0, 'n_empty': 0
    }  # fmt: skip
    alarm = summary['b']['hd']
    assert alarm['mean'] == pytest.approx(math.hypot(12, 12))
    assert (alarm['n_defined'], alarm['n_false_alarm'], alarm['n_empty']) == (1, 1, 2)
    assert math.isnan(summary['b']['relative_volume_error']['mean'])
    assert summary['b']['relative_volume_error']['n_defined'] == 0


def test_json_round_trip():
    t = table()
    t.values[0, 0, t.metrics.index('hd')] = math.inf
    content = json.loads(json.dumps(t.to_dict(), allow_nan=False))
    assert content['format'] == 'mmseg_medical.cases/1'
    assert set(content) == {
        'format', 'version', 'date', 'conventions', 'classes', 'metrics', 'cases', 'states', 'summary'
    }  # fmt: skip
    assert content['cases']['p1']['a']['hd'] == 'inf'
    assert content['cases']['p1']['b']['dice'] is None
    assert content['cases']['p10']['a']['nsd@1mm'] == 1
    assert content['states'] == {
        'p1': {'a': 'missed', 'b': 'empty'},
        'p2': {'a': 'valid', 'b': 'false_alarm'},
        'p10': {'a': 'valid', 'b': 'empty'},
    }
    assert content['summary']['a']['hd']['mean'] == 'inf'
    back = CaseTable.from_dict(content)
    np.testing.assert_array_equal(back.values, t.values)
    np.testing.assert_array_equal(back.states, t.states)
    assert (back.case_ids, back.classes, back.metrics, back.conventions) == (
        t.case_ids, t.classes, t.metrics, t.conventions
    )  # fmt: skip


def test_files_of_others_are_refused(tmp_path):
    path = tmp_path / 'metrics.json'
    path.write_text('{"format": "other"}')
    with pytest.raises(ValueError, match=re.escape(f"{path}: expected the format 'mmseg_medical.cases/1'")):
        CaseTable.load(path)
    path.write_text('{')
    with pytest.raises(ValueError, match=re.escape(str(path))):
        CaseTable.load(path)
    path.write_text(json.dumps(table().to_dict()))
    assert CaseTable.load(path).case_ids == ('p1', 'p2', 'p10')


def test_rows():
    head, *rows = table().rows()
    assert head[:5] == ['case', 'class', 'state', 'iou', 'dice']
    assert len(rows) == 6
    assert rows[2][:5] == ['p2', 'a', 'valid', '0.5', '0.666667']
    assert rows[1][:5] == ['p1', 'b', 'empty', '', '']


def test_text():
    t = table()
    text = table_text(t)
    assert '3 cases. Mean over the defined cases [95 % bootstrap interval].' in text
    lines = text.splitlines()
    number = next(n for n, line in enumerate(lines) if line.strip().startswith('a '))
    means = [f'{t.column("a", metric).mean():.4g}' for metric in ('iou', 'dice', 'hd95', 'assd', 'nsd@1mm')]
    assert means[:3] == ['0.5', '0.5556', '6.657']  # of 0, 3 and the diagonal of 12 x 12
    assert lines[number].split() == ['a', *means, '2', '1', '0', '0']
    assert lines[number + 1].count('[') == 5
    assert 'hd95 mm' in text
    assert interval_text({'mean': math.nan, 'ci_low': math.nan, 'ci_high': math.nan}) == '-'
    assert interval_text({'mean': 0.5, 'ci_low': math.nan, 'ci_high': math.nan}) == '0.5'
    assert interval_text({'mean': 0.5, 'ci_low': 0.25, 'ci_high': 1}) == '0.5 [0.25, 1]'
    assert interval_text({'mean': 13640.4, 'ci_low': -1000.2, 'ci_high': math.inf}) == '13,640 [-1,000, inf]'
    assert interval_text({'mean': 999.94, 'ci_low': math.nan, 'ci_high': 1}) == '999.9'


def test_units_and_directions():
    t = table()
    assert [t.unit_of(m) for m in ('dice', 'hd95', 'volume_mm3', 'target_volume_mm3', 'relative_volume_error')] == [
        '', 'mm', 'mm³', 'mm³', ''
    ]  # fmt: skip
    pixels = CaseTable.from_cases([case('a', {1: 2}, {1: 3}, None)], OPTIONS)
    assert [pixels.unit_of(m) for m in ('assd', 'volume_px', 'nsd@1px')] == ['px', 'px', '']
    assert higher_is_better('nsd@1mm')
    assert higher_is_better('masd') is False
    assert higher_is_better('relative_volume_error') is None


def test_no_table():
    with pytest.raises(ValueError, match='there are no cases to summarise'):
        CaseTable.from_cases([], OPTIONS)
    with pytest.raises(ValueError, match="two cases have the name 'p1'"):
        CaseTable.from_cases([case('p1', {}, {}), case('p1', {}, {})], OPTIONS)
    with pytest.raises(ValueError, match="the case 'p1' has a spacing and 'p2' has none"):
        CaseTable.from_cases([case('p1', {}, {}), case('p2', {}, {}, None)], OPTIONS)


def test_unknown_names():
    with pytest.raises(
        ValueError,
        match=re.escape("there is no metric 'hd59' in the table, it has iou, dice, ") + '.* Did you mean hd95',
    ):
        table().column('a', 'hd59')
    with pytest.raises(ValueError, match=re.escape("there is no class 'c' in the table, it has a, b.")):
        table().column('c', 'dice')
    with pytest.raises(ValueError, match="there is no class 'c'"):
        table().state_column('c')
