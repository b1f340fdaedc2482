# ruff: noqa: NPY002 - the transform draws from this generator
import itertools

import numpy as np
import pytest

from mmseg_medical.datasets.transforms import RandomFlipVolume


def _sample(size=(3, 5, 2), masks=None):
    image = np.arange(2 * np.prod(size), dtype=np.float32).reshape(2, *size)
    label = np.arange(np.prod(size)).reshape(size)
    return dict(img=image, gt_seg_map=label if masks is None else np.stack([label] * masks), augmentations=[])


@pytest.mark.parametrize('axes', [c for n in range(4) for c in itertools.combinations(range(3), n)])
def test_all_axes(axes):
    sample = _sample()
    results = RandomFlipVolume(axes, prob=1.0)(dict(sample))
    np.testing.assert_array_equal(results['img'], np.flip(sample['img'], [a + 1 for a in axes]))
    np.testing.assert_array_equal(results['gt_seg_map'], np.flip(sample['gt_seg_map'], axes))
    assert results['img'].flags.c_contiguous
    assert results['augmentations'] == ([dict(type='RandomFlipVolume', axes=list(axes))] if axes else [])
    assert sample['augmentations'] == []


def test_masks_and_planes():
    sample = _sample((4, 3), masks=5)
    results = RandomFlipVolume((1,), prob=1.0)(dict(sample))
    np.testing.assert_array_equal(results['gt_seg_map'], sample['gt_seg_map'][:, :, ::-1])
    np.testing.assert_array_equal(results['img'], sample['img'][:, :, ::-1])


def test_axes_are_independent():
    np.random.seed(0)
    drawn = [str(RandomFlipVolume()(_sample())['augmentations']) for _ in range(400)]
    counts = [drawn.count(kind) for kind in set(drawn)]
    assert len(counts) == 8
    assert min(counts) > 25  # 50 expected


def test_replay():
    np.random.seed(1)
    for _ in range(8):
        results = RandomFlipVolume()(_sample())
        again = _sample()
        for record in results['augmentations']:
            again = RandomFlipVolume.replay(again, record)
        np.testing.assert_array_equal(again['img'], results['img'])
        np.testing.assert_array_equal(again['gt_seg_map'], results['gt_seg_map'])


def test_never():
    sample = _sample()
    assert RandomFlipVolume(prob=0.0)(sample)['img'] is sample['img']


def test_wrong_arguments():
    with pytest.raises(ValueError, match='axes must be among'):
        RandomFlipVolume((3,))
    with pytest.raises(ValueError, match='the image has 2'):
        RandomFlipVolume((2,))(_sample((4, 3)))
