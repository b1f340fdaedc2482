# ruff: noqa: NPY002 - the transform draws from this generator
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmseg.datasets.transforms import RandomCrop

from mmseg_medical.datasets.transforms import CountedRandomCrop


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


@pytest.mark.parametrize('value', [0, 255])
def test_window_of_one_value(value):
    label = np.full((20, 20), value, np.uint8)
    sample = dict(img=np.zeros((20, 20, 3), np.uint8), gt_seg_map=label, seg_fields=['gt_seg_map'])
    assert CountedRandomCrop((5, 7), 0.75)(sample)['gt_seg_map'].shape == (5, 7)
