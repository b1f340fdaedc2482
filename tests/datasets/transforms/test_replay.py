# ruff: noqa: NPY002 - the transforms draw from this generator
import json

import numpy as np
import pytest
from mmengine.dataset import Compose

from mmseg_medical.datasets.transforms import (
    RandomAffineVolume,
    RandomBiasField,
    RandomFlipVolume,
    RandomLowResolution,
    RandomPatch,
    TorchIOTransform,
)
from mmseg_medical.datasets.transforms.replay import replay_augmentations
from mmseg_medical.errors import ConfigError


def _sample(size):
    rng = np.random.default_rng(0)
    return dict(
        img=rng.random((2, *size)).astype(np.float32),
        gt_seg_map=rng.integers(0, 3, size).astype(np.uint8),
        affine=np.eye(4),
        spacing_mm=(1.0, 2.0, 0.5)[: len(size)],
    )


@pytest.mark.parametrize('size', [(11, 6, 9), (7, 13)])
@pytest.mark.parametrize('seed', range(3))
def test_everything_that_draws(size, seed):
    pytest.importorskip('torchio')
    steps = [
        RandomBiasField(prob=0.7),
        RandomPatch((8, 8, 8)[: len(size)], 0.5, pad_val=-1, seg_pad_val=255),
        RandomAffineVolume(prob=0.7, elastic_prob=0.7),
        RandomLowResolution(prob=0.7),
        TorchIOTransform(dict(type='RandomNoise'), prob=0.7),
        RandomFlipVolume(range(len(size))),
    ]
    np.random.seed(seed)
    once = Compose(steps)(_sample(size))
    before = _sample(size)
    again = replay_augmentations(before, json.loads(json.dumps(once['augmentations'])))
    for key in ('img', 'gt_seg_map', 'affine'):
        np.testing.assert_array_equal(again[key], once[key])
    assert again['augmentations'] == once['augmentations']
    np.testing.assert_array_equal(before['img'], _sample(size)['img'])
    assert 'augmentations' not in before


def test_what_cannot_be_replayed():
    with pytest.raises(ConfigError, match='LesionCrop cannot be replayed'):
        replay_augmentations({}, [dict(type='LesionCrop')])
