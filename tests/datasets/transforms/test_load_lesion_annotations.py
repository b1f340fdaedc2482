import cv2
import mmcv
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_medical.datasets import IDRiDDataset
from mmseg_medical.datasets.label_cache import load_bit_map
from mmseg_medical.datasets.lesions import bits_to_channels, label_lut
from mmseg_medical.datasets.phantoms import write_idrid
from mmseg_medical.datasets.transforms import LoadFundusImage, LoadLesionAnnotations

SHAPE = (61, 83)


@pytest.fixture(scope='module')
def entry(tmp_path_factory):
    return IDRiDDataset(write_idrid(tmp_path_factory.mktemp('idrid'), 1, 0, SHAPE)).get_data_info(0)


@pytest.mark.parametrize('target', ['multiclass', 'multilabel'])
def test_native_grid(entry, target):
    results = LoadFundusImage((40, 30))({**entry, 'target': target})
    label = LoadLesionAnnotations('native')(results)['gt_seg_map']
    bits = load_bit_map(entry).decode()
    expected = label_lut()[bits] if target == 'multiclass' else bits_to_channels(bits)
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, expected)
    assert results['seg_fields'] == ['gt_seg_map']


@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 200), height=st.integers(1, 200))
def test_image_grid_is_mmcvs_nearest_neighbour(entry, width, height):
    results = LoadFundusImage((width, height), keep_ratio=False)(dict(entry, seg_fields=[]))
    label = LoadLesionAnnotations()(results)['gt_seg_map']
    native = label_lut()[load_bit_map(entry).decode()]
    np.testing.assert_array_equal(label, mmcv.imresize(native, (width, height), interpolation='nearest'))


def test_multilabel_on_the_image_grid(entry):
    results = LoadFundusImage((40, 40))(dict(entry, seg_fields=[], target='multilabel'))
    label = LoadLesionAnnotations()(results)['gt_seg_map']
    bits = cv2.resize(load_bit_map(entry).decode(), label.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(label, bits_to_channels(bits))


def test_crop_box_is_followed(entry):
    image = np.zeros((20, 30, 3), np.uint8)
    results = dict(entry, seg_fields=[], img=image, ori_shape=SHAPE, img_shape=(20, 30), crop_box=(5, 10, 45, 70))
    label = LoadLesionAnnotations()(results)['gt_seg_map']
    expected = cv2.resize(
        label_lut()[load_bit_map(entry).decode()][5:45, 10:70], (30, 20), interpolation=cv2.INTER_NEAREST
    )
    np.testing.assert_array_equal(label, expected)


@pytest.mark.parametrize('moved', [dict(flip=True), dict(img=np.zeros((9, 9, 3), np.uint8))])
def test_too_late_in_the_pipeline(entry, moved):
    results = {**LoadFundusImage((40, 40))(dict(entry, seg_fields=[])), **moved}
    with pytest.raises(RuntimeError, match='must come before flips and crops'):
        LoadLesionAnnotations()(results)


def test_unknown_grid():
    with pytest.raises(ValueError, match="'image' or 'native'"):
        LoadLesionAnnotations('world')
