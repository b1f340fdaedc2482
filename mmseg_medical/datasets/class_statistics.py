"""How many pixels each class has: what weights a loss and shows how rare lesions are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from mmengine.dataset import Compose

from mmseg_medical.datasets.fundus_lesions import FundusLesionDataset
from mmseg_medical.datasets.label_cache import load_bit_map
from mmseg_medical.datasets.lesions import CLASSES, IGNORE_INDEX, LESIONS, count_lesions, count_overlaps
from mmseg_medical.datasets.transforms import FieldOfView, LoadFundusImage, LoadLesionAnnotations


def class_statistics(
    dataset: FundusLesionDataset,
    scale: tuple[int, int] | None = None,
    field_of_view: str = 'none',
    track: Callable[[Iterable], Iterable] = iter,
) -> dict[str, Any]:
    """Count the labels of a data set on the grid that training sees at ratio 1.

    Args:
        dataset (FundusLesionDataset): Its ``overlap_order`` decides where lesions overlap; its pipeline is not used.
        scale (tuple[int, int], optional): As for ``LoadFundusImage``, or the size for ``FieldOfView`` if that is on.
            None counts at native size.
        field_of_view (str): Mode of ``FieldOfView``.
        track (Callable): Wraps the loop, for a progress display.

    Returns:
        dict: ``classes`` and ``counts`` (pixels, in the same order), ``ignored`` (pixels), ``scale`` ([width,
        height] or None), ``field_of_view``, ``overlap_order``, ``dataset``, ``num_images``, ``images_with_lesion``,
        and at native size ``lesion_pixels`` before overlaps are resolved and ``overlap_pixels`` of pairs.

    Raises:
        ValueError: ``field_of_view`` is on without a scale.
        DataError: a file is damaged.
    """
    if field_of_view == 'none':
        loading: list = [LoadFundusImage(scale)]
    elif scale is None:
        raise ValueError('field_of_view stretches to a size: give a scale')
    else:
        loading = [LoadFundusImage(), FieldOfView(field_of_view, scale)]
    pipeline = Compose([*loading, LoadLesionAnnotations()])
    counts, bits, images = np.zeros(256, np.int64), np.zeros(256, np.int64), dict.fromkeys(LESIONS, 0)
    for index in track(range(len(dataset))):
        entry = {**dataset.get_data_info(index), 'target': 'multiclass'}
        results = pipeline(entry)
        counts += np.bincount(results['gt_seg_map'].reshape(-1), minlength=256)
        histogram = load_bit_map(entry, results['ori_shape']).histogram()
        bits += histogram
        for lesion, pixels in count_lesions(histogram).items():
            images[lesion] += pixels > 0
    return dict(
        classes=list(CLASSES),
        counts=[int(n) for n in counts[: len(CLASSES)]],
        ignored=int(counts[IGNORE_INDEX]),
        scale=None if scale is None else list(scale),
        field_of_view=field_of_view,
        overlap_order=list(dataset.overlap_order),
        dataset=dataset.description,
        num_images=len(dataset),
        images_with_lesion=images,
        lesion_pixels=count_lesions(bits),
        overlap_pixels=count_overlaps(bits),
    )
