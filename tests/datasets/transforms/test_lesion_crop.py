# ruff: noqa: NPY002 - the transform draws from this generator
import numpy as np
import pytest

from mmseg_medical.datasets.transforms import LesionCrop


def _sample(label):
    image = np.arange(label.shape[0] * label.shape[1] * 3, dtype=np.uint32).astype(np.uint8)
    return dict(img=image.reshape(*label.shape[:2], 3), gt_seg_map=label, seg_fields=['gt_seg_map'])


def _crops(transform, label, number=300):
    np.random.seed(0)
    return [transform(_sample(label)) for _ in range(number)]


def test_window_holds_the_drawn_lesion():
    label = np.zeros((53, 71), np.uint8)
    label[10, 20], label[52, 70], label[0, 0] = 1, 2, 255
    for results in _crops(LesionCrop((16, 24), lesion_prob=1.0), label):
        assert results['img'].shape == (16, 24, 3)
        assert results['img_shape'] == results['pad_shape'] == results['gt_seg_map'].shape == (16, 24)
        assert (results['gt_seg_map'] == results['lesion_crop']['lesion']).any()
        y0, x0, y1, x1 = results['lesion_crop']['box']
        np.testing.assert_array_equal(results['img'], _sample(label)['img'][y0:y1, x0:x1])


def test_classes_are_drawn_evenly_whatever_their_size():
    label = np.zeros((60, 80), np.uint8)
    label[5:30, 5:50] = 1
    label[50, 70] = 4
    drawn = [results['lesion_crop']['lesion'] for results in _crops(LesionCrop((9, 9), 1.0), label, 600)]
    assert 240 < drawn.count(4) < 360


def test_position_in_the_window_is_uniform():
    label = np.zeros((101, 101), np.uint8)
    label[50, 50] = 3
    boxes = np.array([r['lesion_crop']['box'] for r in _crops(LesionCrop((10, 10), 1.0), label, 2000)])
    for start in (boxes[:, 0], boxes[:, 1]):
        counts = np.bincount(50 - start, minlength=10)
        assert len(counts) == 10
        assert counts.min() > 140  # 200 expected


def test_probability():
    label = np.zeros((200, 200), np.uint8)
    label[100, 100] = 1
    results = _crops(LesionCrop((5, 5), 0.3), label, 1000)
    assert 0.25 < np.mean([r['lesion_crop']['lesion'] is not None for r in results]) < 0.35


def test_multilabel():
    label = np.zeros((40, 50, 4), np.uint8)
    label[7, 9, 0] = label[7, 9, 3] = 1
    label[20, 20, 1] = 255
    drawn = set()
    for results in _crops(LesionCrop((11, 13), 1.0), label, 50):
        assert results['gt_seg_map'].shape == (11, 13, 4)
        lesion = results['lesion_crop']['lesion']
        assert (results['gt_seg_map'][..., lesion] == 1).any()
        drawn.add(lesion)
    assert drawn == {0, 3}


@pytest.mark.parametrize('shape', [(8, 90), (90, 8), (1, 1), (16, 24)])
def test_images_smaller_than_the_window(shape):
    label = np.zeros(shape, np.uint8)
    label[-1, -1] = 1
    for results in _crops(LesionCrop((16, 24), 1.0), label, 20):
        assert results['img'].shape[:2] == (min(16, shape[0]), min(24, shape[1]))
        assert (results['gt_seg_map'] == 1).any()


def test_without_any_lesion():
    results = _crops(LesionCrop((5, 5), 1.0), np.zeros((9, 9), np.uint8), 20)
    assert {r['lesion_crop']['lesion'] for r in results} == {None}
    assert len({r['lesion_crop']['box'] for r in results}) > 5


def test_inputs_are_not_edited():
    sample = _sample(np.ones((9, 9), np.uint8))
    before = sample['img'].copy()
    LesionCrop((4, 4))(dict(sample))
    np.testing.assert_array_equal(sample['img'], before)
    assert sample['gt_seg_map'].shape == (9, 9)


@pytest.mark.parametrize('kwargs', [dict(crop_size=(0, 5)), dict(crop_size=(5, 5), lesion_prob=1.5)])
def test_wrong_arguments(kwargs):
    with pytest.raises(ValueError, match='must be positive'):
        LesionCrop(**kwargs)
