import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmseg_medical.ops import sliding_windows
from mmseg_medical.ops.window_grid import overlap_stride, window_weights


@given(st.lists(st.tuples(st.integers(1, 23), st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3), st.data())
def test_windows_cover_everything_and_stay_inside(axes, data):
    size, window, stride = zip(*((s, w, min(step, w)) for s, w, step in axes), strict=True)
    slowest = data.draw(st.integers(0, len(size) - 1))
    covered = np.zeros(size, bool)
    windows = sliding_windows(size, window, stride, slowest_axis=slowest)
    for index in windows:
        assert all(
            0 <= a.start < a.stop <= s and a.stop - a.start == min(w, s)
            for a, s, w in zip(index, size, window, strict=True)
        )
        covered[index] = True
    assert covered.all()
    assert len(set(map(str, windows))) == len(windows)
    starts = [index[slowest].start for index in windows]
    assert starts == sorted(starts)


def test_windows_by_hand():
    starts = [(y.start, x.start) for y, x in sliding_windows((5, 7), (3, 4), (2, 3))]
    assert starts == [(0, 0), (0, 3), (2, 0), (2, 3)]
    starts = [(y.start, x.start) for y, x in sliding_windows((5, 7), (3, 4), (2, 3), slowest_axis=1)]
    assert starts == [(0, 0), (2, 0), (0, 3), (2, 3)]


@pytest.mark.parametrize('stride', [0, 5])
def test_stride_that_leaves_gaps_is_refused(stride):
    with pytest.raises(ValueError, match='stride'):
        sliding_windows((10,), (4,), (stride,))


def test_ranks_must_agree():
    with pytest.raises(ValueError, match='differ in rank'):
        sliding_windows((10, 10), (4, 4), (2,))


@pytest.mark.parametrize('size', [(), (0,)])
def test_empty_grids_are_refused(size):
    with pytest.raises(ValueError, match='no points'):
        sliding_windows(size, (4,) * len(size), (2,) * len(size))


@given(st.integers(1, 200), st.sampled_from([0, 0.1, 0.25, 0.3, 1 / 3, 0.5, 0.7, 0.75, 0.9, 0.99]))
def test_stride_of_an_overlap(window, overlap):
    (stride,) = overlap_stride((window,), overlap)
    assert stride == 1 or window - stride >= overlap * window - 1e-4
    assert window - (stride + 1) < overlap * window + 1e-4


def test_overlap_of_each_axis():
    assert overlap_stride((30, 30, 96), (0.9, 0, 0.25)) == (3, 30, 72)


@pytest.mark.parametrize('overlap', [1, -0.1, 1.5, (0.5,), (0.5, 1)])
def test_impossible_overlaps_are_refused(overlap):
    with pytest.raises(ValueError, match='overlap must be'):
        overlap_stride((8, 8), overlap)


def test_gaussian_by_hand():
    weights = window_weights((16,), 'gaussian')
    sigma = 16 / 8
    expected = [np.exp(-((x - 7.5) ** 2) / (2 * sigma**2)) for x in range(16)]
    np.testing.assert_allclose(weights.numpy(), np.float32(expected), rtol=1e-6)


@pytest.mark.parametrize('window', [(1,), (2, 3), (128, 96, 160), (1024,) * 2, (7,) * 4])
def test_gaussian_is_symmetric_and_never_zero(window):
    weights = window_weights(window, 'gaussian')
    assert weights.dtype == torch.float32
    assert weights.min() > 1e-16
    assert torch.equal(weights, weights.flip(tuple(range(len(window)))))
    assert weights.max() <= 1


def test_unknown_weights_are_an_error():
    with pytest.raises(ValueError, match="weights='hann'"):
        window_weights((4,), 'hann')
