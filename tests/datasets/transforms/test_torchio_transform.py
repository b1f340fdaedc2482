# ruff: noqa: NPY002 - the transform draws from this generator
import json

import numpy as np
import pytest
import torch

from mmseg_medical.datasets.transforms import TorchIOTransform
from mmseg_medical.errors import ConfigError

pytest.importorskip('torchio')

KINDS = [
    dict(type='RandomAffine', degrees=20, scales=0.2, translation=3),
    dict(type='RandomElasticDeformation', num_control_points=5, max_displacement=3, locked_borders=0),
    dict(type='RandomAnisotropy', downsampling=(2, 3)),
    dict(type='RandomBlur', std=(1, 2)),
    dict(type='RandomNoise', std=(0.1, 0.2)),
    dict(type='RandomGamma', log_gamma=(0.2, 0.4)),
    dict(type='RandomBiasField', coefficients=0.5),
    dict(type='RandomMotion', degrees=5, translation=2),
    dict(type='RandomGhosting', intensity=(0.5, 1)),
    dict(type='RandomSpike'),
    dict(type='RandomSwap', patch_size=3, num_iterations=5),
]
LABELS_MOVE = {'RandomAffine', 'RandomElasticDeformation'}


def _sample(size=(12, 14, 10), channels=1, spacing=(1.0, 1.5, 2.0)):
    rng = np.random.default_rng(0)
    image = rng.random((channels, *size)).astype(np.float32)
    label = np.zeros(size, np.uint8)
    label[tuple(slice(2, n // 2) for n in size)] = 3
    return dict(img=image, gt_seg_map=label, spacing_mm=spacing[: len(size)], augmentations=[])


def _apply(transform, sample, seed=0):
    np.random.seed(seed)
    return transform(dict(sample))


@pytest.mark.parametrize('kind', KINDS, ids=lambda kind: kind['type'])
@pytest.mark.parametrize('channels', [1, 2])
def test_seeded_recorded_replayed(kind, channels):
    sample = _sample(channels=channels)
    image, label = sample['img'].copy(), sample['gt_seg_map'].copy()
    transform = TorchIOTransform(kind)
    results, again, other = (_apply(transform, sample, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(results['img'], again['img'])
    assert np.abs(results['img'] - other['img']).max() > 0
    assert np.abs(results['img'] - image).max() > 1e-3
    assert results['img'].dtype == np.float32
    assert (results['gt_seg_map'] != label).any() == (kind['type'] in LABELS_MOVE)
    assert results['gt_seg_map'].dtype == np.uint8
    assert set(np.unique(results['gt_seg_map'])) <= {0, 3}
    (record,) = json.loads(json.dumps(results['augmentations']))
    assert (record['type'], record['name']) == ('TorchIOTransform', kind['type'])
    replayed = TorchIOTransform.replay(dict(sample), record)
    np.testing.assert_array_equal(replayed['img'], results['img'])
    np.testing.assert_array_equal(replayed['gt_seg_map'], results['gt_seg_map'])
    np.testing.assert_array_equal(sample['img'], image)
    np.testing.assert_array_equal(sample['gt_seg_map'], label)


def test_the_global_generator_stays_where_it_was():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    _apply(TorchIOTransform(dict(type='RandomNoise')), _sample())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize('kind', ['RandomAffine', 'RandomGamma'])
def test_planes(kind):
    sample = _sample((15, 13), channels=3)
    results = _apply(TorchIOTransform(dict(type=kind)), sample)
    assert results['img'].shape == (3, 15, 13)
    assert results['gt_seg_map'].shape == (15, 13)
    assert np.abs(results['img'] - sample['img']).max() > 0


def test_masks_and_odd_strides():
    sample = _sample()
    plain = _apply(TorchIOTransform(KINDS[0]), sample)
    masks = np.stack([sample['gt_seg_map'] == 3, sample['gt_seg_map'] == 0]).astype(np.uint8)
    image = np.asfortranarray(sample['img'])
    results = _apply(TorchIOTransform(KINDS[0]), dict(sample, gt_seg_map=masks, img=image))
    np.testing.assert_array_equal(results['gt_seg_map'][0], plain['gt_seg_map'] == 3)
    np.testing.assert_array_equal(results['img'], plain['img'])


def test_probability():
    transform = TorchIOTransform(dict(type='RandomNoise'), prob=0.3)
    np.random.seed(0)
    acted = [bool(transform(_sample((3, 3, 3)))['augmentations']) for _ in range(200)]
    assert 0.2 < np.mean(acted) < 0.4


def test_draws_do_not_depend_on_whether_it_acts():
    for prob in (0.0, 1.0):
        _apply(TorchIOTransform(dict(type='RandomNoise'), prob=prob), _sample((3, 3, 3)))
        following = np.random.random_sample()
        assert following == pytest.approx(_after_two_draws())


def _after_two_draws():
    np.random.seed(0)
    np.random.random_sample()
    np.random.randint(2**31)
    return np.random.random_sample()


def test_transforms_of_the_grid_are_refused():
    with pytest.raises(ConfigError, match='changes the size'):
        _apply(TorchIOTransform(dict(type='Pad', padding=1)), _sample())


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(transform=dict(type='RandomAfine')), "no transform 'RandomAfine'. Did you mean RandomAffine"),
        (dict(transform=dict(degrees=3)), 'no transform'),
        (dict(transform=dict(type='RandomNoise', sigma=3)), 'TorchIO refuses the arguments of RandomNoise'),
        (dict(transform=dict(type='RandomNoise'), prob=3), 'prob of TorchIOTransform'),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ConfigError, match=message):
        TorchIOTransform(**arguments)


def test_without_torchio(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'mmseg-medical\[augmentation\]'"):
        TorchIOTransform(dict(type='RandomNoise'))
