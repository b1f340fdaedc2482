"""The model that comes with the repository: whole, small, and right on images it was made for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmseg_medical.geometry import Volume, grid_difference, read_volume
from mmseg_medical.inference import Predictor

pytest.importorskip('safetensors')

MODEL = Path(__file__).parents[2] / 'data' / 'models' / 'hippocampus'


@pytest.fixture(scope='module')
def predictor() -> Predictor:
    return Predictor(MODEL)


def test_it_is_small_and_takes_any_grid(predictor):
    assert sum(file.stat().st_size for file in MODEL.iterdir()) < 20e6
    assert predictor.names == ('background', 'Anterior', 'Posterior')
    image = Volume(np.random.default_rng(0).random((23, 37, 11)).astype(np.float32), np.diag([-1.5, 1.0, 2.0, 1.0]))
    labels = predictor.predict(image).labels
    assert labels.array.shape == image.size
    assert grid_difference(labels, image) is None


@pytest.mark.realdata
def test_it_finds_hippocampi(predictor, realdata):
    """It has learnt from these cases: this is no score, but it shows that file, weights and preprocessing fit."""
    folder = realdata / 'Task04_Hippocampus'
    for path in sorted((folder / 'imagesTr').glob('hippocampus_*.nii.gz'))[:3]:
        found = predictor.predict(path).labels.array
        truth = read_volume(folder / 'labelsTr' / path.name).array
        for label in (1, 2):
            both = np.sum((found == label) & (truth == label))
            assert 2 * both / (np.sum(found == label) + np.sum(truth == label)) > 0.8


@pytest.mark.realdata
def test_it_reads_a_dicom_series(predictor, realdata, tmp_path):
    (series,) = (realdata / 'hippocampus_dicom').glob('*/*')
    segmentation = predictor.predict(series)
    assert all(1000 < volume < 3000 for volume in segmentation.volumes_mm3().values())
    (written,) = segmentation.save(tmp_path / 'labels.nii.gz')
    assert grid_difference(read_volume(written), read_volume(series), 1e-5) is None
