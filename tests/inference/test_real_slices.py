"""The real hearts through the predictor: the labels of a test, on the grid of the file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slice_models import checkpoint, config

from mmseg_medical.datasets import ACDCDataset
from mmseg_medical.geometry import grid_difference, read_volume
from mmseg_medical.inference import Predictor
from mmseg_medical.inference.loading import build_models, load_from_checkpoints

pytestmark = pytest.mark.realdata
STEPS = dict(type='NormalizeIntensity', percentiles=(0.5, 99.5)), dict(type='ResampleInPlane', spacing_mm=3.0)


@torch.no_grad()
def test_labels_are_those_of_a_test(realdata, tmp_path):
    root = str(realdata / 'ACDC')
    cfg = config('ACDCDataset', tmp_path, list(STEPS), 4, dict(neighbours=1), kernel_size=3, divisor=32)
    file = checkpoint(tmp_path / 'w.pth', cfg)
    steps = cfg.test_dataloader.dataset.pipeline
    dataset = ACDCDataset(root, pipeline=steps, test_mode=True)
    (model,) = build_models(load_from_checkpoints(cfg, file))
    volume = dataset.volumes[3]
    slices = [i for i in range(len(dataset)) if dataset.get_data_info(i)['volume_id'] == volume['case_id']]
    expected = []
    for sample in (dataset[i] for i in slices):
        (result,) = model.test_step(dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']]))
        assert result.pred_sem_seg.shape == result.gt_sem_seg.shape
        expected.append(result.pred_sem_seg.data[0].numpy())
    found = Predictor(cfg, file).predict(volume['img_path']).labels
    np.testing.assert_array_equal(found.array, np.stack(expected, axis=-1))
    assert len(np.unique(found.array)) > 2
    assert grid_difference(found, read_volume(volume['img_path'])) is None
