"""What is checked of the images and labels of volumes before a network sees them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmseg_medical.datasets.errors import data_error


def check_labels(labels: np.ndarray, subject: str, num_classes: int | None, ignore_index: int) -> None:
    """Refuse labels that are no class.

    Args:
        labels (np.ndarray): Any shape, integer.
        subject (str): File or case, for the message.
        num_classes (int | None): Labels lie in 0..num_classes-1; None allows any that is not negative.
        ignore_index (int): Allowed too.

    Raises:
        DataError: Some do not; it lists them.
    """
    if not labels.size or (labels.min() >= 0 and (num_classes is None or labels.max() < num_classes)):
        return
    present = np.unique(labels)
    wrong = [int(v) for v in present if not (0 <= v < (num_classes or v + 1) or v == ignore_index)]
    if wrong:
        raise data_error(
            subject,
            expected='labels that are not negative'
            if num_classes is None
            else f'labels 0..{num_classes - 1} (or {ignore_index}, which is ignored)',
            found=', '.join(map(str, wrong[:10])) + (f' and {len(wrong) - 10} more' if len(wrong) > 10 else ''),
            remedy='Set num_classes or label_map of LoadVolumeAnnotations, or correct the file.',
        )


def check_label_follows(results: dict[str, Any], transform: str) -> None:
    """Refuse labels that do not lie on the grid of the image any more.

    Raises:
        RuntimeError: The pipeline loads them in the wrong place.
    """
    label, size = results.get('gt_seg_map'), results['img'].shape[1:]
    if label is not None and (results.get('labels_on_native_grid') or label.shape[label.ndim - len(size) :] != size):
        raise RuntimeError(
            f'{transform} moves image and labels together, but the image has the size {size} and the labels, of shape '
            f'{label.shape}, lie on the grid of the file: in a pipeline that trains, LoadVolumeAnnotations comes right '
            'behind LoadVolume.'
        )
