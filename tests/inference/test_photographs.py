"""Models of photographs through the same predictor: label PNG on the pixels of the file."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Volume, read_labels
from mmseg_medical.inference import BatchOptions, Predictor, export_model_directory, find_cases, predict_cases
from mmseg_medical.inference.loading import load_from_checkpoints
from mmseg_medical.registry import MODELS

CLASSES = ('background', 'EX', 'HE', 'SE', 'MA')


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> tuple[Config, list[Path], Path]:
    """Config, two checkpoints, folder of photographs."""
    sys.path.insert(0, str(Path(__file__).parents[1] / 'tools'))
    from phantom_config import write

    folder = tmp_path_factory.mktemp('photographs')
    cfg = Config.fromfile(write(folder, num_train=1, num_test=2))
    init_default_scope('mmseg_medical')
    files = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = MODELS.build(cfg.model)
        model.init_weights()
        files.append(folder / f'{seed}.pth')
        torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=CLASSES))), files[-1])
    images = next(path for path in folder.rglob('*Testing Set*') if 'Original' in str(path))
    return cfg, files, images


def test_one_photograph(trained, tmp_path):
    cfg, files, images = trained
    path = sorted(images.glob('*.jpg'))[0]
    predictor = Predictor(cfg, files[0])
    assert predictor.segments_photographs
    found = predictor.predict(path, probabilities=True)
    pixels = cv2.imread(str(path))
    assert found.labels.array.shape == pixels.shape[:2]
    np.testing.assert_allclose(found.probabilities.array.sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(found.probabilities.array.argmax(-1), found.labels.array)
    assert found.names == CLASSES
    found.save(tmp_path / 'labels.png')
    np.testing.assert_array_equal(read_labels(tmp_path / 'labels.png').array, found.labels.array)
    in_memory = Predictor(cfg, files[0]).predict(pixels)
    same = Predictor(cfg, files[0]).predict(Volume(pixels[:, :, ::-1].copy(), None, has_channels=True))
    np.testing.assert_array_equal(in_memory.labels.array, same.labels.array)


def test_ensembles_and_views(trained):
    cfg, files, images = trained
    path = sorted(images.glob('*.jpg'))[0]
    singles = [Predictor(cfg, file).predict(path, probabilities=True).probabilities.array for file in files]
    both = Predictor(cfg, files).predict(path, probabilities=True)
    np.testing.assert_allclose(both.probabilities.array, np.mean(singles, axis=0), atol=1e-6)
    views = Predictor(cfg, files, tta=True).predict(path, probabilities=True)
    np.testing.assert_allclose(views.probabilities.array.sum(-1), 1, atol=1e-5)
    assert not np.allclose(views.probabilities.array, both.probabilities.array)
    with pytest.raises(ConfigError, match='not axes'):
        Predictor(cfg, files[0], tta=(0,))


def test_a_folder_with_a_model_directory(trained, tmp_path):
    pytest.importorskip('safetensors')
    cfg, files, images = trained
    folder = export_model_directory(load_from_checkpoints(cfg, files[0]), tmp_path / 'model')
    options = BatchOptions(tmp_path / 'out', overlay=True, probabilities=True)
    (images / 'cut.jpg').write_bytes(sorted(images.glob('*.jpg'))[0].read_bytes()[:500])
    report = predict_cases(Predictor(folder), find_cases([images]), options, progress=False)
    assert report['counts'] == {'done': 2, 'skipped': 0, 'failed': 1}
    assert 'cut.jpg' in report['cases']['cut']['error']
    assert len(list((tmp_path / 'out').glob('*.png'))) == 2
    assert len(list((tmp_path / 'out' / 'overlays').glob('*.png'))) == 2


@pytest.mark.parametrize(
    ('image', 'message'),
    [
        ('case.nii.gz', 'expected a photograph ending in'),
        (np.zeros((4, 5, 6), np.uint8), 'rows, columns, 3'),
        (np.zeros((4, 5), np.uint8), 'rows, columns, 3'),
        (['a.jpg', 'b.jpg'], 'found 2 images'),
        ('missing.jpg', 'missing.jpg'),
    ],
)
def test_what_is_no_photograph(image, message, trained):
    with pytest.raises(DataError, match=message):
        Predictor(trained[0], trained[1][0]).predict(image)


def test_photographs_have_no_maps_of_uncertainty(trained):
    cfg, files, images = trained
    path = sorted(images.glob('*.jpg'))[0]
    with pytest.raises(ConfigError, match='not for photographs'):
        Predictor(cfg, files).predict(path, uncertainty=True)
    cfg = copy.deepcopy(cfg)
    cfg.model.decode_head.dropout_ratio = 0.3
    with pytest.raises(ConfigError, match=r'not for photographs: mc_dropout=0'):
        Predictor(cfg, files[0], mc_dropout=1)
