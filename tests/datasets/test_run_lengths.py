import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mmseg_medical.datasets.lesions import bits_to_channels, label_lut
from mmseg_medical.datasets.run_lengths import RunLengths

maps = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=11),
    elements=st.sampled_from([0, 0, 0, 1, 2, 15, 128, 255]),
)


def test_by_hand():
    runs = RunLengths.encode(np.array([[0, 3, 3], [3, 0, 1]], np.uint8))
    assert runs.shape == (2, 3)
    assert runs.starts.tolist() == [1, 5]
    assert runs.lengths.tolist() == [3, 1]  # a run goes on in the next row
    assert runs.values.tolist() == [3, 1]


@settings(deadline=None)
@given(maps)
def test_round_trip(array):
    runs = RunLengths.encode(array)
    np.testing.assert_array_equal(runs.decode(), array)
    again = RunLengths.from_bytes(runs.to_bytes())
    np.testing.assert_array_equal(again.decode(), array)
    np.testing.assert_array_equal(runs.histogram(), np.bincount(array.reshape(-1), minlength=256))


@settings(deadline=None)
@given(maps)
def test_tables_are_applied_on_the_way(array):
    runs = RunLengths.encode(array)
    lut = label_lut()
    np.testing.assert_array_equal(runs.decode(lut), lut[array])
    channels = bits_to_channels(np.arange(256, dtype=np.uint8))
    np.testing.assert_array_equal(runs.decode(channels), bits_to_channels(array))


@settings(deadline=None)
@given(maps, st.data())
def test_any_changed_byte_is_noticed(array, data):
    stored = bytearray(RunLengths.encode(array).to_bytes())
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match='digest'):
        RunLengths.from_bytes(bytes(stored))


@pytest.mark.parametrize('kept', [0, 5, 16, 30])
def test_truncated_bytes_are_noticed(kept):
    stored = RunLengths.encode(np.eye(9, dtype=np.uint8)).to_bytes()
    with pytest.raises(ValueError, match='digest'):
        RunLengths.from_bytes(stored[:kept])


def test_views_are_read_in_their_own_order():
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for view in (array.T, array[::-1], array[:, ::-2]):
        np.testing.assert_array_equal(RunLengths.encode(view).decode(), view)


@pytest.mark.parametrize('array', [np.zeros(4, np.uint8), np.zeros((2, 2)), np.zeros((2, 2, 1), np.uint8)])
def test_other_arrays_are_refused(array):
    with pytest.raises(TypeError, match='uint8 maps'):
        RunLengths.encode(array)
