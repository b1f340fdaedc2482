"""Precision-recall curves and their area over any number of pixels, in bounded memory.

Scores fall into fixed bins along the bit pattern of a float32: of p below 0.5 and of 1 - p above, so that resolution
is relative at both ends, where the scores of saturated networks crowd. Counts are int64; two histograms add up to the
histogram of the union, whatever the order, the chunks or the number of processes.

Within a bin scores count as tied. :attr:`PrecisionRecall.lower` and :attr:`PrecisionRecall.upper` bound the area for
any order within the bins, so that a result carries the proof of its accuracy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from mmseg_medical.evaluation.functional.arrays import ArrayLike, as_probabilities, as_tensor
from mmseg_medical.evaluation.functional.pieces import kept_pixels


@dataclass(frozen=True)
class _Segment:
    """A range of scores whose float32 patterns share one bin width."""

    low: int  # bit pattern of the smallest score
    shift: int  # low bits that are dropped
    offset: int  # first bin


def _pattern(value: float) -> int:
    return int(np.float32(value).view(np.int32))


def _segments() -> tuple[tuple[_Segment, ...], int]:
    """Bins of scores in (0, 0.5]: 2^16 an octave above 2^-8, 2^14 above 2^-24, 2^10 below; bin 0 is exactly zero."""
    edges = (_pattern(0.0), _pattern(2.0**-24), _pattern(2.0**-8), _pattern(0.5))
    segments, offset = [], 1
    for low, high, shift in zip(edges, edges[1:], (13, 9, 7), strict=False):
        segments.append(_Segment(low, shift, offset))
        offset += (high - low) >> shift
    return tuple(segments), offset


_SEGMENTS, _HALF = _segments()
#: bins of one class: those of p <= 0.5, mirrored for 1 - p < 0.5
NUM_BINS = 2 * _HALF + 1


def score_bins(scores: Tensor) -> Tensor:
    """Bin of each score; a larger score never has a smaller bin.

    Args:
        scores (Tensor): shape (*S), float, probabilities in 0..1. Half precision is exact; of float64 values both
            p and 1 - p are rounded to float32, so that values near 1 keep their resolution.

    Returns:
        Tensor: shape (*S), int32 in 0..NUM_BINS - 1. The first and the last bin hold exactly 0 and exactly 1.

    Raises:
        ValueError: a score is NaN or outside 0..1.
    """
    scores = as_probabilities(scores, 'scores')
    if scores.numel() == 0:
        return torch.zeros(scores.shape, dtype=torch.int32, device=scores.device)
    if scores.dtype != torch.float64:
        scores = scores.float()
    # + 0.0 turns -0.0, whose pattern is negative, into 0.0
    distance = (torch.minimum(scores, 1 - scores) + 0.0).float()
    bits = distance.view(torch.int32)
    tail, *segments = _SEGMENTS
    # rounded up: the bin of zero holds nothing else
    bins = (bits + ((1 << tail.shift) - 1)) >> tail.shift
    # bins get narrower with the score, so that of the segments' lines the highest is the right one everywhere
    for segment in segments:
        line = ((bits - segment.low) >> segment.shift).add_(segment.offset)
        torch.maximum(bins, line, out=bins)
    return torch.where(scores > 0.5, (NUM_BINS - 1) - bins, bins)


def bin_thresholds(bins: np.ndarray) -> np.ndarray:
    """Smallest score of each bin, up to float rounding: ``score >= threshold`` selects the bin and all above.

    Args:
        bins (np.ndarray): shape (M,), integers in 0..NUM_BINS - 1.

    Returns:
        np.ndarray: shape (M,), float64 in 0..1.
    """
    bins = np.asarray(bins, dtype=np.int64)
    mirrored = bins > _HALF
    near = np.where(mirrored, NUM_BINS - 1 - bins, bins)
    low = _edge_patterns(near)
    # above 0.5 the smallest score has the largest distance from 1
    edge = np.where(mirrored, np.where(near == 0, 0, _edge_patterns(near + 1) - 1), low)
    distance = edge.astype(np.int32).view(np.float32).astype(np.float64)
    return np.where(mirrored, 1 - distance, distance)


def _edge_patterns(bins: np.ndarray) -> np.ndarray:
    first, second, third = _SEGMENTS
    tail = np.maximum(((bins - 1) << first.shift) + 1, 0)
    middle = ((bins - second.offset) << second.shift) + second.low
    fine = ((bins - third.offset) << third.shift) + third.low
    return np.where(bins < second.offset, tail, np.where(bins < third.offset, middle, fine))


@dataclass(frozen=True)
class PrecisionRecall:
    """Curve and area of one class.

    Attributes:
        average_precision (float): sum over thresholds of (R_n - R_n-1) P_n, scikit-learn's
            ``average_precision_score``; NaN if no pixel is positive.
        lower (float): no order of the scores within their bins gives a smaller average precision.
        upper (float): none gives a larger one.
        area_trapezoid (float): trapezoidal area under the same points, starting at (recall 0, precision 1), as
            scikit-learn's ``auc(recall, precision)``. Linear interpolation is optimistic; reported for comparison with
            publications that used it.
        num_positives (int): positive pixels.
        num_pixels (int): all pixels.
        thresholds (np.ndarray): shape (M,), falling; pixels with a score of at least the threshold are predicted.
        precision (np.ndarray): shape (M,).
        recall (np.ndarray): shape (M,), rising to 1.
    """

    average_precision: float
    lower: float
    upper: float
    area_trapezoid: float
    num_positives: int
    num_pixels: int
    thresholds: np.ndarray = field(repr=False)
    precision: np.ndarray = field(repr=False)
    recall: np.ndarray = field(repr=False)

    def thinned(self, num_points: int = 1000) -> PrecisionRecall:
        """Keep at most about ``num_points`` points, evenly spread along recall and along precision; areas stay."""
        size = self.recall.size
        if size <= num_points:
            return self
        # arc length in the unit square spreads points over flat and over steep parts alike
        step = np.abs(np.diff(self.recall)) + np.abs(np.diff(self.precision))
        arc = np.concatenate(([0.0], np.cumsum(step)))
        keep = np.searchsorted(arc, np.linspace(0, arc[-1], num_points - 1))
        keep = np.unique(np.concatenate((keep.clip(max=size - 1), [0, size - 1])))
        return PrecisionRecall(
            self.average_precision,
            self.lower,
            self.upper,
            self.area_trapezoid,
            self.num_positives,
            self.num_pixels,
            self.thresholds[keep],
            self.precision[keep],
            self.recall[keep],
        )


class PrecisionRecallHistogram:
    """Accumulates scores and truth of several classes; memory is 16 ``NUM_BINS`` bytes (26 MB) a class, for ever.

    Args:
        num_classes (int): number C of classes, each scored one against all others.

    Example:
        >>> histogram = PrecisionRecallHistogram(1)
        >>> histogram.update(torch.tensor([[0.9, 0.8, 0.3]]), torch.tensor([[1, 0, 1]]))
        >>> round(histogram.compute(0).average_precision, 4)
        0.8333
    """

    def __init__(self, num_classes: int) -> None:
        if num_classes < 1:
            raise ValueError(f'num_classes must be at least 1, got {num_classes}')
        self.positives = torch.zeros(num_classes, NUM_BINS, dtype=torch.int64)
        self.pixels = torch.zeros(num_classes, NUM_BINS, dtype=torch.int64)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.pixels.shape[0]

    def update(self, scores: ArrayLike, targets: ArrayLike, ignore_index: int | None = 255) -> None:
        """Add pixels.

        Args:
            scores (np.ndarray | Tensor): shape (C, *S), float, probability of each class.
            targets (np.ndarray | Tensor): shape (C, *S), integers or bool, 1 where the class is present, else 0.
            ignore_index (int | None): target value of pixels left out.

        Raises:
            ValueError: shapes differ, scores are NaN or outside 0..1, targets are not 0, 1 or ``ignore_index``. What
                was added before the error stays.
        """
        scores, targets = as_tensor(scores), as_tensor(targets)
        if scores.shape != targets.shape or scores.ndim == 0 or scores.shape[0] != self.num_classes:
            raise ValueError(
                f'scores and targets must have one shape (C, *S) with C = {self.num_classes}, '
                f'got {tuple(scores.shape)} and {tuple(targets.shape)}'
            )
        targets = targets.to(scores.device)
        for c in range(self.num_classes):
            self.update_class(c, scores[c], targets[c], positive=1, negative=0, ignore_index=ignore_index)

    def update_class(
        self,
        index: int,
        scores: Tensor,
        targets: Tensor,
        positive: int = 1,
        negative: int | None = None,
        ignore_index: int | None = 255,
    ) -> None:
        """Add pixels of one class.

        Args:
            index (int): class of this histogram.
            scores (Tensor): shape (*S), float, probability of the class.
            targets (Tensor): shape (*S), integers, on the scores' device.
            positive (int): target value of the class.
            negative (int | None): the only other value allowed; None takes every other label as negative, as in a
                label map.
            ignore_index (int | None): target value of pixels left out.
        """
        if self.pixels.device != scores.device:
            self.pixels, self.positives = self.pixels.to(scores.device), self.positives.to(scores.device)
        for s, t in kept_pixels(scores, targets, ignore_index):
            is_positive = t == positive
            if negative is not None and not bool((is_positive | (t == negative)).all()):
                values = sorted(set(t.unique().tolist()) - {positive, negative})
                raise ValueError(
                    f'targets must be {negative}, {positive} or {ignore_index} (ignored), got {values[:5]}'
                )
            bins = score_bins(s).long()
            self._count(self.pixels[index], bins)
            self._count(self.positives[index], bins[is_positive])

    @staticmethod
    def _count(histogram: Tensor, bins: Tensor) -> None:
        histogram.scatter_add_(0, bins, histogram.new_ones(()).expand(bins.shape))

    def __iadd__(self, other: PrecisionRecallHistogram) -> PrecisionRecallHistogram:
        if self.num_classes != other.num_classes:
            raise ValueError(f'histograms of {self.num_classes} and {other.num_classes} classes do not add up')
        self.positives += other.positives.to(self.positives.device)
        self.pixels += other.pixels.to(self.pixels.device)
        return self

    def reset(self) -> None:
        """Forget everything."""
        self.positives.zero_()
        self.pixels.zero_()

    def compute(self, index: int) -> PrecisionRecall:
        """Curve and area of one class over all pixels so far."""
        return curve_from_counts(self.positives[index].cpu().numpy(), self.pixels[index].cpu().numpy())


def curve_from_counts(positives: np.ndarray, pixels: np.ndarray) -> PrecisionRecall:
    """Curve and area from the counts of :class:`PrecisionRecallHistogram`.

    Args:
        positives (np.ndarray): shape (NUM_BINS,), int64, positive pixels by bin.
        pixels (np.ndarray): shape (NUM_BINS,), int64, all pixels by bin.
    """
    filled = np.flatnonzero(pixels)[::-1]
    pos, neg = positives[filled], (pixels - positives)[filled]
    tp, fp = np.cumsum(pos), np.cumsum(neg)
    num_positives, num_pixels = int(positives.sum()), int(pixels.sum())
    precision = tp / np.maximum(tp + fp, 1)
    thresholds = bin_thresholds(filled)
    if num_positives == 0:
        nan = math.nan
        recall = np.full(filled.shape, nan)
        return PrecisionRecall(nan, nan, nan, nan, 0, num_pixels, thresholds, precision, recall)
    recall = tp / num_positives
    lower, upper = _bounds(pos, neg, tp, fp, exact=(filled == 0) | (filled == NUM_BINS - 1))
    heights = np.concatenate(([1.0], precision))
    return PrecisionRecall(
        average_precision=float((pos * precision).sum() / num_positives),
        lower=float(lower.sum() / num_positives),
        upper=float(upper.sum() / num_positives),
        area_trapezoid=float((np.diff(recall, prepend=0.0) * (heights[1:] + heights[:-1]) / 2).sum()),
        num_positives=num_positives,
        num_pixels=num_pixels,
        thresholds=thresholds,
        precision=precision,
        recall=recall,
    )


def _bounds(
    pos: np.ndarray, neg: np.ndarray, tp: np.ndarray, fp: np.ndarray, exact: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest sum of the positives' precisions in each bin, over all orders of the bin's scores.

    Worst: all negatives first, then positives one by one. Their precision (a + j) / (a + j + b) is concave in j, so its
    mean is at least the mean of its ends. Best: all positives first, tied. Bins of a single value are tied anyway.
    """
    above_tp, above_fp = tp - pos, fp - neg
    tied = tp / np.maximum(tp + fp, 1)
    first = (above_tp + 1) / (above_tp + 1 + fp)
    best = tp / np.maximum(tp + above_fp, 1)
    return np.where(exact, tied, (first + tied) / 2) * pos, np.where(exact, tied, best) * pos
