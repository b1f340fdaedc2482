"""Labels of another size: the largest share in a block, or around its centre."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from mmseg_medical.ops import resize_labels


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
def test_most_frequent_of_each_block(size, wanted):
    labels = np.random.default_rng(0).integers(0, 4, size).astype(np.uint8)
    labels[..., 0] = 255
    found = resize_labels(torch.from_numpy(labels), wanted, 'area')
    assert found.dtype == torch.uint8
    np.testing.assert_array_equal(found.numpy(), counted(labels, wanted))


@pytest.mark.parametrize('factor', [2, 4, 8])
def test_even_blocks_look_at_the_voxels_around_their_centre(factor):
    labels = np.random.default_rng(1).integers(0, 3, (2 * factor, factor, 3 * factor)).astype(np.int16)
    found = resize_labels(torch.from_numpy(labels), (2, 1, 3)).numpy()
    for place in np.ndindex(2, 1, 3):
        start = [i * factor + factor // 2 - 1 for i in place]
        around = labels[tuple(slice(s, s + 2) for s in start)]
        counts = Counter(around.ravel().tolist())
        assert found[place] == min(counts, key=lambda value: (-counts[value], value))


@pytest.mark.parametrize('factor', [1, 3, 5])
def test_odd_blocks_give_their_middle(factor):
    labels = torch.randint(0, 300, (4 * factor, 2 * factor), generator=torch.Generator().manual_seed(0))
    assert torch.equal(resize_labels(labels, (4, 2)), labels[factor // 2 :: factor, factor // 2 :: factor])


@pytest.mark.parametrize('mode', ['linear', 'area'])
@pytest.mark.parametrize('axis', [0, 1, 2])
def test_no_side_is_favoured(axis, mode):
    labels = torch.randint(0, 3, (8, 10, 7), generator=torch.Generator().manual_seed(1))
    reduced = resize_labels(labels, (4, 5, 3), mode)
    torch.testing.assert_close(resize_labels(labels.flip(axis), (4, 5, 3), mode), reduced.flip(axis))


def test_leading_axes_and_strides():
    labels = torch.randint(0, 2, (2, 3, 8, 6)).transpose(2, 3)
    found = resize_labels(labels, (3, 4))
    assert found.shape == (2, 3, 3, 4)
    torch.testing.assert_close(found[1, 2], resize_labels(labels[1, 2], (3, 4)))
