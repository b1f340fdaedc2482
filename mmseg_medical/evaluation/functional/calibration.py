"""Does what is predicted with 80 % come true in 80 % of the pixels? Calibration error and reliability diagram."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmseg_medical.evaluation.functional.arrays import ArrayLike, as_labels, as_probabilities
from mmseg_medical.evaluation.functional.pieces import kept_pixels
from mmseg_medical.evaluation.functional.probability_targets import check_kept_labels, checked_targets

#: confidences are summed as integers of this unit, the distance of float32 numbers in 0.5..1: integer sums are the
#: same in any order, so that neither chunks nor processes change a result; int64 holds those of 2^39 pixels a bin
_UNIT = 2.0**-24
_IGNORED = 255


def expected_calibration_error(
    probabilities: ArrayLike,
    target: ArrayLike,
    num_bins: int = 15,
    norm: str = 'l1',
    ignore_index: int | None = 255,
) -> np.ndarray:
    """Distance between confidence and accuracy, 0 is best; see :class:`CalibrationHistogram` for bins and norms.

    Args:
        probabilities (np.ndarray | Tensor): shape (C, *S), float, in 0..1; they sum to 1 over the classes if the
            target is a label map.
        target (np.ndarray | Tensor): shape (C, *S), masks of 0 and 1, which the probabilities of each class are held
            against; or shape (*S), labels in 0..C - 1, which the class of the highest probability is held against.
        num_bins (int): number of bins.
        norm (str): 'l1' or 'max'.
        ignore_index (int | None): target value of pixels left out.

    Returns:
        np.ndarray: float64, in 0..1, shape (C,) for masks, shape () for a label map; NaN if no pixel is left.

    Raises:
        ValueError: shapes do not match, probabilities are NaN or outside 0..1 or do not sum to 1, targets are no
            labels of a class, ``num_bins`` is below 1, ``norm`` is unknown.
    """
    scores, targets = checked_targets(probabilities, target, ignore_index)
    masks = scores.ndim == targets.ndim
    if not masks:
        scores, targets = top_label(scores, targets, ignore_index)
        ignore_index = _IGNORED
    histogram = CalibrationHistogram(scores.shape[0], num_bins)
    histogram.update(scores, targets, ignore_index)
    error = histogram.compute(norm)
    return error if masks else error.reshape(())


def top_label(probabilities: ArrayLike, labels: ArrayLike, ignore_index: int | None = 255) -> tuple[Tensor, Tensor]:
    """Turn probabilities of exclusive classes into one event a pixel: was the most probable class right?

    Args:
        probabilities (np.ndarray | Tensor): shape (K, *S), float, in 0..1, of sum 1 over the classes.
        labels (np.ndarray | Tensor): shape (*S), in 0..K - 1.
        ignore_index (int | None): label of pixels left out.

    Returns:
        tuple[Tensor, Tensor]: the highest probability, shape (1, *S), and whether its class is the label, shape
        (1, *S), uint8: 0, 1, or 255 where ignored. Of classes of the same probability the first one is taken.

    Raises:
        ValueError: shapes do not match, probabilities or labels are out of range.
    """
    scores, targets = checked_targets(probabilities, labels, ignore_index)
    if scores.ndim == targets.ndim:
        raise ValueError(f'labels must be a label map of shape {tuple(scores.shape[1:])}, got {tuple(targets.shape)}')
    confidence, chosen = scores.max(dim=0)
    correct = (chosen == targets).to(torch.uint8)
    if ignore_index is not None:
        correct[targets == ignore_index] = _IGNORED
    return confidence[None], correct[None]


@dataclass(frozen=True)
class Reliability:
    """Points of a reliability diagram: B bins of one class.

    Attributes:
        edges (np.ndarray): shape (B + 1,), 0 to 1; a bin holds its right edge, the first one 0 as well.
        confidence (np.ndarray): shape (B,), mean confidence of each bin's pixels; NaN where there are none.
        accuracy (np.ndarray): shape (B,), share of them where the event took place; NaN where there are none.
        count (np.ndarray): shape (B,), int64, number of pixels.
    """

    edges: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray


class CalibrationHistogram:
    """Accumulates confidences and outcomes in bins of equal width.

    Bin b of B holds confidences in (b / B, (b + 1) / B], the first one 0 as well. All sums are integers, of the
    confidences rounded to multiples of 2^-24: results do not depend on the order, the chunks or the number of
    processes, and differ from those of unrounded confidences by less than 3e-8.

    M. P. Naeini, G. F. Cooper, M. Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI
    (2015) 2901-2907; C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On calibration of modern neural networks, ICML (2017)
    1321-1330, equation 3.

    Args:
        num_classes (int): number C of classes that are held against their masks; 1 for :func:`top_label`.
        num_bins (int): number B of bins.

    Raises:
        ValueError: a number is below 1.

    Example:
        >>> histogram = CalibrationHistogram(num_bins=2)
        >>> histogram.update(np.array([[0.2, 0.4, 0.9]]), np.array([[0, 1, 1]]))
        >>> histogram.compute().round(4).tolist()
        [0.1667]
    """

    def __init__(self, num_classes: int = 1, num_bins: int = 15) -> None:
        if num_classes < 1:
            raise ValueError(f'num_classes must be at least 1, got {num_classes}')
        if num_bins < 1:
            raise ValueError(f'num_bins must be at least 1, got {num_bins}')
        self.count = torch.zeros(num_classes, num_bins, dtype=torch.int64)
        self.correct = torch.zeros(num_classes, num_bins, dtype=torch.int64)
        self.confidence = torch.zeros(num_classes, num_bins, dtype=torch.int64)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.count.shape[0]

    @property
    def num_bins(self) -> int:
        """Number of bins."""
        return self.count.shape[1]

    def update(self, confidence: ArrayLike, correct: ArrayLike, ignore_index: int | None = 255) -> None:
        """Add pixels.

        Args:
            confidence (np.ndarray | Tensor): shape (C, *S), float, in 0..1.
            correct (np.ndarray | Tensor): shape (C, *S), whether the event took place: the masks of the classes, or
                what :func:`top_label` says.
            ignore_index (int | None): value in ``correct`` of pixels left out.

        Raises:
            ValueError: shapes differ, confidences are NaN or outside 0..1, ``correct`` holds anything but 0, 1 and
                ``ignore_index``. Nothing is added then.
        """
        scores, targets = as_probabilities(confidence, 'confidence'), as_labels(correct, 'correct')
        if scores.shape != targets.shape or scores.ndim == 0 or scores.shape[0] != self.num_classes:
            raise ValueError(
                f'confidence and correct must have one shape (C, *S) with C = {self.num_classes}, '
                f'got {tuple(scores.shape)} and {tuple(targets.shape)}'
            )
        check_kept_labels(targets, 2, 'correct', ignore_index)
        edges = torch.arange(1, self.num_bins, device=scores.device, dtype=torch.float64) / self.num_bins
        for c in range(self.num_classes):
            for s, t in kept_pixels(scores[c : c + 1], targets[c].to(scores.device), ignore_index):
                values = s[0].double()
                bins = torch.bucketize(values, edges)
                units = (values / _UNIT).round().long()
                self._add(self.count[c], bins, torch.ones_like(units))
                self._add(self.correct[c], bins, t.long())
                self._add(self.confidence[c], bins, units)

    @staticmethod
    def _add(totals: Tensor, bins: Tensor, numbers: Tensor) -> None:
        sums = numbers.new_zeros(totals.shape).scatter_add_(0, bins, numbers)
        totals += sums.to(totals.device)

    def __iadd__(self, other: CalibrationHistogram) -> CalibrationHistogram:
        if self.count.shape != other.count.shape:
            raise ValueError(
                f'histograms of {self.num_classes} classes in {self.num_bins} bins and of {other.num_classes} in '
                f'{other.num_bins} do not add up'
            )
        self.count += other.count
        self.correct += other.correct
        self.confidence += other.confidence
        return self

    def reset(self) -> None:
        """Forget everything."""
        for totals in (self.count, self.correct, self.confidence):
            totals.zero_()

    def reliability(self, index: int) -> Reliability:
        """Mean confidence and accuracy of each bin of one class."""
        count = self.count[index].numpy().copy()
        with np.errstate(invalid='ignore'):  # 0 / 0 is NaN, as documented
            confidence = self.confidence[index].numpy() / count * _UNIT
            accuracy = self.correct[index].numpy() / count
        return Reliability(np.arange(self.num_bins + 1) / self.num_bins, confidence, accuracy, count)

    def compute(self, norm: str = 'l1') -> np.ndarray:
        """Calibration error of each class over all pixels so far.

        Args:
            norm (str): 'l1' is the mean over the pixels of the distance between the mean confidence and the accuracy of
                their bin (expected calibration error); 'max' is the largest distance of a bin that holds pixels
                (maximum calibration error).

        Returns:
            np.ndarray: shape (C,), float64, in 0..1; NaN for a class without pixels.

        Raises:
            ValueError: ``norm`` is unknown.
        """
        if norm not in ('l1', 'max'):
            raise ValueError(f"norm must be 'l1' or 'max', got {norm!r}")
        return np.array([self._error(index, norm) for index in range(self.num_classes)])

    def _error(self, index: int, norm: str) -> float:
        table = self.reliability(index)
        filled = table.count > 0
        if not filled.any():
            return math.nan
        gap = np.abs(table.confidence - table.accuracy)[filled]
        return float(gap.max() if norm == 'max' else (gap * table.count[filled]).sum() / table.count.sum())
