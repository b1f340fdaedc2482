import csv
import dataclasses
import json
import re

import numpy as np
import pytest
from case_tables import shifted, table, undefined

from mmseg_medical.evaluation.compare import common_cases, compare_tables, named_places
from mmseg_medical.evaluation.compare_files import comparison_text, difference_text, p_text, write_comparison
from mmseg_medical.evaluation.functional.statistics import compare_methods, holm, rank_table


def test_pairs_are_those_of_the_statistics():
    of = table(9)
    tables = {'A': of, 'B': shifted(of, -0.1), 'C': table(9, seed=1)}
    comparison = compare_tables(tables, seed=4)
    assert comparison.methods == ('A', 'B', 'C')
    assert comparison.metrics == ('dice', 'hd95', 'nsd@1mm')
    assert {name: list(metrics) for name, metrics in comparison.pairs.items()} == {
        name: ['dice', 'hd95', 'nsd@1mm'] for name in ('a', 'b')
    }
    for metric, higher in (('dice', True), ('hd95', False)):
        values = {name: own.column('b', metric) for name, own in tables.items()}
        assert comparison.pairs['b'][metric] == compare_methods(values, higher, seed=4)
        np.testing.assert_array_equal(comparison.ranks['b'][metric].ranks, rank_table(values, higher).ranks)
    dice = comparison.pairs['a']['dice']
    assert [(pair.first, pair.second) for pair in dice] == [('A', 'B'), ('A', 'C'), ('B', 'C')]
    # the family is the pairs of one class and metric
    np.testing.assert_allclose([p.wilcoxon_holm for p in dice], holm(np.array([p.wilcoxon.p_value for p in dice])))
    assert dice[0].mean_difference == pytest.approx(6 * 0.1 / 8)  # 6 of 8 defined cases are valid
    assert (dice[0].num_pairs, dice[0].num_left_out, dice[0].better) == (8, 1, 'A')
    distances = comparison.pairs['a']['hd95'][1]
    assert distances.better == ('A' if distances.mean_difference < 0 else 'C')


def test_other_seed_other_interval():
    tables = {'A': table(9), 'B': table(9, seed=1)}
    first, same, other = (compare_tables(tables, seed).pairs['a']['dice'][0].interval for seed in (0, 0, 1))
    assert first == same
    assert first != other
    assert compare_tables(tables).seed == 0


def test_cases_are_paired_by_name():
    of = table(9)
    turned = shifted(of, -0.1).select(of.case_ids[::-1])
    assert turned.case_ids[0] == 'case_8'
    comparison = compare_tables({'A': of, 'B': turned})
    assert comparison.tables['B'].case_ids == of.case_ids
    differences = comparison.differences('a', 'dice', comparison.pairs['a']['dice'][0])
    np.testing.assert_allclose(differences, [0, 0, np.nan, *[0.1] * 6])


def test_equal_infinities_do_not_differ():
    of = table(5, infinite=True)
    comparison = compare_tables({'A': of, 'B': of})
    differences = comparison.differences('a', 'hd95', comparison.pairs['a']['hd95'][0])
    np.testing.assert_array_equal(differences, [0, 0, np.nan, 0, 0])


def test_conventions():
    words = compare_tables({'A': table(4), 'B': table(4), 'C': table(4)}, seed=7).conventions()
    assert '3 pairs of methods of one class and one metric; there are 6 such families (2 classes x 3' in words['holm']
    assert words['seed'] == '7'
    assert 'a false alarm of one method does not count where the other is rightly empty' in words['differences']


def test_methods_that_cannot_be_compared():
    of = table(4)
    with pytest.raises(ValueError, match='a comparison needs two methods or more, got 1: A'):
        compare_tables({'A': of})
    with pytest.raises(ValueError, match='got 0: none'):
        compare_tables({})
    fewer = of.select(of.case_ids[1:])
    with pytest.raises(
        ValueError,
        match=r'all methods must have the same cases: B lacks case_0, which A has; B lacks case_0, which C has$',
    ):
        compare_tables({'A': of, 'B': fewer, 'C': of})
    with pytest.raises(ValueError, match=re.escape('A lacks case_1, case_2, case_3, case_4, case_5, case_6, case_7, case_8, case_9, case_10 and 1 more, which B has')):  # fmt: skip # noqa: E501
        compare_tables({'A': table(1), 'B': table(12)})
    with pytest.raises(ValueError, match='differ in their classes: A has a, b, B has a, c'):
        compare_tables({'A': of, 'B': dataclasses.replace(of, classes=('a', 'c'))})
    metrics = ('dice', 'hd', *of.metrics[2:])
    with pytest.raises(ValueError, match=r'differ in their metrics: A has dice, hd95, .*, B has dice, hd, '):
        compare_tables({'A': of, 'B': dataclasses.replace(of, metrics=metrics)})
    other = dataclasses.replace(of, conventions={**of.conventions, 'empty': 'otherwise'})
    with pytest.raises(
        ValueError, match="by different conventions: 'empty' is 'as documented' for A and 'otherwise' for B"
    ):
        compare_tables({'A': of, 'B': other})


def test_common_cases():
    of = table(5)
    common = common_cases({'A': [of.select(of.case_ids[1:])], 'B': [of, of.select(of.case_ids[:4])]})
    assert {name: [own.case_ids for own in runs] for name, runs in common.items()} == {
        'A': [of.case_ids[1:4]],
        'B': [of.case_ids[1:4]] * 2,
    }
    np.testing.assert_array_equal(common['A'][0].values, of.values[1:4])
    np.testing.assert_array_equal(common['B'][1].states, of.states[1:4])
    with pytest.raises(ValueError, match='no case could be evaluated for every one of A, B'):
        common_cases({'A': [of.select(['case_0'])], 'B': [of.select(['case_1'])]})


def test_named_places():
    assert named_places(['a=x=y', 'b=/z']) == {'a': ['x=y'], 'b': ['/z']}
    assert named_places(['a=0', 'b=0', 'a=1']) == {'a': ['0', '1'], 'b': ['0']}
    for words, message in (
        (['a=x', 'y'], "'y' is not of the form NAME=PLACE, such as ours=predictions"),
        (['=x', 'b=y'], "'=x' is not of the form NAME=PLACE"),
        (['a=', 'b=y'], "'a=' is not of the form NAME=PLACE"),
        (['a=x', 'b=y', 'a=x'], "the method 'a' has one run twice: x"),
        (['a=x', 'a=y'], 'a comparison needs two methods or more, got 1: a'),
        ([], 'got 0: none'),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            named_places(words)


def test_files(tmp_path):
    of = table(6, infinite=True)
    comparison = compare_tables({'A': of, 'B': shifted(of, -0.1)})
    files = write_comparison(comparison, tmp_path / 'new', {'B': {'x': 'broken'}}, {'target': 'there'})
    assert [file.name for file in files] == ['comparison.json', 'comparison.csv', 'cases.csv']
    content = json.loads(files[0].read_text())
    assert list(content)[:4] == ['format', 'version', 'date', 'target']
    assert content['format'] == 'mmseg_medical.comparison/1'
    assert content['methods'] == ['A', 'B']
    assert content['cases'] == list(of.case_ids)
    assert content['failures'] == {'B': {'x': 'broken'}}
    assert {'empty', 'unit', 'holm', 'tests', 'ranks', 'differences', 'interval', 'seed'} == set(content['conventions'])
    assert content['summary']['A']['a']['hd95']['mean'] == 'inf'
    (pair,) = content['pairs']['a']['dice']
    assert (pair['first'], pair['second'], pair['better'], pair['num_pairs']) == ('A', 'B', 'A', 5)
    assert pair['wilcoxon']['p_value'] == comparison.pairs['a']['dice'][0].wilcoxon.p_value
    assert content['ranks']['b']['dice'] == {
        'mean_rank': {'A': 1.2, 'B': 1.8}, 'wins': {'A': 3, 'B': 0}, 'num_cases': 5, 'num_ties': 2, 'num_left_out': 1
    }  # fmt: skip
    head, *rows = csv.reader(files[1].open())
    assert len(rows) == 2 * 3
    first = dict(zip(head, rows[0], strict=True))
    assert first['class'] == 'a'
    assert first['metric'] == 'dice'
    assert first['mean_difference'] == '0.06'
    assert first['wilcoxon_p'] == first['wilcoxon_p_holm'] == '0.25'
    assert first['better'] == 'A'
    assert dict(zip(head, rows[1], strict=True))['better'] == ''  # no difference
    head, *rows = csv.reader(files[2].open())
    assert head[:4] == ['method', 'case', 'class', 'state']
    assert len(rows) == 2 * 6 * 2
    assert rows[0][:4] == ['A', 'case_0', 'a', 'missed']
    assert rows[12][0] == 'B'


def test_text():
    of = undefined(table(6), 'b')
    text = comparison_text(compare_tables({'A': of, 'a name of a method that is long': shifted(of, -0.1)}))
    lines = [line.split() for line in text.splitlines()]
    assert next(line for line in lines if line[:2] == ['a', 'dice'])[-4:] == ['5', '1', '0.250', '0.250']
    assert next(line for line in lines if line[:2] == ['b', 'dice'])[-6:] == ['-', '-', '0', '6', '-', '-']
    assert 'adjusted by Holm' in text
    assert max(map(len, text.splitlines())) <= 150
    assert not any('volume' in line for line in text.splitlines())
    assert [p_text(p) for p in (0.00099, 0.001, 1.0, np.nan)] == ['< 0.001', '0.001', '1.000', '-']
    single = compare_tables({'A': table(1), 'B': shifted(table(1), -0.125)}).pairs['a']['dice'][0]
    assert difference_text(single) == '+0.125'
