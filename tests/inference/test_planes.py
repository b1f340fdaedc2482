"""Rank-2 segmentors over volumes: the slices of a test, and the mean over planes."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_volume_model import work_dir
from volume_slices import checkpoint, config

from mmseg_medical import apis
from mmseg_medical.datasets import MSDSliceDataset
from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.phantoms import write_decathlon
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Volume, grid_difference, read_volume, write_volume
from mmseg_medical.inference import BatchOptions, Predictor, export_model_directory, find_cases, predict_cases
from mmseg_medical.inference.loading import load_from_checkpoints

PLANES = ('axial', 'coronal', 'sagittal')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_decathlon(tmp_path_factory.mktemp('msd'), num_cases=2, size=(9, 11, 7), turned=True)


def first(root) -> str:
    return MSDSliceDataset(str(root), planes='axial').volumes[0]['img_path']


@pytest.mark.parametrize(
    ('plane', 'options'),
    [
        ('axial', dict()),
        ('coronal', dict(implicit=True)),
        ('sagittal', dict(implicit=True, mode='slide', window=(8, 8), batch_size=2, mirror_axes=(1,))),
    ],
)
def test_labels_are_those_of_a_test(root, tmp_path, plane, options):
    cfg = config(root, tmp_path / 'store', plane, **options)
    file = checkpoint(tmp_path / 'w.pth', cfg)
    scores = apis.test(cfg.copy(), file, work_dir=tmp_path / 'work', out=tmp_path / 'out')
    assert 'dice' in scores
    predictor = Predictor(cfg, file)
    for volume in MSDSliceDataset(str(root), planes=plane).volumes:
        image = read_volume(volume['img_path'])
        found = predictor.predict(image)
        assert grid_difference(found.labels, image) is None
        written = read_volume(tmp_path / 'out' / 'predictions' / f'{volume["case_id"]}.nii.gz')
        assert len(np.unique(found.labels.array)) > 1
        np.testing.assert_array_equal(found.labels.array, written.array)
        np.testing.assert_array_equal(Predictor(cfg, file, planes=plane).predict(image).labels.array, written.array)


def test_planes_are_averaged_on_the_grid_of_the_file(root, tmp_path):
    cfg = config(root, tmp_path / 'store', implicit=True)
    file = checkpoint(tmp_path / 'w.pth', cfg)
    image = first(root)
    single = [
        Predictor(cfg, file, planes=plane).predict(image, probabilities=True).probabilities.array for plane in PLANES
    ]
    found = Predictor(cfg, file, planes=PLANES).predict(image, probabilities=True)
    # one plane interpolates logits on the way back, several interpolate probabilities: not the same between pixels
    assert np.abs(found.probabilities.array - np.mean(single, 0)).mean() < 0.03
    np.testing.assert_allclose(found.probabilities.array.sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(found.probabilities.array.argmax(-1), found.labels.array)
    np.testing.assert_array_equal(Predictor(cfg, file, planes=PLANES).predict(image).labels.array, found.labels.array)
    assert grid_difference(found.labels, read_volume(image)) is None
    assert not (tmp_path / 'store').exists()


def test_the_mean_of_planes_is_exact_where_nothing_is_interpolated(root, tmp_path):
    cfg = config(root, tmp_path / 'store')
    del cfg.test_dataloader.dataset.pipeline[0].pipeline[2]
    files = [checkpoint(tmp_path / f'{seed}.pth', cfg, seed) for seed in range(2)]
    image = first(root)
    single = [
        Predictor(cfg, file, planes=plane).predict(image, probabilities=True).probabilities.array
        for plane in PLANES
        for file in files
    ]
    found = Predictor(cfg, files, planes=PLANES).predict(image, probabilities=True).probabilities.array
    np.testing.assert_allclose(found, np.mean(single, 0), atol=1e-6)
    assert np.abs(single[0] - single[2]).max() > 0.1


def test_a_turned_file_gives_the_turned_prediction(root, tmp_path):
    cfg = config(root, tmp_path / 'store', implicit=True)
    file = checkpoint(tmp_path / 'w.pth', cfg)
    volume = read_volume(first(root))
    move = np.eye(4)[:, [2, 0, 1, 3]]
    other = Volume(volume.array.transpose(2, 0, 1), volume.affine @ move)
    predictor = Predictor(cfg, file, planes=('sagittal', 'coronal'))
    found = predictor.predict(volume).labels.array.transpose(2, 0, 1)
    np.testing.assert_array_equal(predictor.predict(other).labels.array, found)


def test_model_directories_and_cases(root, tmp_path):
    pytest.importorskip('safetensors')
    cfg = config(root, tmp_path / 'store', 'sagittal')
    file = checkpoint(tmp_path / 'w.pth', cfg)
    folder = export_model_directory(load_from_checkpoints(cfg, file), tmp_path / 'model')
    image = first(root)
    expected = Predictor(cfg, file).predict(image)
    np.testing.assert_array_equal(Predictor(folder).predict(image).labels.array, expected.labels.array)
    several = Predictor(folder, planes=PLANES)
    assert several.identity != Predictor(folder).identity
    report = predict_cases(several, find_cases([image]), BatchOptions(tmp_path / 'out'), progress=False)
    assert report['counts'] == {'done': 1, 'skipped': 0, 'failed': 0}


def test_what_cannot_be_asked_for(root, tmp_path):
    cfg = config(root, tmp_path / 'store')
    file = checkpoint(tmp_path / 'w.pth', cfg)
    with pytest.raises(ConfigError, match=r"found 'oblique'"):
        Predictor(cfg, file, planes=('axial', 'oblique'))
    with pytest.raises(ConfigError, match='at their own resolution, found scale=2'):
        Predictor(cfg, file, scale=2)
    with pytest.raises(ConfigError, match='mirror_axes or quarter_turns'):
        Predictor(cfg, file, tta=True)
    array = np.zeros((9, 11, 7), np.float32)
    with pytest.raises(DataError, match='expected an affine, which tells the planes apart'):
        Predictor(cfg, file, planes='coronal').predict(array)
    flat = tmp_path / 'flat.nii.gz'
    write_volume(Volume(array[..., 0], np.eye(4)), flat)
    with pytest.raises(DataError, match='expected an image of 3 axes'):
        Predictor(cfg, file, planes='coronal').predict(flat)
    cfg.test_dataloader.dataset.planes = ['axial', 'coronal']
    with pytest.raises(ConfigError, match='must be one plane'):
        Predictor(cfg, file)
    volumes = work_dir(tmp_path / 'volumes')
    with pytest.raises(ConfigError, match=r'volumes are cut along planes.*LoadSlice'):
        Predictor(str(volumes / 'tiny.py'), volumes / 'epoch_1.pth', planes=PLANES)
