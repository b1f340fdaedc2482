"""All metrics of one case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmseg_medical.evaluation.functional import overlap
from mmseg_medical.evaluation.functional.arrays import ArrayLike, as_labels, check_same_shape, checked_spacing
from mmseg_medical.evaluation.functional.confusion import ConfusionCounts, confusion_counts, confusion_matrix
from mmseg_medical.evaluation.functional.empty import states_of
from mmseg_medical.evaluation.functional.surface import (
    SurfaceDistances,
    assd,
    hausdorff,
    masd,
    nsd,
    surface_distances,
)
from mmseg_medical.evaluation.options import EvaluationOptions


@dataclass(frozen=True)
class CaseScores:
    """Metrics of one case.

    Attributes:
        case_id (str): its name.
        values (dict[str, np.ndarray]): metric -> shape (K,), float64, NaN where undefined, K classes and regions.
        states (np.ndarray): shape (K,), int8, indices into :data:`~mmseg_medical.evaluation.functional.empty.STATES`.
        counts (ConfusionCounts): of the K classes and regions.
        unit (str): ``'mm'`` or ``'px'``.
    """

    case_id: str
    values: dict[str, np.ndarray]
    states: np.ndarray
    counts: ConfusionCounts
    unit: str


def evaluate_case(
    case_id: str,
    pred: ArrayLike,
    target: ArrayLike,
    options: EvaluationOptions,
    spacing_mm: Sequence[float] | None = None,
    multilabel: bool = False,
) -> CaseScores:
    """Measure one image or volume.

    Args:
        case_id (str): its name.
        pred (np.ndarray | Tensor): label map, shape (H, W) or (D, H, W) in any order of axes; with ``multilabel``
            masks, one for each label but the background, shape (K - 1, *S).
        target (np.ndarray | Tensor): same shape.
        options (EvaluationOptions): what to measure.
        spacing_mm (Sequence[float] | None): of the axes of the image; None measures in pixels.
        multilabel (bool): masks that may overlap.

    Returns:
        CaseScores: keys of its values, with the spacing known: ``dice iou precision recall specificity hd hd95 assd
        masd nsd@1mm ... volume_mm3 target_volume_mm3 relative_volume_error``; ``px`` in place of ``mm`` and ``mm3``
        without.

    Raises:
        TypeError, ValueError: see :func:`~mmseg_medical.evaluation.functional.confusion_counts` and
            :func:`~mmseg_medical.evaluation.functional.surface.surface_distances`.
    """
    spacing = checked_spacing(spacing_mm, len(pred.shape) - multilabel)
    if multilabel:
        pred, target = _regions_of_masks(pred, target, options)
    counts = _counts(pred, target, options, multilabel)
    tp, fp, fn, tn = counts.tp, counts.fp, counts.fn, counts.tn
    values = {name: score(tp, fp, fn, empty=options.empty) for name, score in overlap.SCORES.items()}
    values['specificity'] = overlap.specificity(fp, tn)
    unit = 'px' if spacing_mm is None else 'mm'
    if options.surface is not None:
        values |= _surface_values(_distances(pred, target, options, spacing, multilabel), options, unit)
    volume = 'volume_px' if spacing_mm is None else 'volume_mm3'
    values[volume] = overlap.volume_mm3(tp + fp, spacing)
    values[f'target_{volume}'] = overlap.volume_mm3(tp + fn, spacing)
    values['relative_volume_error'] = overlap.relative_volume_error(tp, fp, fn)
    return CaseScores(case_id, values, states_of(tp + fp, tp + fn), counts, unit)


def _counts(pred: ArrayLike, target: ArrayLike, options: EvaluationOptions, multilabel: bool) -> ConfusionCounts:
    if multilabel:
        return confusion_counts(pred, target, multilabel=True, ignore_index=options.ignore_index)
    matrix = confusion_matrix(pred, target, options.num_classes, options.ignore_index)
    members = np.zeros((len(options.classes), options.num_classes), np.int64)
    for row, labels in zip(members, options.classes.values(), strict=True):
        row[list(labels)] = 1
    tp = np.einsum('ck,kl,cl->c', members, matrix, members)
    fp = np.einsum('ck,kl,cl->c', 1 - members, matrix, members)
    fn = np.einsum('ck,kl,cl->c', members, matrix, 1 - members)
    return ConfusionCounts(tp, fp, fn, matrix.sum() - tp - fp - fn)


def _distances(
    pred: ArrayLike, target: ArrayLike, options: EvaluationOptions, spacing: Sequence[float], multilabel: bool
) -> list[SurfaceDistances]:
    arguments: dict[str, Any] = {
        'spacing_mm': spacing,
        'surface': options.surface,
        'ignore_index': options.ignore_index,
        'num_threads': options.num_threads,
    }
    if multilabel:
        return list(surface_distances(pred, target, multilabel=True, **arguments).values())
    # Classes of one label are measured together; a region needs a mask of its own.
    alone = {labels[0] for labels in options.classes.values() if len(labels) == 1} - {0}
    found = surface_distances(pred, target, options.num_classes, **arguments) if alone else {}
    return [
        found[labels[0]]
        if len(labels) == 1 and labels[0] in alone
        else surface_distances(*_region_of_maps(pred, target, labels, options.ignore_index), 2, **arguments)[1]
        for labels in options.classes.values()
    ]


def _region_of_maps(
    pred: ArrayLike, target: ArrayLike, labels: Sequence[int], ignore_index: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the pixels that have one of the labels and are not ignored."""
    maps = [as_labels(m, name).cpu().numpy() for m, name in ((pred, 'pred'), (target, 'target'))]
    inside = [np.isin(m, labels) for m in maps]
    if ignore_index is not None:
        for mask in inside:
            mask &= maps[1] != ignore_index
    return inside[0], inside[1]


def _regions_of_masks(pred: ArrayLike, target: ArrayLike, options: EvaluationOptions) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the classes and regions, shape (C, *S), from those of the labels; ignored pixels stay ignored."""
    check_same_shape(pred, target)
    if pred.shape[0] != options.num_classes - 1:
        raise ValueError(
            f'there are {pred.shape[0]} masks, but {options.num_classes - 1} labels without the background '
            f'(num_classes={options.num_classes})'
        )
    joined = []
    for masks, name in ((pred, 'pred'), (target, 'target')):
        array = as_labels(masks, name).cpu().numpy()
        # a region is ignored where any of its masks is: 255, the largest value, wins
        joined.append(np.stack([array[[k - 1 for k in ks]].max(axis=0) for ks in options.classes.values()]))
    return joined[0], joined[1]


def _surface_values(
    distances: Sequence[SurfaceDistances], options: EvaluationOptions, unit: str
) -> dict[str, np.ndarray]:
    def each(metric: Callable[..., float], *arguments: Any) -> np.ndarray:
        return np.array([metric(d, *arguments, empty=options.empty) for d in distances])

    values = {
        'hd': each(hausdorff),
        'hd95': each(hausdorff, 95.0, options.pooling),
        'assd': each(assd),
        'masd': each(masd),
    }
    return values | {f'nsd@{tolerance:g}{unit}': each(nsd, tolerance) for tolerance in options.tolerances}
