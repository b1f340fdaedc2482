import json
from typing import ClassVar

import numpy as np
import pytest
import torch
from mmseg.structures import SegDataSample

from mmseg_medical.datasets.class_exposure import class_exposure, count_classes
from mmseg_medical.datasets.samplers import seed_sample
from mmseg_medical.datasets.transforms import LoadVolume, LoadVolumeAnnotations, PackVolumeInputs, RandomPatch
from mmseg_medical.structures import VolumeData


class Cases:
    """A large class 1, and a voxel of class 2 in every second case."""

    metainfo: ClassVar[dict] = dict(classes=('background', 'organ', 'lesion'))

    def __init__(self, foreground_prob, regions=None):
        self.steps = [LoadVolume(), LoadVolumeAnnotations(3, regions=regions), RandomPatch((6, 6, 6), foreground_prob)]

    def __len__(self):
        return 4

    def __getitem__(self, index):
        seed_sample(index)
        label = np.zeros((20, 20, 20), np.uint8)
        label[2:12, 2:12, 2:12] = 1
        label[17, 17, 17] = 2 * (index % 2)
        results = dict(volume=np.zeros(label.shape), label_volume=label, case_id=str(int(index)))
        for step in self.steps:
            results = step(results)
        return PackVolumeInputs()(results)


def _exposure(foreground_prob, samples=300):
    return class_exposure(Cases(foreground_prob), samples, seed=1)


def test_every_class_is_asked_for():
    found = _exposure(1.0)
    assert (found['samples'], found['cases'], found['asked_for_none']) == (300, 4, 0)
    # class 2 is in half of the cases, and asked for in half of these
    assert 50 < found['asked'][2] < 100
    assert found['asked'][1] + found['asked'][2] == 300
    assert all(shown >= asked for shown, asked in zip(found['shown'], found['asked'], strict=True))
    assert sum(found['voxels']) == 300 * 6**3
    json.dumps(found)


def test_without_foreground_draws():
    found = _exposure(0.0)
    assert found['asked_for_none'] == 300
    assert found['asked'] == [0, 0, 0]
    assert found['shown'][2] < 30


def test_same_seed_same_numbers():
    assert _exposure(0.5, 50) == _exposure(0.5, 50)


def test_masks():
    cases = Cases(1.0, regions=[[1, 2], [2]])
    cases.metainfo = dict(classes=('whole', 'lesion'))
    found = class_exposure(cases, 40)
    assert sum(found['asked']) == 40
    assert found['shown'][0] == 40


def _sample(data):
    sample = SegDataSample()
    sample.gt_sem_seg = VolumeData(data=torch.as_tensor(np.array(data, np.uint8)))
    return sample


def test_counts():
    counts, ignored = count_classes(_sample([[[0, 1, 1, 255]]]), 3)
    assert (counts.tolist(), ignored) == ([1, 2, 0], 1)
    counts, ignored = count_classes(_sample([[[0, 1]], [[1, 255]]]), 2)
    assert (counts.tolist(), ignored) == ([1, 1], 1)


def test_what_cannot_be_counted():
    with pytest.raises(ValueError, match='no labels to count'):
        count_classes(SegDataSample(), 2)
    with pytest.raises(ValueError, match=r'names 2 classes, but labels \[3\] occur'):
        count_classes(_sample([[[0, 3]]]), 2)
    with pytest.raises(ValueError, match='names 3 classes, the samples have 2 masks'):
        count_classes(_sample([[[0, 1]], [[1, 1]]]), 3)
