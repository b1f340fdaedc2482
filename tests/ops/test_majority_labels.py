"""The most frequent label of each block."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from mmseg_medical.ops import majority_labels


def counted(labels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Block by block; blocks as torch's adaptive average has them."""
    result = np.zeros(size, labels.dtype)
    for place in np.ndindex(*size):
        block = labels[
            tuple(slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in zip(place, labels.shape, size, strict=True))
        ]
        counts = Counter(block.ravel().tolist())
        result[place] = min(counts, key=lambda value: (-counts[value], value))
    return result


@pytest.mark.parametrize(
    ('size', 'wanted'),
    [((8,), (4,)), ((7, 5), (3, 2)), ((6, 1, 9), (2, 1, 4)), ((35, 11, 13), (4, 2, 2)), ((3, 4), (3, 4))],
)
def test_counts(size, wanted):
    labels = np.random.default_rng(0).integers(0, 4, size).astype(np.uint8)
    labels[..., 0] = 255
    found = majority_labels(torch.from_numpy(labels), wanted)
    assert found.dtype == torch.uint8
    np.testing.assert_array_equal(found.numpy(), counted(labels, wanted))


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_no_side_is_favoured(axis):
    labels = torch.randint(0, 3, (8, 10, 7), generator=torch.Generator().manual_seed(1))
    reduced = majority_labels(labels, (4, 5, 3))
    torch.testing.assert_close(majority_labels(labels.flip(axis), (4, 5, 3)), reduced.flip(axis))


def test_leading_axes_and_strides():
    labels = torch.randint(0, 2, (2, 3, 8, 6)).transpose(2, 3)
    found = majority_labels(labels, (3, 4))
    assert found.shape == (2, 3, 3, 4)
    torch.testing.assert_close(found[1, 2], majority_labels(labels[1, 2], (3, 4)))
