import warnings

import numpy as np
import pytest
import torch
from mmcv.transforms import RandomFlip
from mmseg.datasets.transforms import PackSegInputs, PhotoMetricDistortion, RandomCrop

from mmseg_medical.datasets.transforms import PackLesionInputs


def _results(shape=(5, 7), channels=None):
    rng = np.random.default_rng(0)
    return dict(
        img=rng.integers(0, 256, (*shape, 3), np.uint8),
        gt_seg_map=rng.integers(0, 2, (*shape, channels) if channels else shape, np.uint8),
        seg_fields=['gt_seg_map'],
        case_id='IDRiD_01',
        img_path='IDRiD_01.jpg',
        ori_shape=(50, 70),
        img_shape=shape,
        pad_shape=shape,
        scale_factor=(0.1, 0.1),
        reduce_zero_label=False,
        crop_box=(0, 1, 2, 3),
    )


def test_as_mmseg_packs():
    results = _results()
    theirs, ours = PackSegInputs()(dict(results)), PackLesionInputs()(dict(results))
    assert torch.equal(theirs['inputs'], ours['inputs'])
    assert ours['inputs'].dtype == torch.uint8
    assert ours['inputs'].is_contiguous()
    assert torch.equal(theirs['data_samples'].gt_sem_seg.data, ours['data_samples'].gt_sem_seg.data)
    assert ours['data_samples'].gt_sem_seg.data.dtype == torch.int64


def test_metainfo():
    sample = PackLesionInputs()(_results())['data_samples']
    assert sample.case_id == 'IDRiD_01'
    assert (sample.ori_shape, sample.img_shape, sample.crop_box) == ((50, 70), (5, 7), (0, 1, 2, 3))
    assert (sample.flip, sample.flip_direction, sample.reduce_zero_label) == (False, None, False)


def test_multilabel_is_packed_without_warning():
    results = _results(channels=4)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        data = PackLesionInputs()(results)['data_samples'].gt_sem_seg.data
    assert (data.shape, data.dtype) == ((4, 5, 7), torch.int64)
    np.testing.assert_array_equal(data.numpy().transpose(1, 2, 0), results['gt_seg_map'])


def test_without_label():
    results = _results()
    del results['gt_seg_map']
    assert 'gt_sem_seg' not in PackLesionInputs()(results)['data_samples']


def test_results_are_not_changed():
    results = _results(channels=4)
    image = results['img'].copy()
    PackLesionInputs()(results)
    assert results['gt_seg_map'].shape == (5, 7, 4)
    np.testing.assert_array_equal(results['img'], image)


@pytest.mark.parametrize('channels', [None, 4])
def test_views_after_mmsegs_transforms(channels):
    results = _results((11, 13), channels)
    for transform in (RandomCrop((6, 9), 0.75), RandomFlip(prob=1.0), PhotoMetricDistortion()):
        results = transform(results)
    packed = PackLesionInputs()(results)
    np.testing.assert_array_equal(packed['inputs'].numpy().transpose(1, 2, 0), results['img'])
    assert packed['data_samples'].img_shape == (6, 9)
    assert packed['data_samples'].flip_direction == 'horizontal'
    label = packed['data_samples'].gt_sem_seg.data.numpy()
    np.testing.assert_array_equal(label[0] if channels is None else label.transpose(1, 2, 0), results['gt_seg_map'])


@pytest.mark.parametrize('channels', [None, 4])
def test_small_labels_for_testing(channels):
    results = _results(channels=channels)
    wide, small = (PackLesionInputs(label_dtype=kind)(results)['data_samples'] for kind in ('int64', 'uint8'))
    assert small.gt_sem_seg.data.dtype == torch.uint8
    assert torch.equal(small.gt_sem_seg.data.long(), wide.gt_sem_seg.data)
    with pytest.raises(ValueError, match="'int64' or 'uint8', found 'int8'"):
        PackLesionInputs(label_dtype='int8')


def test_single_pixel():
    assert PackLesionInputs()(_results((1, 1)))['inputs'].shape == (3, 1, 1)
