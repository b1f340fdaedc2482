import re

import numpy as np
import pytest
import torch

from mmseg_medical.evaluation.functional.arrays import (
    as_labels,
    as_probabilities,
    as_tensor,
    check_range,
    check_same_shape,
    checked_spacing,
)


@pytest.mark.parametrize('dtype', ['bool', 'uint8', 'int16', 'uint16', 'uint32', 'uint64', '>i4', 'float16', 'float64'])
def test_labels_of_every_type(dtype):
    labels = as_labels(np.array([[0, 1], [1, 0]]).astype(dtype), 'pred')
    assert not labels.is_floating_point()
    assert labels.dtype != torch.bool
    assert labels.tolist() == [[0, 1], [1, 0]]


def test_arrays_that_torch_cannot_view():
    reversed_rows = np.arange(6).reshape(2, 3)[::-1]
    assert as_tensor(reversed_rows).tolist() == [[3, 4, 5], [0, 1, 2]]
    frozen = np.arange(3)
    frozen.flags.writeable = False
    as_tensor(frozen)[0] = 9
    assert frozen[0] == 0
    tensor = torch.arange(3.0, requires_grad=True)
    assert not as_tensor(tensor).requires_grad
    assert as_tensor(tensor).data_ptr() == tensor.data_ptr()
    own = np.arange(3)
    as_tensor(own)[0] = 9
    assert own[0] == 9  # a view, no copy
    byte = np.zeros(3, np.uint8)
    as_tensor(byte)[0] = 9
    assert byte[0] == 9


@pytest.mark.parametrize(
    ('array', 'error', 'message'),
    [
        (
            np.array([1, 0.5, 1.5]),
            ValueError,
            'pred must hold integer labels, got torch.float64 with 2 values such as 0.5',
        ),
        (np.array([1, np.nan]), ValueError, 'with 1 values such as nan'),
        (np.array([np.inf, 1]), ValueError, 'with 1 values such as inf'),
        (np.array([1j]), TypeError, 'pred must hold integer labels, got torch.complex128'),
        (np.array([2**64 - 1], np.uint64), ValueError, 'labels must fit into int64, got 18446744073709551615'),
    ],
)
def test_no_labels(array, error, message):
    with pytest.raises(error, match=re.escape(message)):
        as_labels(array, 'pred')


def test_range():
    labels = torch.tensor([0, 7, 7, -1, 3, 8, 9, 10, 11])
    message = (
        'pred holds labels outside 0..2: -1 (1 px), 3 (1 px), 7 (2 px), 8 (1 px), 9 (1 px) and 2 more values; '
        'num_classes=3, ignore_index=255'
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        check_range(labels, 3, 'pred', 255)
    with pytest.raises(ValueError, match=r'4 \(1 px\), 5 \(1 px\), 6 \(1 px\) and 6 more values; num_classes=2'):
        check_range(torch.arange(13), 2, 'pred', 255)
    check_range(torch.tensor([0, 2]), 3, 'pred', None)
    with pytest.raises(ValueError, match=re.escape('target holds labels outside 0..1: -1 (1 px); num')):
        check_range(torch.tensor([-1]), 2, 'target', None)


def test_probabilities():
    assert as_probabilities(np.array([0, 1], np.float32), 'scores').tolist() == [0, 1]
    assert as_probabilities(np.empty((0, 2)), 'scores').shape == (0, 2)
    assert as_probabilities(np.array([0.25, 0.75]), 'scores').tolist() == [0.25, 0.75]
    with pytest.raises(TypeError, match=re.escape('scores must be probabilities of a float type, got torch.int64')):
        as_probabilities(np.array([1]), 'scores')
    with pytest.raises(ValueError, match=re.escape('scores must be probabilities in 0..1, got NaN')):
        as_probabilities(np.array([0.5, np.nan]), 'scores')
    with pytest.raises(ValueError, match=re.escape('p must be probabilities in 0..1, got values in -0.5..0.5')):
        as_probabilities(np.array([-0.5, 0.5]), 'p')
    with pytest.raises(ValueError, match=re.escape('got values in 0..1.25')):
        as_probabilities(np.array([0, 1.25]), 'p')


def test_shapes():
    check_same_shape(np.zeros((2, 3)), torch.zeros(2, 3))
    with pytest.raises(ValueError, match=re.escape('pred and target must have one shape, got (2, 3) and (3, 2)')):
        check_same_shape(np.zeros((2, 3)), torch.zeros(3, 2))


def test_spacing():
    assert checked_spacing(None, 3) == (1.0, 1.0, 1.0)
    assert checked_spacing(np.array([1, 0.5]), 2) == (1.0, 0.5)
    for wrong in ((1, 0), (1, -1), (1, np.nan), (1, np.inf)):
        with pytest.raises(ValueError, match='spacing_mm must be positive and finite along each axis, got'):
            checked_spacing(wrong, 2)
    with pytest.raises(ValueError, match=re.escape('one number for each of the 3 axes, got (1.0, 2.0)')):
        checked_spacing((1, 2), 3)
    with pytest.raises(ValueError, match=re.escape('one number for each of the 2 axes, got (1.0, 2.0, 3.0)')):
        checked_spacing((1, 2, 3), 2)
