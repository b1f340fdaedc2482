"""Convention of HACDR-Net: counts pooled over the whole set, as mmseg's ``IoUMetric`` does."""

from __future__ import annotations

import numpy as np

from mmseg_medical.evaluation.functional.legacy.cases import Arrays, Scores, count, label_pairs, with_means


def hacdr_scores(pred: Arrays, target: Arrays, num_classes: int) -> Scores:
    """Dice, IoU, F-score, precision and recall in percent.

    Departs from the standard: counts of all images are added before one division, the background is in the means, and
    a ratio 0 / 0 is NaN and leaves them.

    Args:
        pred (array or sequence of arrays): images, each of shape (*S).
        target (array or sequence of arrays): same shapes; pixels of 255 are left out.
        num_classes (int): number of classes, the background 0 among them.

    Returns:
        dict: ``dice``, ``iou``, ``fscore``, ``precision``, ``recall`` and each ``_per_class``, from class 0 on.
    """
    pairs = label_pairs(pred, target, num_classes, ignore_index=255)
    classes = range(num_classes)
    counts = np.array([[count(p == c, t == c) for c in classes] for p, t in pairs], dtype=np.float64)
    both, of_pred, of_target = counts.sum(axis=0).T
    with np.errstate(divide='ignore', invalid='ignore'):
        precision, recall = both / of_pred, both / of_target
        ratios = {
            'dice': 2 * both / (of_pred + of_target),
            'iou': both / (of_pred + of_target - both),
            'fscore': 2 * precision * recall / (precision + recall),
            'precision': precision,
            'recall': recall,
        }
    return with_means({metric: (100 * values).tolist() for metric, values in ratios.items()})
