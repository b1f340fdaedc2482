import numpy as np
import pytest

from mmseg_medical.datasets.transforms import NormalizeIntensity
from mmseg_medical.errors import ConfigError


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    return (rng.gamma(2, 50, (2, 11, 7, 5)) * np.array([1, 1000]).reshape(2, 1, 1, 1)).astype(np.float32)


def _normalize(image, *args, **kwargs):
    before = image.copy()
    results = NormalizeIntensity(*args, **kwargs)(dict(img=image))
    np.testing.assert_array_equal(image, before)
    assert results['img'].dtype == np.float32
    assert np.isfinite(results['img']).all()
    return results


def test_zscore(image):
    results = _normalize(image)
    double = image.astype(np.float64)
    axes = (1, 2, 3)
    expected = (double - double.mean(axes, keepdims=True)) / double.std(axes, keepdims=True)
    np.testing.assert_allclose(results['img'], expected, atol=2e-6)
    channels = results['normalization']['channels']
    np.testing.assert_allclose([c['shift'] for c in channels], double.mean(axes), rtol=1e-6)
    np.testing.assert_allclose([c['scale'] for c in channels], double.std(axes), rtol=1e-6)


def test_large_offset_keeps_the_contrast():
    image = (np.random.default_rng(0).normal(size=(1, 40, 40, 40)) + 30000).astype(np.float32)
    output = _normalize(image)['img']
    assert abs(output.mean()) < 1e-3
    assert abs(output.std() - 1) < 1e-3


def test_percentiles(image):
    output = _normalize(image, 'percentile', percentiles=(2, 95), out_range=(-1, 1))['img']
    for channel, values in zip(output, image.astype(np.float64), strict=True):
        low, high = np.percentile(values, (2, 95))
        np.testing.assert_allclose(channel, 2 * (np.clip(values, low, high) - low) / (high - low) - 1, atol=1e-5)


def test_window(image):
    results = _normalize(image - 300, 'window', center=(40, 400), width=(400, 1000))
    np.testing.assert_allclose(results['img'][0], np.clip((image[0] - 300 + 160) / 400, 0, 1), atol=1e-6)
    np.testing.assert_allclose(results['img'][1], np.clip((image[1] - 300 + 100) / 1000, 0, 1), atol=1e-6)
    assert results['normalization']['channels'][0]['clip'] == [-160, 240]


def test_clip_and_the_data_sets_statistics(image):
    output = _normalize(image, clip=(10, 200), mean=(100, 50), std=(20, 10))['img']
    np.testing.assert_allclose(output[0], (np.clip(image[0], 10, 200) - 100) / 20, atol=1e-5)
    np.testing.assert_allclose(output[1], (np.clip(image[1], 10, 200) - 50) / 10, atol=1e-5)


def test_percentiles_before_zscore(image):
    output = _normalize(image, percentiles=(1, 99))['img'][0]
    clipped = np.clip(image[0], *np.percentile(image[0], (1, 99))).astype(np.float64)
    np.testing.assert_allclose(output, (clipped - clipped.mean()) / clipped.std(), atol=1e-5)


@pytest.mark.parametrize('mode', ['zscore', 'percentile'])
def test_surroundings_stay_zero_and_out_of_the_statistics(image, mode):
    padded = np.pad(image, ((0, 0), (4, 4), (3, 3), (2, 2)))
    output = _normalize(padded, mode, region='nonzero')['img']
    np.testing.assert_allclose(output[:, 4:-4, 3:-3, 2:-2], _normalize(image, mode)['img'], atol=1e-6)
    assert not output[:, :4].any()


def test_pooled_percentiles_are_torchios(image):
    torchio = pytest.importorskip('torchio')
    import torch

    expected = torchio.RescaleIntensity((0, 1), percentiles=(0.5, 99.5))(torch.from_numpy(image)).numpy()
    output = _normalize(image, 'percentile', pooled=True)
    np.testing.assert_allclose(output['img'], expected, atol=1e-6)
    assert len(output['normalization']['channels']) == 1
    assert np.abs(_normalize(image, 'percentile')['img'] - expected).max() > 0.5


def test_record_undoes(image):
    results = _normalize(image)
    record = results['normalization']['channels'][1]
    np.testing.assert_allclose(results['img'][1] * record['scale'] + record['shift'], image[1], rtol=1e-3, atol=0.5)


@pytest.mark.parametrize('value', [0, 7.5])
@pytest.mark.parametrize(
    'arguments', [dict(), dict(mode='percentile'), dict(region='nonzero'), dict(percentiles=(1, 99))]
)
def test_flat_images(value, arguments):
    assert not _normalize(np.full((1, 3, 4, 5), value, np.float32), **arguments)['img'].any()


def test_planes_and_strides(image):
    plane = image[:, :, :, 2]
    assert not plane.flags.c_contiguous
    np.testing.assert_allclose(_normalize(plane[:, ::-1])['img'], _normalize(plane.copy())['img'][:, ::-1], atol=1e-6)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(mode='minmax'), 'mode must be one of'),
        (dict(region='brain'), 'region one of'),
        (dict(percentiles=(90, 10)), 'percentiles must be a lower and a higher number'),
        (dict(mean=[1]), 'mean and std belong together'),
        (dict(mode='percentile', mean=[1], std=[1]), "mode='zscore'"),
        (dict(mode='window', center=3), 'center and width belong together'),
        (dict(center=3, width=2), "mode='window'"),
        (dict(mean=[0], std=[0]), 'std must be positive'),
        (dict(mode='window', center=3, width=-1), 'width must be positive'),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ConfigError, match=message):
        NormalizeIntensity(**arguments)


def test_statistics_of_another_number_of_channels(image):
    with pytest.raises(ConfigError, match='mean of NormalizeIntensity has 3 numbers, the image 2 channels'):
        NormalizeIntensity(mean=(1, 2, 3), std=(1, 1, 1))(dict(img=image))
