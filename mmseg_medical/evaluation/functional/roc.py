"""Area under the ROC curve over any number of pixels, from the counts of the precision-recall histogram."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmseg_medical.evaluation.functional.arrays import ArrayLike, as_tensor
from mmseg_medical.evaluation.functional.precision_recall import NUM_BINS, PrecisionRecallHistogram


@dataclass(frozen=True)
class RocArea:
    """Area under the receiver operating characteristic of one class.

    It is the chance that a positive pixel has a higher score than a negative one, equal scores counting half: the
    statistic of Mann and Whitney over the number of pairs (J. A. Hanley, B. J. McNeil, Radiology 143 (1982) 29-36,
    doi:10.1148/radiology.143.1.7063747). Where positive pixels are rare it flatters; state the average precision too.

    Attributes:
        area (float): scores of one bin count as tied; NaN if there are no positive or no negative pixels.
        lower (float): no order of the scores within their bins gives a smaller area.
        upper (float): none gives a larger one.
        num_positives (int): positive pixels.
        num_negatives (int): negative pixels.
    """

    area: float
    lower: float
    upper: float
    num_positives: int
    num_negatives: int


def roc_auc(scores: ArrayLike, target: ArrayLike, ignore_index: int | None = 255) -> RocArea:
    """Area under the ROC curve of the pixels of one class.

    For pixels that do not fit into one array, update a
    :class:`~mmseg_medical.evaluation.functional.precision_recall.PrecisionRecallHistogram` and call
    :func:`roc_area`.

    Args:
        scores (np.ndarray | Tensor): shape (*S), float, probability of the class.
        target (np.ndarray | Tensor): shape (*S), integers or bool, 1 where the class is present, else 0.
        ignore_index (int | None): target value of pixels left out.

    Raises:
        ValueError: shapes differ, scores are NaN or outside 0..1, targets are not 0, 1 or ``ignore_index``.

    Example:
        >>> roc_auc(np.array([0.9, 0.8, 0.3, 0.3]), np.array([1, 0, 1, 0])).area
        0.625
    """
    histogram = PrecisionRecallHistogram(1)
    histogram.update(as_tensor(scores)[None], as_tensor(target)[None], ignore_index)
    return roc_area(histogram, 0)


def roc_area(histogram: PrecisionRecallHistogram, index: int) -> RocArea:
    """Area of one class over all pixels that a histogram has seen.

    Args:
        histogram (PrecisionRecallHistogram): counts of C classes.
        index (int): the class.
    """
    return roc_area_from_counts(histogram.positives[index].cpu().numpy(), histogram.pixels[index].cpu().numpy())


def roc_area_from_counts(positives: np.ndarray, pixels: np.ndarray) -> RocArea:
    """Area from the counts of a precision-recall histogram.

    Args:
        positives (np.ndarray): shape (NUM_BINS,), int64, positive pixels by bin.
        pixels (np.ndarray): shape (NUM_BINS,), int64, all pixels by bin.
    """
    filled = np.flatnonzero(pixels)
    pos, neg = positives[filled], (pixels - positives)[filled]
    num_positives, num_negatives = int(pos.sum()), int(neg.sum())
    if num_positives == 0 or num_negatives == 0:
        return RocArea(math.nan, math.nan, math.nan, num_positives, num_negatives)
    below = np.cumsum(neg) - neg
    exact = (filled == 0) | (filled == NUM_BINS - 1)  # bins of a single score, whose pixels are tied indeed

    def area(wins_within: np.ndarray) -> float:
        # as float64, since the number of pairs may exceed int64
        pairs = pos.astype(np.float64) * (below + wins_within)
        return float(pairs.sum() / num_positives / num_negatives)

    half = neg / 2
    return RocArea(
        area=area(half),
        lower=area(np.where(exact, half, 0)),
        upper=area(np.where(exact, half, neg)),
        num_positives=num_positives,
        num_negatives=num_negatives,
    )
