"""From an image to labels on its own grid: orientations, windows, mirrors, ensembles, and what is refused."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
import torch
from mmengine.config import Config
from tiny_volume_model import checkpoint, image, thresholding, work_dir

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.errors import CheckpointError, ConfigError
from mmseg_medical.geometry import Grid, Volume, grid_difference, read_volume, write_volume
from mmseg_medical.inference import Predictor, Segmentation
from mmseg_medical.registry import MODELS

ORIENTATIONS = [
    ''.join(directions)
    for order in itertools.permutations(('RL', 'AP', 'SI'))
    for directions in itertools.product(*order)
]


def predictor(tmp_path, *, signs=(1.0,), classes=('background', 'bright'), options=None, **config) -> Predictor:
    cfg = thresholding(**config)
    files = [checkpoint(tmp_path / f'{number}.pth', cfg, classes, sign) for number, sign in enumerate(signs)]
    return Predictor(cfg, files, **(options or {}))


@pytest.fixture(scope='module')
def shared(tmp_path_factory) -> Predictor:
    return predictor(tmp_path_factory.mktemp('shared'))


@pytest.mark.parametrize('axes', ORIENTATIONS)
def test_labels_lie_on_the_grid_of_the_file_in_every_orientation(axes, tmp_path, shared):
    volume = image(axes=axes)
    write_volume(volume, tmp_path / 'case.nii.gz')
    segmentation = shared.predict(tmp_path / 'case.nii.gz')
    np.testing.assert_array_equal(segmentation.labels.array, volume.array > 0.5)
    assert segmentation.labels.array.dtype == np.uint8
    (written,) = segmentation.save(tmp_path / 'labels.nii.gz')
    assert grid_difference(read_volume(written), read_volume(tmp_path / 'case.nii.gz'), 1e-6) is None


@pytest.mark.parametrize('size', [(7, 5, 9), (1, 13, 2), (17, 3, 4)])
@pytest.mark.parametrize('kind', ['whole', 'slide', 'cropped'])
def test_windows_padding_and_crops(size, kind, tmp_path):
    volume = image(size)
    steps = (dict(type='CropOrPadVolume', size=(8, 8, 8)),) if kind == 'cropped' else ()
    options = dict(mode='slide', window=(4, 4, 4)) if kind == 'slide' else {}
    found = predictor(tmp_path, steps=steps, **options).predict(volume)
    expected = volume.array > 0.5
    if kind == 'cropped' and max(size) > 8:  # what was cut away is background
        mask = np.zeros(size, bool)
        start = [max(0, (n - 8) // 2) for n in size]
        mask[tuple(slice(s, s + min(n, 8)) for s, n in zip(start, size, strict=True))] = True
        expected = expected & mask
    np.testing.assert_array_equal(found.labels.array, expected)


def test_resampled_and_back_with_probabilities(tmp_path):
    volume = image((12, 10, 8))
    volume = Volume(np.repeat(np.linspace(0, 1, 12, dtype=np.float32), 80).reshape(12, 10, 8), volume.affine)
    model = predictor(tmp_path, steps=(dict(type='ResampleVolume', spacing_mm=(0.5, 1.5, 2.0)),))
    found = model.predict(volume, probabilities=True)
    np.testing.assert_array_equal(found.labels.array, volume.array > 0.5)
    assert found.probabilities.array.shape == (12, 10, 8, 2)
    np.testing.assert_allclose(found.probabilities.array.sum(-1), 1, atol=1e-6)
    np.testing.assert_array_equal(found.probabilities.array.argmax(-1), found.labels.array)
    np.testing.assert_array_equal(model.predict(volume).labels.array, found.labels.array)
    found.save_probabilities(tmp_path / 'p.nii.gz')
    assert read_volume(tmp_path / 'p.nii.gz').array.shape == (12, 10, 8, 2)
    with pytest.raises(ValueError, match='ask for them'):
        model.predict(volume).save_probabilities(tmp_path / 'q.nii.gz')


def test_an_ensemble_averages_probabilities(tmp_path):
    volume = image()
    single = predictor(tmp_path).predict(volume, probabilities=True).probabilities.array
    both = predictor(tmp_path, signs=(1.0, 1.0, -1.0)).predict(volume, probabilities=True)
    np.testing.assert_allclose(both.probabilities.array, (2 * single + (1 - single)) / 3, atol=1e-6)
    np.testing.assert_array_equal(both.labels.array, volume.array > 0.5)


@pytest.mark.parametrize('tta', [(0,), (0, 1, 2)])
def test_mirrored_views_of_a_pointwise_network_change_nothing(tta, tmp_path):
    volume = image()
    plain = predictor(tmp_path).predict(volume, probabilities=True).probabilities.array
    mirrored = predictor(tmp_path, options=dict(tta=tta)).predict(volume, probabilities=True).probabilities.array
    np.testing.assert_allclose(mirrored, plain, atol=1e-6)


def test_mirrored_views_are_the_mean_over_all_subsets(tmp_path):
    folder = work_dir(tmp_path / 'work')
    cfg = Config.fromfile(folder / 'tiny.py')
    volume = image((6, 5, 4))
    found = Predictor(cfg, folder / 'epoch_1.pth', tta=(0, 2)).predict(volume, probabilities=True)
    plain = Predictor(cfg, folder / 'epoch_1.pth')
    views = []
    for axes in ((), (0,), (2,), (0, 2)):
        view = Volume(np.flip(volume.array, axes), volume.affine)
        values = plain.predict(view, probabilities=True).probabilities.array
        views.append(np.flip(values, axes))
    np.testing.assert_allclose(found.probabilities.array, np.mean(views, axis=0), atol=1e-5)


def test_air_is_background_in_an_ensemble_too(tmp_path):
    volume = Volume(np.zeros((12, 12, 12), np.float32), np.eye(4))
    volume.array[:3] = 1
    options = dict(mode='slide', window=(4, 4, 4), skip_air=0.0)
    for signs in ((1.0,), (1.0, 1.0)):
        found = predictor(tmp_path, signs=signs, **options).predict(volume, probabilities=True)
        np.testing.assert_array_equal(found.labels.array, volume.array)
        np.testing.assert_allclose(found.probabilities.array[-1, 0, 0], (1, 0), atol=1e-9)


def test_modalities_are_a_list_of_files_or_one_with_four_axes(tmp_path):
    first, second = image(), image(seed=1)
    write_volume(first, tmp_path / 't1.nii.gz')
    write_volume(second, tmp_path / 't2.nii.gz')
    write_volume(
        Volume(np.stack([first.array, second.array], -1), first.affine, has_channels=True), tmp_path / 'both.nii.gz'
    )
    model = predictor(tmp_path, channels=2)
    expected = (first.array + second.array) / 2 > 0.5
    for given in ([tmp_path / 't1.nii.gz', tmp_path / 't2.nii.gz'], tmp_path / 'both.nii.gz', [first, second]):
        np.testing.assert_array_equal(model.predict(given).labels.array, expected)
    array = np.stack([first.array, second.array])
    found = model.predict(array[:, ::-1])  # negative strides
    np.testing.assert_array_equal(found.labels.array, expected[::-1])
    assert found.grid.affine is None
    with pytest.raises(ValueError, match='no affine'):
        found.save(tmp_path / 'x.nii.gz')


def test_masks_that_overlap(tmp_path):
    volume = image()
    losses = dict(type='DiceCELoss', use_sigmoid=True)
    head = dict(num_classes=2, multi_label=True, loss_decode=losses)
    model = predictor(tmp_path, head=head, classes=('whole', 'a/core'))
    found = model.predict(volume)
    np.testing.assert_array_equal(found.masks()['a/core'], volume.array > 0.5)
    assert found.multi_label
    assert found.voxels()['whole'] == 0
    written = found.save(tmp_path / 'case.nii.gz')
    assert [path.name for path in written] == ['case_whole.nii.gz', 'case_a_core.nii.gz']
    np.testing.assert_array_equal(read_volume(written[1]).array, volume.array > 0.5)


def test_one_sigmoid_class_and_two_axes(tmp_path):
    plane = Volume(np.random.default_rng(0).random((9, 7)).astype(np.float32), None)
    model = predictor(tmp_path, rank=2, head=dict(num_classes=1), classes=('vessel',))
    found = model.predict(plane)
    assert found.names == ('background', 'vessel')
    np.testing.assert_array_equal(found.labels.array, plane.array > 0.5)
    found.save(tmp_path / 'plane.png')
    np.testing.assert_array_equal(read_volume(tmp_path / 'plane.png').array, plane.array > 0.5)


def test_volumes_are_in_cubic_millimetres(tmp_path):
    volume = image()
    found = predictor(tmp_path).predict(volume)
    voxels = int((volume.array > 0.5).sum())
    assert found.voxels() == {'bright': voxels}
    assert found.volumes_mm3() == pytest.approx({'bright': voxels * 1.0 * 1.5 * 2.0})


def test_another_grid_is_refused(tmp_path):
    found = predictor(tmp_path).predict(image())
    moved = Volume(found.labels.array, np.eye(4))
    wrong = Segmentation(moved, found.names, found.grid)
    with pytest.raises(ValueError, match='affines differ'):
        wrong.save(tmp_path / 'x.nii.gz')
    assert not (tmp_path / 'x.nii.gz').exists()
    with pytest.raises(ValueError, match='cannot hold the affine'):
        found.save(tmp_path / 'x.npy')
    small = Segmentation(Volume(found.labels.array[1:], None), found.names, Grid(found.labels.size, None))
    with pytest.raises(ValueError, match='size'):
        small.save(tmp_path / 'x.npy')


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: Volume(np.zeros((5, 6), np.float32), np.eye(4)), '3 axes, found 2 axes'),
        (lambda: Volume(np.zeros((5, 6, 7, 2), np.float32), np.eye(4), has_channels=True), '1 channel, found 2'),
        (lambda: Volume(np.full((5, 6, 7), np.nan, np.float32), np.eye(4)), 'NaN'),
        (lambda: [image(), image((7, 5, 8))], 'grid of the first modality'),
    ],
)
def test_images_that_do_not_fit_the_model(make, message, tmp_path):
    with pytest.raises(DataError, match=message):
        predictor(tmp_path).predict(make())


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(precision='int8'), 'precision'),
        (dict(tta=True), 'mirror_axes'),
        (dict(tta=(3,)), 'different ones of 0..2'),
        (dict(device='nowhere'), 'nowhere'),
        (dict(component_filter=dict(smallest=1)), 'smallest'),
        (dict(component_filter=dict(keep_largest=['brigt'])), 'bright'),
    ],
)
def test_options_that_cannot_be(options, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        predictor(tmp_path, options=options)


def test_a_config_needs_a_checkpoint_and_a_known_segmentor(tmp_path):
    cfg = thresholding()
    with pytest.raises(ConfigError, match='needs a checkpoint'):
        Predictor(cfg)
    file = checkpoint(tmp_path / 'w.pth', cfg)
    with pytest.raises(ConfigError, match='cannot be built'):
        Predictor(Config({**cfg, 'model': {**cfg.model, 'type': 'VolumeSegmentr'}}), file)
    for place in (tmp_path, tmp_path / 'missing'):
        with pytest.raises(ConfigError, match='no model directory') as caught:
            Predictor(place)
        assert isinstance(caught.value, FileNotFoundError)
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at .*no such file'):
        Predictor(cfg, tmp_path / 'missing.pth')


@pytest.mark.parametrize('kind', ['file', 'volume', 'array', 'modalities'])
def test_a_picture_of_image_and_labels(kind, tmp_path, shared):
    volume = image((9, 8, 7))
    write_volume(volume, tmp_path / 'case.nii.gz')
    given = {'file': tmp_path / 'case.nii.gz', 'volume': volume, 'array': volume.array}.get(kind, [volume, volume])
    model = predictor(tmp_path, channels=2) if kind == 'modalities' else shared
    picture = model.visualize(given, case_id='one case')
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    colors = {tuple(color) for color in picture.reshape(-1, 3)}
    assert any(max(color) - min(color) > 100 for color in colors)  # labels are drawn
    empty = model.visualize(Volume(volume.array * 0, volume.affine) if kind != 'modalities' else [volume.array * 0] * 2)
    assert empty.ndim == 3


def test_a_picture_of_channels_in_memory(tmp_path):
    arrays = np.random.default_rng(0).random((2, 9, 8, 7)).astype(np.float32)
    assert predictor(tmp_path, channels=2).visualize(arrays).shape[2] == 3


class Evil:
    def __reduce__(self):
        return (os.getcwd, ())


def test_a_pickle_is_read_only_if_trusted(tmp_path):
    cfg = thresholding()
    file = checkpoint(tmp_path / 'w.pth', cfg)
    torch.save({**torch.load(file), 'extra': Evil()}, file)
    with pytest.raises(CheckpointError, match='could run code'):
        Predictor(cfg, file)
    Predictor(cfg, file, trusted=True)


def test_bfloat16_is_near(tmp_path):
    folder = work_dir(tmp_path / 'work')
    cfg = Config.fromfile(folder / 'tiny.py')
    full = Predictor(cfg, folder / 'epoch_1.pth').predict(image(), probabilities=True).probabilities.array
    less = Predictor(cfg, folder / 'epoch_1.pth', precision='bfloat16').predict(image(), probabilities=True)
    np.testing.assert_allclose(less.probabilities.array, full, atol=0.05)
    assert np.any(less.probabilities.array != full)


def test_the_level_of_rare_unet_follows_the_spacing(tmp_path):
    cfg = thresholding()
    cfg.model = dict(
        type='RAREUNetSegmentor',
        backbone=dict(
            type='RAREUNet',
            channels=(2, 3, 4, 5),
            num_gates=2,
            target_size=(16, 16, 16),
            routing=dict(spacing_mm=(1.0, 1.0, 1.0)),
        ),
        decode_head=dict(type='RAREUNetHead', in_channels=(2, 3, 4), num_classes=3, num_divisions=3),
    )
    file = tmp_path / 'w.pth'
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), file)
    model = Predictor(cfg, [file, file])
    levels = []
    for network in model._inference.models:
        original = network.backbone.at_level
        network.backbone.at_level = lambda x, level, run=original: (levels.append(level), run(x, level))[1]
    coarse = Volume(np.random.default_rng(0).random((16, 16, 16)).astype(np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))
    assert model.predict(coarse).names == ('background', 'class 1', 'class 2')
    assert levels == [1, 1]
