import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmseg_medical.ops import WindowMerger, sliding_windows


@given(st.lists(st.tuples(st.integers(1, 23), st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3))
def test_windows_cover_everything_and_stay_inside(axes):
    size, window, stride = zip(*((s, w, min(step, w)) for s, w, step in axes), strict=True)
    covered = np.zeros(size, bool)
    windows = sliding_windows(size, window, stride)
    for index in windows:
        assert all(
            0 <= a.start < a.stop <= s and a.stop - a.start == min(w, s)
            for a, s, w in zip(index, size, window, strict=True)
        )
        covered[index] = True
    assert covered.all()
    assert len(set(map(str, windows))) == len(windows)


def test_windows_by_hand():
    starts = [(y.start, x.start) for y, x in sliding_windows((5, 7), (3, 4), (2, 3))]
    assert starts == [(0, 0), (0, 3), (2, 0), (2, 3)]


@pytest.mark.parametrize('stride', [0, 5])
def test_stride_that_leaves_gaps_is_refused(stride):
    with pytest.raises(ValueError, match='stride'):
        sliding_windows((10,), (4,), (stride,))


@pytest.mark.parametrize('weights', ['constant', 'gaussian'])
def test_consistent_windows_merge_to_the_whole(weights):
    whole = torch.randn(2, 3, 13, 17)
    merger = WindowMerger(whole.shape, weights=weights)
    for window in sliding_windows((13, 17), (5, 6), (3, 4)):
        merger.add(whole[(slice(None), slice(None), *window)], window)
    torch.testing.assert_close(merger.result(), whole)


def test_overlap_is_the_mean():
    merger = WindowMerger((1, 1, 4))
    merger.add(torch.tensor([[[1.0, 1.0, 1.0]]]), (slice(0, 3),))
    merger.add(torch.tensor([[[3.0, 3.0, 3.0]]]), (slice(1, 4),))
    assert merger.result().tolist() == [[[1.0, 2.0, 2.0, 3.0]]]


def test_gaussian_trusts_the_centre():
    merger = WindowMerger((1, 1, 12), weights='gaussian')
    merger.add(torch.zeros(1, 1, 8), (slice(0, 8),))
    merger.add(torch.ones(1, 1, 8), (slice(4, 12),))
    merged = merger.result()[0, 0]
    assert (merged.diff() >= 0).all()
    assert merged[4] < 0.01
    assert merged[7] > 0.99


def test_uncovered_points_are_an_error():
    merger = WindowMerger((1, 1, 4))
    merger.add(torch.zeros(1, 1, 3), (slice(0, 3),))
    with pytest.raises(ValueError, match='uncovered'):
        merger.result()


def test_unknown_weights_are_an_error():
    with pytest.raises(ValueError, match="weights='hann'"):
        WindowMerger((1, 1, 4), weights='hann')
