"""Routing as released, with the failures observed there, and by the nearest level."""

from __future__ import annotations

import itertools

import pytest

from mmseg_medical.models.layers.resolution_routing import (
    RoutingError,
    margins,
    nearest_level,
    path_failure,
    power_of_two,
    strict_level,
)

TARGET = (32, 64, 32)


def strict(size, target=TARGET):
    return strict_level(size, target, num_gates=3, num_divisions=5)


def nearest(size, target=TARGET, tolerance=1.0):
    return nearest_level([t / n for t, n in zip(target, size, strict=True)], 3, tolerance)


def test_rounding_table():
    ranges = {1: (1, 1), 2: (2, 2), 4: (3, 5), 8: (6, 11), 16: (12, 22), 32: (23, 45), 64: (46, 90), 128: (91, 181),
              256: (182, 362)}  # fmt: skip
    for power, (first, last) in ranges.items():
        assert power_of_two(range(first, last + 1)) == (power,) * (last - first + 1)


@pytest.mark.parametrize('level', range(4))
def test_exact_sizes_are_alike_in_both(level):
    size = tuple(n // 2**level for n in TARGET)
    assert strict(size) == nearest(size) == level
    assert margins(size, 2 ** (5 - level)) == ((0, 0),) * 3


@pytest.mark.parametrize(
    ('size', 'message'),
    [
        ((35, 51, 35), r'level 0, whose path fails: the instance norm after 5 halvings has a single voxel'),
        ((30, 60, 30), r'halving number 5 of size \(1, 3, 1\) leaves an axis of length 0'),
        ((24, 46, 23), r'halving number 5 of size \(1, 2, 1\) leaves an axis of length 0'),
        ((33, 64, 32), r'a map of size \(32, 64, 32\) meets a skip of size \(33, 64, 32\)'),
        ((32, 64, 16), r'size of no level \(\(32, 64, 32\), \(16, 32, 16\), \(8, 16, 8\), \(4, 8, 4\)\)'),
        ((64, 64, 32), 'size of no level'),
        ((48, 64, 32), 'size of no level'),
        ((2, 4, 2), 'size of no level'),
    ],
)
def test_failures_of_the_release_are_named(size, message):
    with pytest.raises(RoutingError, match=message):
        strict(size)


@pytest.mark.parametrize('size', [(48, 64, 32), (32, 64, 32), (24, 32, 16), (64, 64, 32)])
def test_the_release_rejects_everything_unless_the_target_is_of_powers_of_two(size):
    with pytest.raises(RoutingError, match='size of no level'):
        strict(size, target=(48, 64, 32))


def test_the_release_only_admits_multiples():
    """Among all sizes, those that run are exactly the sizes that need no margin."""
    for size in itertools.product(range(1, 40, 3), range(2, 70, 2), range(4, 40, 4)):
        try:
            level = strict(size)
        except RoutingError:
            continue
        assert margins(size, 2 ** (5 - level)) == ((0, 0),) * 3
        assert nearest(size) == level


@pytest.mark.parametrize(
    ('size', 'level'),
    [((35, 51, 35), 0), ((30, 60, 30), 0), ((33, 64, 32), 0), ((17, 31, 13), 1), ((7, 17, 9), 2), ((3, 7, 5), 3),
     ((32, 64, 16), 0), ((2, 4, 2), 3)],
)  # fmt: skip
def test_nearest_level(size, level):
    assert nearest(size) == level


def test_between_two_levels_the_finer_one_wins():
    assert nearest_level([1, 2], 3) == 0
    assert nearest_level([8, 4], 3) == 2


def test_far_sizes_are_refused():
    assert nearest((64, 128, 64)) == 0
    with pytest.raises(RoutingError, match=r'nearest level, 0, expects 1 \(mean error 1.67 octaves, tolerance 1\)'):
        nearest((128, 128, 128))
    assert nearest((128, 128, 128), tolerance=2) == 0
    with pytest.raises(RoutingError, match='nearest level, 3, expects 8'):
        nearest((1, 2, 1))


def test_margins_fit_every_size():
    for divisor, n in itertools.product((1, 4, 32), range(1, 70)):
        for (before, behind), length in zip(margins((n, 5, 1), divisor), (n, 5, 1), strict=True):
            assert 0 <= behind - before <= 1
            assert (before + length + behind) % divisor == 0


def test_a_single_voxel_at_the_bottom_gets_company():
    assert margins((3, 4, 2), 4) == ((0, 1), (2, 2), (1, 1))
    assert margins((4, 4, 4), 4) == ((2, 2), (0, 0), (0, 0))
    assert margins((4, 4, 4), 4, min_voxels=1) == ((0, 0),) * 3
    assert margins((1,), 4, min_voxels=3) == ((5, 6),)


def test_no_failure_without_divisions():
    assert path_failure((3, 5, 7), 0) is None
    assert path_failure((8, 8, 8), 2) is None
