# ruff: noqa: NPY002 - the transform draws from this generator
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmseg.datasets.transforms import RandomCrop

from mmseg_medical.datasets.transforms import CountedRandomCrop, PackLesionInputs


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    ratio=st.sampled_from([1.0, 0.97, 0.75, 0.5]),
    channels=st.sampled_from([None, 4]),
)
def test_same_windows_as_mmseg(seed, shape, ratio, channels):
    rng = np.random.default_rng(seed)
    label = rng.choice(
        np.array([0, 1, 4, 255], np.uint8), (*shape, channels) if channels else shape, p=[0.7, 0.1, 0.1, 0.1]
    )
    if channels:
        label = (label == 1).astype(np.uint8)
    sample = dict(img=rng.integers(0, 256, (*shape, 3), np.uint8), gt_seg_map=label, seg_fields=['gt_seg_map'])
    found = []
    for kind in (RandomCrop, CountedRandomCrop):
        np.random.seed(seed % 2**32)
        found.append(kind(crop_size=(9, 13), cat_max_ratio=ratio)(dict(sample)))
    np.testing.assert_array_equal(found[0]['img'], found[1]['img'])
    np.testing.assert_array_equal(found[0]['gt_seg_map'], found[1]['gt_seg_map'])
    assert found[0]['img_shape'] == found[1]['img_shape']
    y0, x0, y1, x1 = found[1]['random_crop']
    assert (y1 - y0, x1 - x0) == found[1]['img_shape']
    np.testing.assert_array_equal(sample['img'][y0:y1, x0:x1], found[1]['img'])
    assert {*found[0], 'random_crop'} == {*found[1]}


@pytest.mark.parametrize('value', [0, 255])
def test_window_of_one_value(value):
    label = np.full((20, 20), value, np.uint8)
    sample = dict(img=np.zeros((20, 20, 3), np.uint8), gt_seg_map=label, seg_fields=['gt_seg_map'])
    assert CountedRandomCrop((5, 7), 0.75)(sample)['gt_seg_map'].shape == (5, 7)


def test_window_reaches_the_packed_sample():
    sample = dict(img=np.zeros((20, 30, 3), np.uint8), gt_seg_map=np.zeros((20, 30), np.uint8))
    sample['seg_fields'] = ['gt_seg_map']
    packed = PackLesionInputs()(CountedRandomCrop((20, 30))(sample))
    assert packed['data_samples'].random_crop == (0, 0, 20, 30)
