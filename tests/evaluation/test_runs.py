"""Methods that were trained several times."""

import dataclasses
import math
import re

import numpy as np
import pytest
from case_tables import shifted, table
from scipy import stats

from mmseg_medical.evaluation.compare import compare_tables
from mmseg_medical.evaluation.compare_files import comparison_content, comparison_text, pair_rows, run_rows
from mmseg_medical.evaluation.functional.statistics import compare_runs, holm
from mmseg_medical.evaluation.runs import average_runs


def with_states(of, states):
    return dataclasses.replace(of, states=np.array(states, np.int8))


def test_one_run_is_itself():
    of = table(5)
    assert average_runs([of]) is of
    assert not compare_tables({'A': of, 'B': [shifted(of, -0.1)]}).runs


def test_cases_are_averaged_where_they_are_defined():
    of, other = table(5), table(5, seed=1)
    values = other.values.copy()
    values[4, 0, 0] = np.nan
    mean = average_runs([of, dataclasses.replace(other, values=values)])
    assert mean.values[3, 1, 1] == (of.values[3, 1, 1] + other.values[3, 1, 1]) / 2
    assert mean.values[4, 0, 0] == of.values[4, 0, 0]
    assert np.isnan(mean.values[2, 0, 0])


def test_the_worst_state_counts():
    of = table(3, classes=('a',))
    # targets: present, present, absent
    runs = [with_states(of, [[0], [0], [3]]), with_states(of, [[1], [0], [3]]), with_states(of, [[0], [0], [2]])]
    np.testing.assert_array_equal(average_runs(runs).states, [[1], [0], [2]])
    np.testing.assert_array_equal(average_runs(runs[::-1]).states, [[1], [0], [2]])
    np.testing.assert_array_equal(average_runs(runs[:1] * 2).states, [[0], [0], [3]])


def test_pairs_are_those_of_the_averages_and_runs_those_of_the_means():
    first = [table(9, seed=seed) for seed in range(3)]
    second = [shifted(table(9, seed=seed), -0.05) for seed in (3, 4)]
    turned = [second[0].select(second[0].case_ids[::-1]), second[1]]
    comparison = compare_tables({'A': first, 'B': turned, 'C': first[0]}, seed=2)
    averages = {'A': average_runs(first), 'B': average_runs(second), 'C': first[0]}
    assert comparison.pairs == compare_tables(averages, seed=2).pairs
    means = {
        name: np.array([np.nanmean(of.column('b', 'dice')) for of in runs])
        for name, runs in (('A', first), ('B', second))
    }
    pair = comparison.runs['b']['dice'][0]
    assert pair.first_runs.mean == pytest.approx(means['A'].mean())
    assert pair.first_runs.std == pytest.approx(means['A'].std(ddof=1))
    assert pair.p_value == pytest.approx(stats.ttest_ind(means['A'], means['B'], equal_var=False).pvalue)
    assert math.isnan(comparison.runs['b']['dice'][1].p_value)  # one run of C
    assert set(comparison.runs['a']) == set(comparison.metrics)


def test_what_is_written():
    of = table(6)
    comparison = compare_tables({'A': [of, shifted(of, 0.01)], 'B': shifted(of, -0.1)})
    content = comparison_content(comparison)
    assert content['runs']['a']['dice'][0]['second_runs']['std'] is None
    assert 'Welch' in content['conventions']['runs']
    assert 'runs' not in compare_tables({'A': of, 'B': of}).conventions()
    (row,) = run_rows(comparison, ['dice'])[:1]
    assert row[:3] == ['a', 'dice', 'A']
    assert re.fullmatch(r'0\.\d+ ± 0\.\d+ \(2\)', row[3])
    assert re.fullmatch(r'0\.\d+ \(1\)', row[5])
    assert row[6] == '-'
    assert row[3] in comparison_text(comparison)
    head, first, *_ = pair_rows(comparison)
    assert len(first) == len(head)
    assert dict(zip(head, first, strict=True))['welch_p_holm'] == ''  # one run of B
    assert len({len(row) for row in pair_rows(compare_tables({'A': of, 'B': shifted(of, -0.1)}))}) == 1
    assert 'Welch' not in comparison_text(compare_tables({'A': of, 'B': of}))


def test_runs_that_do_not_fit():
    of = table(6)
    with pytest.raises(ValueError, match='A, run 2 lacks case_0, which A, run 1 has'):
        compare_tables({'A': [of, of.select(of.case_ids[1:])], 'B': of})
    other = dataclasses.replace(of, conventions={**of.conventions, 'empty': 'otherwise'})
    with pytest.raises(ValueError, match="'empty' is 'as documented' for A, run 1 and 'otherwise' for A, run 2"):
        compare_tables({'A': [of, other], 'B': of})


def test_welch_over_pairs():
    values = {'A': np.array([0.90, 0.91, 0.92]), 'B': np.array([0.80, 0.82, np.nan]), 'C': np.array([0.7, 0.9, 0.8])}
    pairs = compare_runs(values)
    assert [(pair.first, pair.second) for pair in pairs] == [('A', 'B'), ('A', 'C'), ('B', 'C')]
    assert pairs[0].second_runs.num_runs == 2
    np.testing.assert_allclose([pair.holm for pair in pairs], holm(np.array([pair.p_value for pair in pairs])))


@pytest.mark.parametrize('second', [[0.5], [], [0.5, 0.5], [0.5, np.inf]])
def test_runs_that_tell_nothing(second):
    (pair,) = compare_runs({'A': np.array([0.9, 0.9]), 'B': np.array(second)})
    assert math.isnan(pair.p_value)
    assert math.isnan(pair.holm)
