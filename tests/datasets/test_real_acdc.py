"""The real hearts, where they are."""

from __future__ import annotations

import numpy as np
import pytest
from slice_samples import metric_for, pipeline, predicted, truth_as_scores

from mmseg_medical.datasets import ACDCDataset, check_disjoint
from mmseg_medical.geometry import read_volume

pytestmark = pytest.mark.realdata
SPLIT_FILE = 'configs/hdc_hrnet/splits/acdc_six_4_2.json'
STEPS = dict(type='NormalizeIntensity', percentiles=(0.5, 99.5)), dict(type='ResampleInPlane', spacing_mm=3.0)


@pytest.fixture(scope='module')
def root(realdata):
    return str(realdata / 'ACDC')


def test_six_patients(root):
    dataset = ACDCDataset(root)
    assert len({volume['patient_id'] for volume in dataset.volumes}) == 6
    assert len(dataset) == 2 * (10 + 10 + 10 + 10 + 6 + 9)
    parts = [ACDCDataset(root, part, split_file=SPLIT_FILE) for part in ('train', 'val')]
    assert [len(part.volumes) for part in parts] == [8, 4]
    check_disjoint(*parts)


def test_volumes_are_scored_on_the_grid_of_their_files(root, tmp_path):
    steps = pipeline(tmp_path, 4, *STEPS, test=True, neighbours=1)
    dataset = ACDCDataset(root, 'val', split_file=SPLIT_FILE, pipeline=steps, test_mode=True)
    metric = metric_for(dataset)
    for index in range(len(dataset)):
        sample = dataset[index]
        assert sample['inputs'].shape[0] == 3
        assert sample['data_samples'].spacing_mm == (10.0, 1.5, 1.5)  # nominal: the source had dropped the real one
        metric.process(None, [predicted(sample, truth_as_scores(sample, 4))])
    scores = metric.evaluate(len(dataset))
    assert scores['dice'] > 0.99
    expected = [(read_volume(v['seg_map_path']).array == 3).sum() * 22.5 for v in dataset.volumes]
    assert scores['target_volume_mm3.LV'] == pytest.approx(np.mean(expected))
