"""Back to the grid of the file."""

import tracemalloc

import numpy as np
import pytest
import torch
from affines import orientations

from mmseg_medical.geometry import CropPad, Grid, Reorient, Resample, restore, restore_labels


def chain(number=29, size=(11, 8, 9), box=((2, 9), (-1, 7), (3, 12))):
    native = Grid(size, orientations()[number])
    turned = Reorient.plan(native, 'RAS')
    finer = Resample.plan(turned.target, spacing_mm=(1, 1.2, 2))
    cut = CropPad.plan(finer.target, box=box)
    return [turned, finer, cut, CropPad.plan(cut.target, size=(8, 16, 8))]


def scores(steps, classes=5, dtype=np.float32):
    return np.random.default_rng(0).standard_normal((classes, *steps[-1].target.size)).astype(dtype)


def covered(steps):
    return restore(np.ones(steps[-1].target.size, np.uint8), steps, 'nearest') == 1


@pytest.mark.parametrize('number', range(0, 48, 5))
@pytest.mark.parametrize('slab', [1, 20_000, 1 << 30])
def test_slabs_are_the_whole_to_the_bit(monkeypatch, number, slab):
    monkeypatch.setattr('mmseg_medical.geometry.restoring._SLAB_BYTES', slab)
    steps = chain(number)
    values = scores(steps)
    expected = restore(values, steps).argmax(axis=0) * covered(steps)
    result = restore_labels(values, steps)
    assert (result.dtype, result.shape, result.flags.c_contiguous) == (np.uint8, steps[0].source.size, True)
    np.testing.assert_array_equal(result, expected)
    tensors = restore_labels(torch.from_numpy(values), steps, lambda slab: slab.argmax(dim=0, keepdim=True))
    assert tensors.dtype == np.int64
    np.testing.assert_array_equal(tensors[0], expected)


def test_masks_of_several_labels():
    steps = chain()
    values = scores(steps)
    masks = restore_labels(values, steps, lambda slab: (slab >= 0).astype(np.uint8))
    np.testing.assert_array_equal(masks, (restore(values, steps) >= 0) & covered(steps))


def test_what_was_cut_away_is_not_decided():
    grid = Grid((4, 5), None)
    steps = [CropPad.plan(grid, box=((1, 3), (2, 4)))]
    result = restore_labels(np.ones((1, 2, 2), np.float32), steps, lambda slab: np.full_like(slab, 7))
    expected = np.zeros((1, 4, 5))
    expected[0, 1:3, 2:4] = 7
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_half_and_double(dtype):
    steps = chain()
    values = torch.from_numpy(scores(steps)).to(dtype).requires_grad_()
    kinds = set()
    labels = restore_labels(values, steps, lambda slab: kinds.add(slab.dtype) or slab.argmax(0))
    assert kinds == {torch.float64 if dtype == torch.float64 else torch.float32}
    expected = restore(values.detach().double().numpy(), steps).argmax(0) * covered(steps)
    assert (labels == expected).mean() > 0.99  # of float32, ties may fall otherwise
    half = scores(steps, dtype=np.float16)
    np.testing.assert_array_equal(restore_labels(half, steps), restore_labels(half.astype(np.float32), steps))


def test_without_steps():
    values = np.random.default_rng(0).standard_normal((300, 3, 4)).astype(np.float32)
    labels = restore_labels(values, [])
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, values.argmax(axis=0))
    assert restore(values, []) is values


def test_of_equal_scores_the_lower_class():
    assert not restore_labels(np.zeros((3, 4, 5), np.float32), []).any()


def test_fill():
    steps = chain()
    values = restore(scores(steps, 2), steps, fill=(5, 6))
    outside = ~covered(steps)
    assert outside.any()
    far = [restore(np.ones(steps[-1].target.size, np.float32), steps) == 0]
    assert (values[0][far[0]] == 5).all()
    assert (values[1][far[0]] == 6).all()


def test_memory_is_that_of_slabs():
    native = Grid((128, 128, 64), np.diag([-1, 1, 1, 1]))
    turned = Reorient.plan(native, 'RAS')
    steps = [turned, Resample.plan(turned.target, size=(32, 32, 32))]
    values = scores(steps, 30)  # 126 MB on the native grid
    restore_labels(values[:2], steps)
    tracemalloc.start()
    labels = restore_labels(values, steps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert labels.shape == native.size
    assert peak < 100e6


def test_refusals():
    steps = chain()
    with pytest.raises(ValueError, match='the steps do not follow each other: Reorient ends on size'):
        restore(scores(steps), [steps[0], steps[2]])
    moved = Grid(steps[0].target.size, np.eye(4))
    with pytest.raises(ValueError, match=r'begins on .* with another affine'):
        restore_labels(scores(steps), [steps[0], Resample.plan(moved, size=(8, 16, 8))])
    with pytest.raises(
        ValueError, match=r'expected scores of shape \(classes, \*\(8, 16, 8\)\), found \(5, 8, 16, 7\)'
    ):
        restore_labels(scores(steps)[..., 1:], steps)
    away = [CropPad.plan(Grid((4, 5), None), box=((7, 9), (0, 5)))]
    with pytest.raises(ValueError, match=r'the steps leave nothing of an image of size \(4, 5\)'):
        restore_labels(np.zeros((2, 2, 5)), away)
