import math
import warnings

import numpy as np
import pytest

from mmseg_medical.evaluation.functional.statistics import (
    bootstrap_interval,
    compare_methods,
    holm,
    paired_permutation,
    paired_wilcoxon,
)

NAN, INF = math.nan, math.inf


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield


def methods() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    base = rng.beta(8, 2, 24)
    values = {'A': base, 'B': base + rng.normal(0.03, 0.04, 24), 'C': base + rng.normal(0.0, 0.05, 24)}
    values['A'][3] = values['B'][5] = values['C'][3] = NAN
    return values


def test_each_pair_is_what_the_functions_say() -> None:
    values = methods()
    result = compare_methods(values, higher_is_better=True)
    assert [(pair.first, pair.second) for pair in result] == [('A', 'B'), ('A', 'C'), ('B', 'C')]
    assert [(pair.num_pairs, pair.num_left_out) for pair in result] == [(22, 2), (23, 1), (22, 2)]
    for pair in result:
        a, b = values[pair.first], values[pair.second]
        keep = ~np.isnan(a) & ~np.isnan(b)
        assert pair.wilcoxon == paired_wilcoxon(a[keep], b[keep])
        assert pair.permutation == paired_permutation(a[keep], b[keep])
        assert pair.interval == bootstrap_interval(a[keep] - b[keep])
        assert pair.mean_difference == pytest.approx((a - b)[keep].mean())
        assert pair.better == (pair.first if (a - b)[keep].mean() > 0 else pair.second)
        assert pair.interval.low < pair.mean_difference < pair.interval.high
    assert [p.wilcoxon_holm for p in result] == holm(np.array([p.wilcoxon.p_value for p in result])).tolist()
    assert [p.permutation_holm for p in result] == holm(np.array([p.permutation.p_value for p in result])).tolist()
    assert result[0].wilcoxon_holm > result[0].wilcoxon.p_value
    assert result[0].wilcoxon_holm != result[0].permutation_holm


def test_options_reach_the_functions() -> None:
    values = {'A': methods()['A'], 'B': methods()['B']}
    keep = ~np.isnan(values['A']) & ~np.isnan(values['B'])
    a, b = values['A'][keep], values['B'][keep]
    (pair,) = compare_methods(values, True, 3, 0.8, 77, 333)
    assert pair.interval == bootstrap_interval(a - b, 'mean', 0.8, 77, 3)
    assert pair.permutation == paired_permutation(a, b, 333, 3)


def test_a_third_method_changes_no_raw_number() -> None:
    values = methods()
    alone = compare_methods({'A': values['A'], 'B': values['B']}, True)[0]
    among = compare_methods(values, True)[0]
    assert (alone.wilcoxon, alone.permutation, alone.interval) == (among.wilcoxon, among.permutation, among.interval)
    assert alone.wilcoxon_holm == alone.wilcoxon.p_value


@pytest.mark.parametrize(('higher_is_better', 'better'), [(True, 'A'), (False, 'B'), (None, None)])
def test_better_side(higher_is_better: bool | None, better: str | None) -> None:
    (pair,) = compare_methods({'A': [2.0, 3.0], 'B': [1.0, 3.0]}, higher_is_better)
    assert pair.better == better
    (pair,) = compare_methods({'B': [1.0, 3.0], 'A': [2.0, 3.0]}, higher_is_better)
    assert pair.better == better
    assert pair.mean_difference == -0.5


def test_equal_methods() -> None:
    (pair,) = compare_methods({'A': [0.5, 0.7], 'B': [0.5, 0.7]}, True)
    assert pair.better is None
    assert (pair.mean_difference, pair.interval.low, pair.interval.high) == (0, 0, 0)
    assert (pair.wilcoxon_holm, pair.permutation_holm) == (1, 1)


def test_without_common_cases() -> None:
    result = compare_methods({'A': [NAN, 1.0, 2.0], 'B': [1.0, NAN, NAN], 'C': [5.0, 2.0, 4.0]}, True)
    pair = result[0]
    assert (pair.better, pair.num_pairs, pair.num_left_out) == (None, 0, 3)
    assert math.isnan(pair.mean_difference)
    assert math.isnan(pair.wilcoxon_holm)
    assert math.isnan(pair.permutation_holm)
    assert math.isnan(pair.interval.low)
    # the undone test does not count in the family
    assert result[1].wilcoxon_holm == 1


def test_infinite_values() -> None:
    (pair,) = compare_methods({'A': [INF, 1.0, INF], 'B': [INF, 2.0, 3.0]}, False)
    assert pair.better == 'B'
    assert pair.mean_difference == INF
    assert math.isnan(pair.interval.low)
    assert math.isnan(pair.permutation_holm)
    assert pair.wilcoxon_holm == 1


def test_errors() -> None:
    with pytest.raises(ValueError, match=r'^a comparison needs two methods or more, got 1: A$'):
        compare_methods({'A': [1.0]}, True)
    with pytest.raises(ValueError, match=r'got numbers A: 1, B: 2, C: 1$'):
        compare_methods({'A': [1.0], 'B': [1.0, 2.0], 'C': [1.0]}, True)
