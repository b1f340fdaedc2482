"""Transforms that slices brought: in-plane resampling, statistics of a region, intensities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.transforms import NormalizeInside, RandomIntensity, ResampleInPlane
from mmseg_medical.datasets.transforms.normalize_inside import otsu_threshold
from mmseg_medical.datasets.transforms.replay import replay_augmentations
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import restore

RNG = np.random.default_rng(3)


def sample(size=(11, 8, 3), spacing=(2.0, 3.0, 9.0), channels=1):
    affine = None if spacing is None else np.diag([*spacing, 1.0, 1.0][: len(size)] + [1.0] * (4 - len(size)))
    return dict(img=RNG.standard_normal((channels, *size)).astype(np.float32), affine=affine)


@pytest.mark.parametrize('size', [(11, 8, 3), (7, 1, 1), (13, 9)])
def test_resampling_leaves_the_slices(size):
    results = sample(size, (2.0, 3.0, 9.0)[: len(size)])
    image = results['img'].copy()
    labels = RNG.integers(0, 3, size).astype(np.uint8)
    out = ResampleInPlane(spacing_mm=1.0, antialias=False).transform({**results, 'gt_seg_map': labels})
    wanted = (2 * size[0], 3 * size[1], *size[2:])
    assert out['img'].shape == (1, *wanted)
    assert out['gt_seg_map'].shape == wanted
    np.testing.assert_allclose(out['spacing_mm'][:2], 1.0)
    np.testing.assert_array_equal(restore(out['gt_seg_map'], out['grid_steps'], 'nearest'), labels)
    if len(size) == 3:
        one = ResampleInPlane(spacing_mm=1.0, antialias=False).transform(
            dict(img=image[..., 0], affine=results['affine'])
        )
        np.testing.assert_allclose(one['img'], out['img'][..., 0], atol=1e-6)


def test_a_fixed_size_is_that_of_the_release():
    image = RNG.random((1, 30, 17, 2)).astype(np.float32)
    out = ResampleInPlane(size=(10, 17)).transform(dict(img=image, affine=None))['img'][0]
    smooth = ndimage.gaussian_filter(image[0].astype(np.float64), (1.0, 0, 0), mode='mirror')
    # 3 pixels become one, whose centre is that of the middle one
    np.testing.assert_allclose(out, smooth[1::3], atol=1e-6)


def test_growing_is_not_smoothed():
    image = np.zeros((1, 5, 5, 1), np.float32)
    image[0, 2, 2] = 1
    smooth, plain = (
        ResampleInPlane(size=(10, 5), antialias=way).transform(dict(img=image, affine=None))['img']
        for way in (True, False)
    )
    np.testing.assert_array_equal(smooth, plain)


def test_in_plane_arguments():
    for wrong in (dict(), dict(spacing_mm=1.0, size=(4, 4)), dict(size=(4,)), dict(spacing_mm=0.0), dict(size=(0, 4))):
        with pytest.raises(ConfigError, match='ResampleInPlane takes spacing_mm or size'):
            ResampleInPlane(**wrong)
    with pytest.raises(ConfigError, match='label_order'):
        ResampleInPlane(1.0, label_order='cubic')
    with pytest.raises(DataError, match='expected an affine, to know the spacing'):
        ResampleInPlane(1.0).transform(sample(spacing=None))


def test_statistics_of_the_brain():
    image = np.zeros((2, 6, 5, 4), np.float32)
    inside = RNG.random((6, 5, 4)) < 0.5
    image[0][inside] = RNG.normal(300, 20, inside.sum())
    image[1][inside] = RNG.normal(90, 5, inside.sum())
    image[1][np.unravel_index(inside.argmax(), inside.shape)] = 0  # dark in one modality is brain all the same
    results = NormalizeInside('brain').transform(dict(img=image.copy()))
    out = results['img']
    for channel in range(2):
        assert out[channel][inside].mean() == pytest.approx(0, abs=1e-5)
        assert out[channel][inside].std() == pytest.approx(1, abs=1e-5)
        assert (out[channel][~inside] == 0).all()
    noted = results['normalization']['channels'][0]
    np.testing.assert_allclose(out[0][inside] * noted['scale'] + noted['shift'], image[0][inside], rtol=1e-5)


def test_the_release_shifts_the_background_too():
    image = np.zeros((2, 4, 4, 1), np.float32)
    image[0, :2] = RNG.normal(100, 10, (2, 4, 1))
    image[1, 1:3] = 50
    out = NormalizeInside('channel', outside='same').transform(dict(img=image))['img']
    inside = image[0] > 0
    for channel in range(2):
        mean, deviation = image[channel][inside].mean(), image[channel][inside].std()
        np.testing.assert_allclose(out[channel], (image[channel] - mean) / deviation, rtol=1e-4, atol=1e-5)
    assert out[0, 3, 3, 0] == pytest.approx(-image[0][inside].mean() / image[0][inside].std(), rel=1e-5)


def test_the_body_is_found_by_otsu_or_told():
    dark, bright = RNG.normal(10, 2, 500), RNG.normal(200, 10, 300)
    values = np.concatenate([dark, bright]).astype(np.float32)
    assert dark.max() < otsu_threshold(values) < bright.min()
    assert otsu_threshold(np.full(5, 3.0)) == 3.0
    assert otsu_threshold(np.array([0.0, 0.0, 1.0])) == pytest.approx(0.5)
    image = values.reshape(1, 40, 20)
    out = NormalizeInside('body').transform(dict(img=image))['img']
    np.testing.assert_allclose(out[image > 100], (image[image > 100] - bright.mean()) / bright.std(), atol=1e-3)
    assert (out[image < 100] == 0).all()
    told = NormalizeInside('body', threshold=-500.0).transform(dict(img=image))['img']
    assert told.mean() == pytest.approx(0, abs=1e-5)


def test_clipping_inside():
    image = np.zeros((1, 10, 10), np.float32)
    image[0, 5:] = np.arange(1, 51).reshape(5, 10)
    out = NormalizeInside('brain', percentiles=(10, 90)).transform(dict(img=image))
    low, high = np.percentile(np.arange(1, 51), (10, 90))
    clipped = np.clip(np.arange(1, 51), low, high)
    assert out['normalization']['channels'][0]['clip'] == pytest.approx([low, high])
    np.testing.assert_allclose(out['img'][0, 5:].ravel(), (clipped - clipped.mean()) / clipped.std(), atol=1e-5)


def test_inside_arguments():
    with pytest.raises(ConfigError, match='region of NormalizeInside'):
        NormalizeInside('skull')
    with pytest.raises(ConfigError, match='percentiles'):
        NormalizeInside(percentiles=(5, 5))
    with pytest.raises(ConfigError, match='the image has 1, counted from 0'):
        NormalizeInside('channel', channel=1).transform(sample())


@pytest.mark.parametrize('shape', [(3, 9, 7), (1, 1, 5), (2, 6, 5, 4)])
def test_intensity_is_recorded_and_can_be_done_again(shape):
    np.random.seed(4)  # noqa: NPY002
    image = RNG.standard_normal(shape).astype(np.float32)
    kept = image.copy()
    step = RandomIntensity(prob=1.0, noise_prob=1.0, blur_prob=1.0)
    out = step.transform(dict(img=image, augmentations=[]))
    assert out['img'].shape == shape
    assert out['img'].dtype == np.float32
    assert not np.array_equal(out['img'], kept)
    np.testing.assert_array_equal(image, kept)
    again = replay_augmentations(dict(img=image, augmentations=[]), out['augmentations'])
    np.testing.assert_array_equal(again['img'], out['img'])


def test_intensity_in_closed_form():
    image = np.array([[[1.0, 3.0], [5.0, 7.0]]], np.float32)  # mean 4, deviation sqrt(5)
    record = dict(type='RandomIntensity', contrast=0.5, brightness=0.2, noise=0.0, noise_seed=0, blur=0.0)
    out = RandomIntensity.replay(dict(img=image), record)['img']
    np.testing.assert_allclose(out, 4 + (image - 4) * 0.5 + 0.2 * np.sqrt(5), rtol=1e-6)
    flat = RandomIntensity.replay(dict(img=np.full((1, 4, 4), 2.0, np.float32)), {**record, 'noise': 1.0})['img']
    np.testing.assert_array_equal(flat, 2.0)
    noisy = RandomIntensity.replay(
        dict(img=np.tile(image, (1, 60, 60))), {**record, 'contrast': 1.0, 'brightness': 0.0, 'noise': 0.5}
    )['img']
    assert (noisy - np.tile(image, (1, 60, 60))).std() == pytest.approx(0.5 * np.sqrt(5), rel=0.03)


def test_intensity_that_never_acts_leaves_the_sample():
    results = dict(img=np.ones((1, 3, 3), np.float32), augmentations=[])
    out = RandomIntensity(prob=0.0, noise_prob=0.0, blur_prob=0.0).transform(dict(results))
    assert out['img'] is results['img']
    assert out['augmentations'] == []
    for wrong in (dict(prob=2.0), dict(contrast=1.0), dict(brightness=-0.1), dict(noise=(0.2, 0.1)), dict(blur=(1,))):
        with pytest.raises(ConfigError, match='RandomIntensity'):
            RandomIntensity(**wrong)
