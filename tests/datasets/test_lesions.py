from itertools import permutations

import numpy as np
import pytest

from mmseg_medical.datasets.lesions import (
    IGNORE_BIT,
    LESIONS,
    bits_to_channels,
    check_overlap_order,
    count_lesions,
    count_overlaps,
    label_lut,
    labels_to_bits,
)

EX, MA, SE, HE = 1, 2, 4, 8


def test_labels_of_single_lesions():
    bits = np.array([[0, EX, MA], [SE, HE, IGNORE_BIT]], np.uint8)
    np.testing.assert_array_equal(label_lut()[bits], [[0, 1, 2], [3, 4, 255]])


@pytest.mark.parametrize('order', permutations(LESIONS))
def test_the_last_painted_lesion_survives(order):
    """Against painting masks one after the other."""
    bits = np.arange(16, dtype=np.uint8).reshape(4, 4)
    painted = np.zeros((4, 4), np.uint8)
    for lesion in order:
        painted[(bits >> LESIONS.index(lesion)) & 1 == 1] = LESIONS.index(lesion) + 1
    np.testing.assert_array_equal(label_lut(order)[bits], painted)


def test_channels_keep_overlaps():
    bits = np.array([[EX | HE, 0, IGNORE_BIT | EX]], np.uint8)
    np.testing.assert_array_equal(bits_to_channels(bits), [[[1, 0, 0, 1], [0, 0, 0, 0], [255] * 4]])


def test_labels_survive_the_way_through_bits():
    labels = np.array([[0, 1, 2, 3, 4, 255]], np.uint8)
    np.testing.assert_array_equal(label_lut()[labels_to_bits(labels)], labels)


def test_counts():
    histogram = np.bincount([0, 0, EX, EX | MA, EX | MA | HE, HE], minlength=256)
    assert count_lesions(histogram) == {'EX': 3, 'MA': 2, 'SE': 0, 'HE': 2}
    assert count_overlaps(histogram) == {'EX+MA': 2, 'EX+HE': 1, 'MA+HE': 1}


@pytest.mark.parametrize('order', [(), ('EX', 'HE', 'SE'), ('EX', 'EX', 'SE', 'MA'), ('EX', 'HE', 'SE', 'OD')])
def test_order_must_name_each_lesion_once(order):
    with pytest.raises(ValueError, match='overlap_order must name each'):
        check_overlap_order(order)


def test_table_maps_nothing_to_background():
    assert label_lut()[0] == 0
