import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mmseg_medical.evaluation.functional.statistics import paired as module
from mmseg_medical.evaluation.functional.statistics import paired_permutation, paired_wilcoxon

INF = math.inf


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield


def pairs(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.beta(8, 2, size)
    return a, a + rng.normal(0.02, 0.05, size)


def scipy_wilcoxon(differences: np.ndarray, **options) -> tuple[float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        result = stats.wilcoxon(differences, correction=False, **options)
    return float(result.statistic), float(result.pvalue)


def zeros(size: int) -> np.ndarray:
    return np.zeros(size)


class TestWilcoxon:
    def test_by_hand(self) -> None:
        result = paired_wilcoxon(np.array([5.0, 1.0, 9.0]), np.array([4.0, 3.0, 4.0]))
        # differences 1, -2, 5: rank sums 4 and 2; sums of 2 or less are those of {}, {1}, {2}
        assert result.statistic == 2
        assert result.p_value == 2 * 3 / 8
        assert (result.n, result.num_zero, result.exact) == (3, 0, True)
        assert result.mean_difference == pytest.approx(4 / 3)
        assert result.median_difference == 1

    def test_all_on_one_side(self) -> None:
        for size in (1, 5, 6, 30):
            result = paired_wilcoxon(np.arange(1, size + 1), zeros(size))
            assert (result.statistic, result.p_value) == (0, 2.0 ** (1 - size))
        assert paired_wilcoxon(np.arange(1, 6), zeros(5)).p_value > 0.05
        assert paired_wilcoxon(np.arange(1, 7), zeros(6)).p_value < 0.05

    def test_zero_differences(self) -> None:
        a = np.array([0.0, 0.0, 1.0, -2.0, 3.0])
        pratt = paired_wilcoxon(a, zeros(5))
        # ranks 3, 4, 5 remain: the negative one sums to 4; at most 4: {}, {3}, {4} of 8
        assert (pratt.statistic, pratt.p_value) == (4, 2 * 3 / 8)
        assert pratt == paired_wilcoxon(a, zeros(5), 'pratt')
        wilcox = paired_wilcoxon(a, zeros(5), 'wilcox')
        # ranks 1, 2, 3: at most 2: {}, {1}, {2} of 8
        assert (wilcox.statistic, wilcox.p_value) == (2, 2 * 3 / 8)
        assert (wilcox.n, wilcox.num_zero) == (pratt.n, pratt.num_zero) == (5, 2)

    def test_ties_share_the_mean_rank(self) -> None:
        # ranks 1.5, 1.5, 3: at most 1.5: {}, {1.5}, {1.5}
        result = paired_wilcoxon(np.array([-1.0, 1.0, 2.0]), zeros(3))
        assert (result.statistic, result.p_value) == (1.5, 2 * 3 / 8)

    def test_no_difference_at_all(self) -> None:
        for method in ('pratt', 'wilcox'):
            result = paired_wilcoxon(np.array([0.3, INF]), np.array([0.3, INF]), method)
            assert (result.statistic, result.p_value, result.n, result.num_zero) == (0, 1, 2, 2)
            assert (result.mean_difference, result.median_difference) == (0, 0)

    def test_no_pairs(self) -> None:
        result = paired_wilcoxon(zeros(0), zeros(0))
        numbers = (result.statistic, result.p_value, result.mean_difference, result.median_difference)
        assert all(math.isnan(number) for number in numbers)
        assert (result.n, result.num_zero, result.exact) == (0, 0, True)

    def test_infinite_differences_are_the_largest(self) -> None:
        finite = paired_wilcoxon(np.array([9.0, -8.0, 1.0, 2.0]), zeros(4))
        result = paired_wilcoxon(np.array([INF, -8.0, 1.0, 2.0]), zeros(4))
        assert (result.statistic, result.p_value) == (finite.statistic, finite.p_value)
        assert (result.mean_difference, result.median_difference) == (INF, 1.5)
        both = paired_wilcoxon(np.array([INF, 0.0]), np.array([0.0, INF]))
        assert (both.statistic, both.p_value) == (1.5, 1)
        assert math.isnan(both.mean_difference)
        assert math.isnan(both.median_difference)

    @pytest.mark.parametrize('size', [2, 3, 10, 25, 50])
    def test_against_scipy_exact(self, size: int) -> None:
        a, b = pairs(size)
        result = paired_wilcoxon(a, b)
        assert (result.statistic, result.p_value) == pytest.approx(scipy_wilcoxon(a - b, method='exact'), rel=1e-12)
        assert result.exact

    @pytest.mark.parametrize('method', ['pratt', 'wilcox'])
    def test_against_scipy_approximate(self, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(2)
        a, b = rng.integers(0, 12, 67), rng.integers(0, 11, 67)
        monkeypatch.setattr(module, '_EXACT_PAIRS', 0)
        result = paired_wilcoxon(a, b, method)
        expected = scipy_wilcoxon((a - b).astype(float), zero_method=method, method='approx')
        assert (result.statistic, result.p_value) == pytest.approx(expected, rel=1e-12)
        assert not result.exact

    def test_exact_up_to_two_hundred(self) -> None:
        a, b = np.random.default_rng(3).normal(size=(2, 201))
        approximate = paired_wilcoxon(a, b)
        assert not approximate.exact
        a[7] = b[7]  # 201 pairs, 200 differences
        exact = paired_wilcoxon(a, b)
        assert exact.exact
        assert exact.n == 201
        assert exact.p_value == pytest.approx(approximate.p_value, abs=0.02)

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.integers(-3, 3), min_size=1, max_size=8), st.sampled_from(['pratt', 'wilcox']))
    def test_against_all_signs(self, numbers: list[int], method: str) -> None:
        d = np.array(numbers, float)
        ranked = d if method == 'pratt' else d[d != 0]
        ranks = stats.rankdata(np.abs(ranked))[ranked != 0] if ranked.size else np.zeros(0)
        signs = np.sign(ranked[ranked != 0])
        observed = abs((signs * ranks).sum())
        sums = [abs(np.dot(s, ranks)) for s in itertools.product((-1, 1), repeat=ranks.size)]
        result = paired_wilcoxon(d, np.zeros(d.size), method)
        assert result.p_value == pytest.approx(np.mean(np.array(sums) >= observed))
        assert result.statistic == min(ranks[signs > 0].sum(), ranks[signs < 0].sum())
        swapped = paired_wilcoxon(np.zeros(d.size), d, method)
        assert (swapped.statistic, swapped.p_value) == (result.statistic, result.p_value)
        assert swapped.mean_difference == -result.mean_difference

    def test_errors(self) -> None:
        with pytest.raises(ValueError, match=r"^zero_method must be 'pratt' or 'wilcox', got 'zsplit'$"):
            paired_wilcoxon(zeros(2), zeros(2), 'zsplit')
        with pytest.raises(ValueError, match=r'^1 of 2 pairs are undefined'):
            paired_wilcoxon(zeros(2), np.array([0, np.nan]))
        with pytest.raises(ValueError, match=r'got 2 and 1$'):
            paired_wilcoxon(zeros(2), zeros(1))


class TestPermutation:
    def test_by_hand(self) -> None:
        result = paired_permutation(torch.tensor([5.0, 1.0, 9.0]), torch.tensor([4.0, 3.0, 4.0]))
        # differences 1, -2, 5 of sum 4: of the sums 8, 6, 4, 2 and their negatives six are as large
        assert result.p_value == 6 / 8
        assert result.statistic == result.mean_difference == pytest.approx(4 / 3)
        assert (result.n, result.num_zero, result.median_difference, result.exact) == (3, 0, 1, True)

    def test_all_on_one_side(self) -> None:
        assert paired_permutation([3.0], [1.0]).p_value == 1
        assert paired_permutation([3.0, 4.0, 5.0, 9.0], [1.0, 2.0, 0.0, 1.0]).p_value == 2 / 16

    def test_no_difference_and_no_pairs(self) -> None:
        same = paired_permutation(np.full(20, 0.3), np.full(20, 0.3))
        assert (same.statistic, same.p_value, same.num_zero, same.exact) == (0, 1, 20, False)
        none = paired_permutation(zeros(0), zeros(0))
        assert math.isnan(none.statistic)
        assert math.isnan(none.p_value)
        assert (none.n, none.exact) == (0, True)

    def test_infinite_differences_have_no_mean(self) -> None:
        result = paired_permutation([INF, 1.0, 2.0], [0.0, 0.0, 0.0])
        assert math.isnan(result.p_value)
        assert (result.statistic, result.median_difference, result.exact) == (INF, 2, False)
        assert math.isnan(paired_permutation([INF, 0.0], [0.0, INF]).statistic)
        assert paired_permutation([INF, 1.0], [INF, 0.0]).p_value == 1

    def test_counted_out_if_few_enough(self) -> None:
        a, b = pairs(5)
        assert paired_permutation(a, b, 32).exact
        assert not paired_permutation(a, b, 31).exact
        assert paired_permutation(*pairs(13)).exact  # 8192 of 9999
        assert not paired_permutation(*pairs(14)).exact

    @pytest.mark.parametrize('size', [2, 5, 11])
    def test_against_scipy(self, size: int) -> None:
        a, b = pairs(size)
        expected = stats.permutation_test(
            (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type='samples', n_resamples=np.inf
        )
        result = paired_permutation(a, b)
        assert result.p_value == pytest.approx(expected.pvalue)
        assert result.statistic == pytest.approx(expected.statistic)

    def test_drawn_is_close_to_counted_out(self) -> None:
        a, b = pairs(12, seed=4)
        drawn, exact = paired_permutation(a, b, 4095), paired_permutation(a, b, 4096)
        assert (drawn.exact, exact.exact) == (False, True)
        assert drawn.p_value == pytest.approx(exact.p_value, abs=0.03)
        assert drawn.p_value != exact.p_value

    def test_drawn_p_is_never_zero(self) -> None:
        result = paired_permutation(np.arange(1.0, 101), zeros(100))
        assert result.p_value == 1 / 10000
        assert paired_permutation(np.arange(1.0, 101), zeros(100), 99).p_value == 1 / 100

    def test_same_seed_same_numbers(self) -> None:
        a, b = pairs(40, seed=9)
        assert paired_permutation(a, b) == paired_permutation(a, b, 9999, 0)
        assert paired_permutation(a, b) != paired_permutation(a, b, seed=1)

    @pytest.mark.parametrize('cells', [1, 7, 8, 7 * 13 + 3])
    def test_pieces_change_nothing(self, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
        a, b = pairs(7)
        whole = paired_permutation(a, b, 128), paired_permutation(a, b, 127)
        assert (whole[0].exact, whole[1].exact) == (True, False)
        monkeypatch.setattr(module, '_CHUNK', cells)
        assert (paired_permutation(a, b, 128), paired_permutation(a, b, 127)) == whole

    def test_rounding_does_not_break_ties(self) -> None:
        a = np.array([0.1, 0.2, 0.3, -0.3, -0.2, 0.7])
        exact = paired_permutation(np.rint(a * 10), zeros(6)).p_value
        assert paired_permutation(a, zeros(6)).p_value == exact
        assert paired_permutation(a[::-1], zeros(6)).p_value == exact

    def test_errors(self) -> None:
        with pytest.raises(ValueError, match=r'^num_permutations must be at least 1, got 0$'):
            paired_permutation(zeros(2), zeros(2), 0)
        assert paired_permutation([1.0], [0.0], 1).p_value == 1
        with pytest.raises(ValueError, match=r'^1 of 2 pairs are undefined'):
            paired_permutation(zeros(2), np.array([0, np.nan]))


@pytest.mark.parametrize('test', [paired_wilcoxon, paired_permutation])
def test_level_is_held_where_nothing_differs(test) -> None:
    rng = np.random.default_rng(1)
    p = [test(*rng.normal(size=(2, 9))).p_value for _ in range(300)]
    assert np.mean(np.array(p) <= 0.05) < 0.09


def test_size_of_the_pieces_and_limit() -> None:
    assert (module._CHUNK, module._EXACT_PAIRS) == (1 << 20, 200)
