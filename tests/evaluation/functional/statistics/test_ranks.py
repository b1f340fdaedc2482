import math
import warnings

import numpy as np
import pytest
from scipy.stats import rankdata

from mmseg_medical.evaluation.functional.statistics import rank_table

NAN, INF = math.nan, math.inf


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield


def test_by_hand() -> None:
    table = rank_table(
        {
            'A': np.array([0.9, 0.8, 0.5, NAN, 0.3]),
            'B': np.array([0.8, 0.8, 0.6, 0.9, 0.3]),
            'C': np.array([0.7, 0.1, 0.7, 0.8, 0.3]),
        }
    )
    assert table.methods == ('A', 'B', 'C')
    expected = [[1, 1.5, 3, NAN, 2], [2, 1.5, 2, NAN, 2], [3, 3, 1, NAN, 2]]
    assert np.array_equal(table.ranks, expected, equal_nan=True)
    assert table.mean_rank.tolist() == [7.5 / 4, 7.5 / 4, 9 / 4]
    assert table.wins.tolist() == [1, 0, 1]
    assert table.wins.dtype == np.int64
    assert (table.num_cases, table.num_ties, table.num_left_out) == (4, 2, 1)


def test_distances() -> None:
    table = rank_table({'A': [1.0, 5.0, INF], 'B': [2.0, 4.0, INF], 'C': [3.0, INF, 7.0]}, higher_is_better=False)
    assert table.ranks.tolist() == [[1, 2, 2.5], [2, 1, 2.5], [3, 3, 1]]
    assert table.wins.tolist() == [1, 1, 1]
    assert (table.num_cases, table.num_ties, table.num_left_out) == (3, 0, 0)


def test_no_case_in_common() -> None:
    table = rank_table({'A': [NAN, 1.0], 'B': [1.0, NAN]})
    assert np.isnan(table.ranks).all()
    assert np.isnan(table.mean_rank).all()
    assert table.mean_rank.shape == (2,)
    assert table.wins.tolist() == [0, 0]
    assert (table.num_cases, table.num_ties, table.num_left_out) == (0, 0, 2)
    assert rank_table({'A': [], 'B': []}).num_left_out == 0


@pytest.mark.parametrize('higher_is_better', [True, False])
def test_against_scipy(higher_is_better: bool) -> None:
    scores = np.random.default_rng(0).integers(0, 4, (5, 31)) / 3
    table = rank_table(dict(zip('abcde', scores, strict=True)), higher_is_better)
    assert np.array_equal(table.ranks, rankdata(-scores if higher_is_better else scores, axis=0))
    assert table.ranks.sum(axis=0).tolist() == [15] * 31
    assert table.wins.sum() + table.num_ties == 31


def test_errors() -> None:
    with pytest.raises(ValueError, match=r'^a comparison needs two methods or more, got 1: A$'):
        rank_table({'A': [1.0]})
    with pytest.raises(ValueError, match=r'^a comparison needs two methods or more, got 0: none$'):
        rank_table({})
    with pytest.raises(ValueError, match='the same cases') as error:
        rank_table({'A': [1.0], 'B': [1.0, 2.0]})
    assert str(error.value) == (
        'the methods must have values of the same cases in the same order, got numbers A: 1, B: 2'
    )
    with pytest.raises(ValueError, match=r'^B must have shape'):
        rank_table({'A': [1.0], 'B': [[1.0]]})
