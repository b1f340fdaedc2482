# ruff: noqa: NPY002 - the transform draws from this generator
import json

import numpy as np
import pytest

from mmseg_medical.datasets.transforms import RandomBiasField
from mmseg_medical.datasets.transforms.random_bias_field import polynomial
from mmseg_medical.errors import ConfigError


def _sample(size=(5, 7, 3)):
    return dict(img=np.random.default_rng(0).random((2, *size)).astype(np.float32), augmentations=[])


def test_polynomial_by_hand():
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (5, 7, 3)), indexing='ij')
    found = polynomial((5, 7, 3), [[(0, 0, 0), 0.5], [(1, 0, 2), -2.0], [(0, 3, 0), 1.5]])
    np.testing.assert_allclose(found, 0.5 - 2 * x * z**2 + 1.5 * y**3, atol=1e-6)


def test_as_torchio():
    torchio = pytest.importorskip('torchio')
    import torch

    image = np.random.default_rng(0).random((1, 6, 9, 10)).astype(np.float32)
    np.random.seed(0)
    results = RandomBiasField(prob=1)(dict(img=image))
    coefficients = [value for _, value in results['augmentations'][0]['coefficients']]
    assert len(coefficients) == 20
    expected = torchio.BiasField(coefficients=coefficients, order=3)(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(results['img'], expected, rtol=1e-5)


@pytest.mark.parametrize('size', [(5, 7, 3), (1, 4, 1), (6, 5)])
def test_field_is_one_for_all_channels(size):
    np.random.seed(0)
    sample = _sample(size)
    before = sample['img'].copy()
    results = RandomBiasField(prob=1)(dict(sample))
    ratio = results['img'] / before
    np.testing.assert_allclose(ratio[0], ratio[1], rtol=1e-5)
    assert (ratio > 0).all()
    assert results['img'].dtype == np.float32
    np.testing.assert_array_equal(sample['img'], before)


def test_replay_after_json():
    np.random.seed(0)
    results = RandomBiasField(prob=1)(_sample())
    (record,) = json.loads(json.dumps(results['augmentations']))
    np.testing.assert_array_equal(RandomBiasField.replay(_sample(), record)['img'], results['img'])


def test_probability():
    np.random.seed(0)
    acted = [bool(RandomBiasField(prob=0.3)(_sample((2, 2, 2)))['augmentations']) for _ in range(200)]
    assert 0.2 < np.mean(acted) < 0.4


@pytest.mark.parametrize('arguments', [dict(order=-1), dict(magnitude=-1), dict(prob=2)])
def test_wrong_arguments(arguments):
    with pytest.raises(ConfigError, match='RandomBiasField'):
        RandomBiasField(**arguments)
