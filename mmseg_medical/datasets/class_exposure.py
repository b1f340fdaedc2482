"""How much of each class training samples show: whether rare classes are met often enough."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from mmseg_medical.datasets.samplers import SeededInfiniteSampler


def class_exposure(
    dataset: Any, samples: int = 200, seed: int = 0, track: Callable[[Iterable], Iterable] = iter
) -> dict[str, Any]:
    """Draw samples as training does and count what they show of each class.

    Args:
        dataset (Any): A data set of mmengine's kind whose pipeline ends in ``PackVolumeInputs`` (or another packing
            with ``gt_sem_seg``).
        samples (int): How many.
        seed (int): Of the run: the same seed draws the samples that a run with ``SeededInfiniteSampler`` starts with.
        track (Callable): Wraps the loop, for a progress display.

    Returns:
        dict: ``classes``; for each in the same order ``asked`` (samples that were drawn to contain it), ``shown``
        (samples that do), ``voxels``; ``asked_for_none`` (samples drawn anywhere), ``samples``, ``cases`` (different
        ones) and ``ignored`` (voxels).

    Raises:
        DataError: A case cannot be loaded.
        ValueError: Samples have no labels, or more classes than the data set names.
    """
    classes = list(dataset.metainfo['classes'])
    asked, shown, voxels = (np.zeros(len(classes), np.int64) for _ in range(3))
    cases, ignored, anywhere = set(), 0, 0
    indices = list(islice(SeededInfiniteSampler(dataset, seed=seed), samples))
    for index in track(indices):
        sample = dataset[index]['data_samples']
        counts, left_out = count_classes(sample, len(classes))
        voxels += counts
        shown += counts > 0
        ignored += left_out
        cases.add(sample.get('case_id', int(index)))
        drawn = drawn_classes(sample.get('augmentations', ()))
        anywhere += not drawn
        for k in drawn:
            asked[k] += 1
    return dict(
        classes=classes,
        asked=asked.tolist(),
        shown=shown.tolist(),
        voxels=voxels.tolist(),
        asked_for_none=anywhere,
        samples=len(indices),
        cases=len(cases),
        ignored=ignored,
    )


def drawn_classes(augmentations: Sequence[dict[str, Any]]) -> list[int]:
    """Classes that a sample was asked to contain."""
    return [entry['drawn_class'] for entry in augmentations if entry.get('drawn_class') is not None]


def count_classes(sample: Any, number: int, ignore_index: int = 255) -> tuple[np.ndarray, int]:
    """Voxels of each class in a packed sample, and those that are ignored.

    Raises:
        ValueError: There are no labels, or a label is no class of the data set.
    """
    if 'gt_sem_seg' not in sample:
        raise ValueError('samples have no labels to count: the pipeline needs LoadVolumeAnnotations')
    data = sample.gt_sem_seg.data.numpy()
    if len(data) > 1 or number == 1:
        if len(data) != number:
            raise ValueError(f'the data set names {number} classes, the samples have {len(data)} masks')
        axes = tuple(range(1, data.ndim))
        return (data == 1).sum(axis=axes), int((data == ignore_index).sum())
    counts = np.bincount(data.ravel(), minlength=max(number, ignore_index + 1))
    ignored = int(counts[ignore_index]) if ignore_index >= number else 0
    if counts.sum() - ignored != counts[:number].sum():
        found = [int(k) for k in np.flatnonzero(counts) if k >= number and k != ignore_index]
        raise ValueError(f'the data set names {number} classes, but labels {found} occur')
    return counts[:number], ignored
