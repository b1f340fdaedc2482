import math
import re

import numpy as np
import pytest

from mmseg_medical.evaluation.functional import EMPTY_POLICIES, STATES, EmptyPolicy, states_of

NAN, INF = math.nan, math.inf
# worth of a score (best 1, worst 0) and of a distance (best 0, worst 50), by state
TABLE = {
    'strict': ([0.5, 0, 0, NAN], [7, 50, 50, NAN]),
    'perfect': ([0.5, 0, 0, 1], [7, 50, 50, 0]),
    'infinite': ([0.5, 0, 0, NAN], [7, INF, INF, NAN]),
    'exclude': ([0.5, NAN, NAN, NAN], [7, NAN, NAN, NAN]),
}


@pytest.mark.parametrize('name', EMPTY_POLICIES)
def test_truth_table(name):
    policy = EmptyPolicy.of(name)
    score, distance = TABLE[name]
    np.testing.assert_array_equal(policy.fill(np.full(4, 0.5), range(4), best=1.0, worst=0.0), score)
    np.testing.assert_array_equal(policy.fill(np.full(4, 7), range(4), best=0.0, worst=50.0), distance)


def test_every_policy_is_in_the_table():
    assert set(TABLE) == set(EMPTY_POLICIES)
    assert EmptyPolicy() == EMPTY_POLICIES['strict']


def test_states():
    found = states_of([[2, 0], [1, 0]], [[3, 1], [0, 0]])
    assert found.dtype == np.int8
    assert found.tolist() == [[0, 1], [2, 3]]
    assert [[STATES[s] for s in row] for row in found] == [['valid', 'missed'], ['false_alarm', 'empty']]


def test_single_lines_of_the_table():
    policy = EmptyPolicy.of({'missed': 'best', 'false_alarm': 'infinite', 'empty': 'worst'})
    assert policy == EmptyPolicy('best', 'infinite', 'worst')
    np.testing.assert_array_equal(policy.fill(np.zeros(4), range(4), best=0.0, worst=3.0), [0, 0, INF, 3])
    assert EmptyPolicy.of(policy) is policy


def test_values_are_not_changed_in_place():
    values = np.array([0.25, 0.25])
    EmptyPolicy().fill(values, [1, 0], best=1.0, worst=0.0)
    assert values.tolist() == [0.25, 0.25]


def test_words():
    assert EMPTY_POLICIES['strict'].describe() == (
        'only prediction empty: worst value (0, or the diagonal of the grid in mm); only target empty: worst value '
        '(0, or the diagonal of the grid in mm); both empty: undefined (null), left out of means'
    )
    assert 'infinite distance' in EMPTY_POLICIES['infinite'].describe()
    assert EMPTY_POLICIES['perfect'].describe().endswith('both empty: best value (1, or 0 mm)')


@pytest.mark.parametrize(
    ('policy', 'message'),
    [
        ('perfct', "empty must be one of strict, perfect, infinite, exclude, got 'perfct'. Did you mean perfect?"),
        ({'none': 'best'}, 'an empty policy has missed, false_alarm and empty, got none'),
        (
            {'missed': 'nan'},
            "missed of the empty policy must be one of ('best', 'worst', 'infinite', 'undefined'), got 'nan'",
        ),
    ],
)
def test_unknown_policies(policy, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        EmptyPolicy.of(policy)
