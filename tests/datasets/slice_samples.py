"""What the tests of slices share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mmseg_medical.evaluation.metrics import SliceSegMetric
from mmseg_medical.geometry import restore_labels
from mmseg_medical.structures import VolumeData


def chain(num_classes: int, *steps: dict, test: bool = False) -> list[dict]:
    """Steps of LoadSlice: labels move along in training and stay in tests."""
    image, labels = dict(type='LoadCase'), dict(type='LoadCaseAnnotations', num_classes=num_classes)
    return [image, *steps, labels] if test else [image, labels, *steps]


def pipeline(store: Any, num_classes: int, *steps: dict, test: bool = False, **options: Any) -> list[dict]:
    """LoadSlice and the packing."""
    load = dict(type='LoadSlice', pipeline=chain(num_classes, *steps, test=test), store_dir=str(store), **options)
    return [load, dict(type='PackSliceInputs')]


def metric_for(dataset: Any, **options: Any) -> SliceSegMetric:
    metric = SliceSegMetric(**{'surface': None, **options})
    metric.dataset_meta = dataset.metainfo
    return metric


def predicted(sample: dict, scores: np.ndarray) -> dict:
    """Sample as the metric takes it, with labels made of scores (K, h, w) on the grid of the network."""
    data = sample['data_samples']
    labels = restore_labels(scores.astype(np.float32), data.grid_steps)
    data.pred_sem_seg = VolumeData(data=torch.as_tensor(labels)[None])
    return data.to_dict()


def truth_as_scores(sample: dict, num_classes: int) -> np.ndarray:
    """Scores (K, h, w) on the grid of the network of somebody who knows the truth."""
    data = sample['data_samples']
    truth = data.gt_sem_seg.data[0].numpy()
    scores = np.stack([truth == k for k in range(num_classes)]).astype(np.float32)
    for step in data.grid_steps:
        scores = step.apply(scores)
    return scores
