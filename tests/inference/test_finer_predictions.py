"""Predictions on smaller voxels than the file's, of an implicit head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.config import Config
from tiny_volume_model import checkpoint, image, pipeline, thresholding

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Volume, read_volume, refine_grid, write_volume
from mmseg_medical.inference import Predictor, Region
from mmseg_medical.registry import MODELS


def right_half(tmp_path, steps: tuple = (), **test_cfg) -> Predictor:
    """A model that labels what lies right of the middle of the case, whatever the image shows."""
    head = dict(
        type='ImplicitVolumeHead',
        in_channels=1,
        num_classes=2,
        implicit=dict(type='CoordinateHead', hidden=1, chunk_points=64),
    )
    cfg = Config(
        dict(
            default_scope='mmseg_medical',
            model=dict(type='VolumeSegmentor', backbone=dict(type='EchoBackbone'), decode_head=head, test_cfg=test_cfg),
            test_dataloader=dict(dataset=dict(type='MSDDataset', data_root='/a place', pipeline=pipeline(steps))),
        )
    )
    weights = {key: torch.zeros_like(value) for key, value in MODELS.build(cfg.model).state_dict().items()}
    weights['decode_head.implicit.first.weight'][0, 2] = 1  # z is the first axis, left to right
    weights['decode_head.implicit.first.bias'][:] = 10
    weights['decode_head.implicit.rest.weight'][1] = 1
    weights['decode_head.implicit.rest.bias'][1] = -10
    torch.save(dict(state_dict=weights, meta=dict(dataset_meta=dict(classes=('background', 'right')))), tmp_path / 'w')
    return lambda **options: Predictor(cfg, tmp_path / 'w', **options)


def millimetres(grid) -> np.ndarray:
    """Place of each voxel along the world's first axis, to the right."""
    index = np.indices(grid.size)
    return np.tensordot(grid.affine[0, :3], index, 1) + grid.affine[0, 3]


@pytest.mark.parametrize('axes', ['RAS', 'LPS', 'SAL', 'PIR'])
@pytest.mark.parametrize('scale', [1, 2, (1, 3, 2)])
@pytest.mark.parametrize('kind', ['whole', 'slide', 'cropped', 'resampled'])
def test_labels_lie_on_the_finer_grid(axes, scale, kind, tmp_path):
    steps = {
        'cropped': (dict(type='CropOrPadVolume', size=(6, 12, 11)),),
        'resampled': (dict(type='ResampleVolume', spacing_mm=(0.8, 1.1, 1.5)),),
    }.get(kind, ())
    options = dict(mode='slide', window=(4, 3, 5)) if kind == 'slide' else {}
    volume = image((8, 6, 10), axes=axes)
    write_volume(volume, tmp_path / 'case.nii.gz')
    found = right_half(tmp_path, steps, **options)(scale=scale).predict(tmp_path / 'case.nii.gz')
    numbers = (scale,) * 3 if isinstance(scale, int) else scale
    fine = refine_grid(volume.grid, numbers)
    assert found.grid == fine
    assert found.labels.array.shape == fine.size
    places = millimetres(fine)
    middle = millimetres(volume.grid).mean()
    sure = np.abs(places - middle) > 1e-3
    if kind == 'cropped':  # what was cut away is background
        along = next(i for i, letter in enumerate(axes) if letter in 'RL')
        sure &= np.abs(places - middle) < 2.9 if volume.grid.size[along] > 6 else True
    np.testing.assert_array_equal(found.labels.array[sure], (places > middle)[sure])
    (written,) = found.save(tmp_path / 'labels.nii.gz')
    np.testing.assert_allclose(read_volume(written).affine, fine.affine, atol=1e-5)


def test_probabilities_mirrors_and_pictures(tmp_path):
    volume = image((8, 6, 10))
    make = right_half(tmp_path)
    model = make(scale=2)
    found = model.predict(volume, probabilities=True)
    assert found.probabilities.array.shape == (16, 12, 20, 2)
    np.testing.assert_array_equal(found.probabilities.array.argmax(-1), found.labels.array)
    np.testing.assert_array_equal(make(scale=2, tta=(1,)).predict(volume).labels.array, found.labels.array)
    assert found.volumes_mm3()['right'] == pytest.approx(make().predict(volume).volumes_mm3()['right'])
    assert model.load_image(volume).grid == found.grid
    assert model.visualize(volume).ndim == 3
    assert model.identity != make().identity


@pytest.mark.parametrize('scale', [1, 2, (1, 3, 2)])
def test_a_region_is_on_the_grid_of_the_file(scale, tmp_path):
    volume = image((8, 6, 10), axes='PIR')
    inside = Volume(np.zeros(volume.size, np.uint8), volume.affine)
    inside.array[2:5, 1:, :9] = 1
    predictor = right_half(tmp_path)(scale=scale)
    found = predictor.predict(volume, region=Region(inside)).labels
    block = inside.array
    for axis, number in enumerate((scale,) * 3 if isinstance(scale, int) else scale):
        block = block.repeat(number, axis)
    np.testing.assert_array_equal(found.array, predictor.predict(volume).labels.array * block)
    assert found.array.any()
    with pytest.raises(DataError, match='expected the grid of the image'):
        predictor.predict(volume, region=Region(Volume(inside.array[1:], volume.affine)))


def test_images_without_affine_and_in_channels(tmp_path):
    array = np.zeros((8, 6, 10), np.float32)
    make = right_half(tmp_path)
    cfg = make().cfg
    cfg.test_dataloader.dataset.pipeline = [
        step for step in cfg.test_dataloader.dataset.pipeline if step['type'] != 'ReorientVolume'
    ]
    found = Predictor(cfg, tmp_path / 'w', scale=(2, 1, 1)).predict(array)
    assert found.labels.array.shape == (16, 6, 10)
    assert found.labels.array[8:].all()
    assert not found.labels.array[:8].any()
    assert found.grid.affine is None


@pytest.mark.parametrize('scale', [0, (2, 2), 1.5, (1, 2, -1)])
def test_scales_that_cannot_be(scale, tmp_path):
    with pytest.raises(ConfigError, match='scale must be a whole number from 1 on, or one for each of 3 axes'):
        right_half(tmp_path)(scale=scale)


def test_other_models_have_no_scale(tmp_path):
    cfg = thresholding()
    file = checkpoint(tmp_path / 'w.pth', cfg)
    with pytest.raises(ConfigError, match='VolumeHead knows no points between voxels'):
        Predictor(cfg, file, scale=2)
    assert Predictor(cfg, file, scale=(1, 1, 1)).predict(Volume(np.zeros((3, 4, 5), np.float32), np.eye(4)))
