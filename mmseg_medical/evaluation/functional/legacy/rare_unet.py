"""Conventions of RARE-UNet: batches in training, averages over its scales, cases in the tables."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from mmseg_medical.evaluation.functional.legacy.cases import Arrays, Scores, count, label_pairs, mean, with_means

_METRICS = ('dice', 'iou', 'precision', 'recall', 'f1')


def rare_unet_scores(pred: Arrays, target: Arrays, num_classes: int) -> Scores:
    """Scores of one scale, as logged in training: means over batches of each class, then over the classes 1 to K - 1.

    Departs from the standard: counts are pooled over a batch, and a denominator of 0 yields 1: for a class that is
    absent from both, for the precision of a class that is never predicted, the recall of one that is not there, and
    the F1 of masks that do not meet.

    Args:
        pred (array or sequence of arrays): batches, each of shape (N, *S).
        target (array or sequence of arrays): same shapes.
        num_classes (int): number of classes, the background 0 among them.

    Returns:
        dict: ``dice``, ``iou``, ``precision``, ``recall``, ``f1`` and each ``_per_class`` from class 1 on.
    """
    pairs = label_pairs(pred, target, num_classes)
    labels = range(1, num_classes)
    batches = [[_ratios(*count(p == label, t == label)) for p, t in pairs] for label in labels]
    return with_means({m: [mean([ratios[m] for ratios in of_class]) for of_class in batches] for m in _METRICS})


def rare_unet_multiscale(scales: Sequence[Mapping[str, float | list[float]]]) -> Scores:
    """Name the scores of all scales and average them.

    Departs from what one would expect: ``_multiscale_avg`` leaves the full resolution out.

    Args:
        scales (Sequence[dict]): scores of the scales 0 (full resolution) to S, of :func:`rare_unet_scores`, each
            against labels that were reduced to its size.

    Returns:
        dict: ``<metric>_fullres``, ``<metric>_scale1`` to ``_scaleS``, ``<metric>_multiscale_avg``, the mean over the
        scales 1 to S, and ``<metric>_all_scales_avg``; likewise for the lists ``<metric>_per_class``.

    Raises:
        ValueError: there are fewer than two scales, or their metrics differ.
    """
    if len(scales) < 2:
        raise ValueError(f'scales must be those of the full resolution and at least one more, got {len(scales)}')
    if any(set(scale) != set(scales[0]) for scale in scales):
        raise ValueError(f'all scales must have the same metrics, got {[sorted(scale) for scale in scales]}')
    scores: Scores = {}
    for metric in scales[0]:
        values = [scale[metric] for scale in scales]
        names = ['fullres', *(f'scale{d}' for d in range(1, len(scales)))]
        scores |= {f'{metric}_{name}': value for name, value in zip(names, values, strict=True)}
        scores[f'{metric}_multiscale_avg'] = _average(values[1:])
        scores[f'{metric}_all_scales_avg'] = _average(values)
    return scores


def rare_unet_table_scores(pred: Arrays, target: Arrays, num_classes: int) -> Scores:
    """Dice of one scale, as in the reported tables: mean over the classes of each case, then over cases.

    Departs from the standard: the standard deviation is that of the population, and a class that is absent from both
    scores 1.

    Args:
        pred (array or sequence of arrays): cases, each of shape (*S).
        target (array or sequence of arrays): same shapes.
        num_classes (int): number of classes, the background 0 among them.

    Returns:
        dict: ``dice``, ``dice_std`` and ``dice_per_case``.
    """
    pairs = label_pairs(pred, target, num_classes)
    labels = range(1, num_classes)
    cases = [mean([_ratios(*count(p == label, t == label))['dice'] for label in labels]) for p, t in pairs]
    average, deviation = mean_and_deviation(cases)
    return {'dice': average, 'dice_std': deviation, 'dice_per_case': cases}


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and population standard deviation: over cases, and in the last column of the tables over scales."""
    return statistics.fmean(values), statistics.pstdev(values)


def _ratios(both: int, of_pred: int, of_target: int) -> dict[str, float]:
    precision, recall = _ratio(both, of_pred), _ratio(both, of_target)
    return {
        'dice': _ratio(2 * both, of_pred + of_target),
        'iou': _ratio(both, of_pred + of_target - both),
        'precision': precision,
        'recall': recall,
        'f1': _ratio(2 * precision * recall, precision + recall),
    }


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else 1.0


def _average(values: Sequence[float | list[float]]) -> float | list[float]:
    """Mean of numbers, or of lists element by element."""
    lists = [value for value in values if isinstance(value, list)]
    if lists:
        return [statistics.fmean(column) for column in zip(*lists, strict=True)]
    return statistics.fmean(value for value in values if not isinstance(value, list))
