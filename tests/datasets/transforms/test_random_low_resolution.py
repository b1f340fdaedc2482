# ruff: noqa: NPY002 - the transform draws from this generator
import json

import numpy as np
import pytest

from mmseg_medical.datasets.transforms import RandomLowResolution
from mmseg_medical.errors import ConfigError


def _sample(size=(12, 9, 8)):
    return dict(img=np.random.default_rng(0).random((2, *size)).astype(np.float32), augmentations=[])


def _record(sample, **arguments):
    return RandomLowResolution(prob=1, **arguments)(sample)['augmentations'][0]['size']


def test_ramp_along_one_axis():
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32).reshape(1, 8, 1, 1), (1, 8, 3, 3))
    output = RandomLowResolution.replay(dict(img=ramp), dict(size=[4, 3, 3]))['img']
    # voxels 1, 3, 5, 7 stay; between their blocks' centres 0.5, 2.5, ... the image is linear
    np.testing.assert_allclose(output[0, :, 0, 0], [1, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7])


def test_one_axis_or_all():
    np.random.seed(0)
    sizes = [_record(_sample(), downsampling=(2, 2)) for _ in range(30)]
    assert {tuple(s) for s in sizes} == {(6, 9, 8), (12, 4, 8), (12, 9, 4)}
    assert _record(_sample(), downsampling=(2, 2), isotropic=True) == [6, 4, 4]
    assert _record(_sample(), downsampling=(3, 3), axes=(2,)) == [12, 9, 3]
    assert _record(_sample((6, 4)), downsampling=(2, 2), isotropic=True) == [3, 2]
    assert _record(_sample((1, 2, 1)), downsampling=(9, 9), isotropic=True) == [1, 1, 1]


def test_labels_stay_and_replay_repeats():
    np.random.seed(1)
    sample = dict(_sample(), gt_seg_map=np.ones((12, 9, 8), np.uint8))
    before = sample['img'].copy()
    results = RandomLowResolution(prob=1)(dict(sample))
    assert results['gt_seg_map'] is sample['gt_seg_map']
    assert results['img'].shape == before.shape
    (record,) = json.loads(json.dumps(results['augmentations']))
    np.testing.assert_array_equal(RandomLowResolution.replay(dict(sample), record)['img'], results['img'])
    np.testing.assert_array_equal(sample['img'], before)


def test_probability_and_factors():
    np.random.seed(0)
    transform = RandomLowResolution((1.5, 4), prob=0.5)
    augmented = [transform(_sample((120, 2, 2)))['augmentations'] for _ in range(200)]
    assert 70 < sum(map(bool, augmented)) < 130
    sizes = [a[0]['size'][0] for a in augmented if a and a[0]['size'][0] < 120]
    assert min(sizes) >= 30
    assert max(sizes) <= 80


@pytest.mark.parametrize('arguments', [dict(downsampling=(0.5, 2)), dict(prob=2), dict(axes=()), dict(axes=(3,))])
def test_wrong_arguments(arguments):
    with pytest.raises(ConfigError, match='RandomLowResolution'):
        RandomLowResolution(**arguments)
