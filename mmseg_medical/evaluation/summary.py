"""From per-image counts and curves to every number of a segmentation report, each under a name that says what it is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmseg_medical.evaluation.functional.confusion import ConfusionCounts
from mmseg_medical.evaluation.functional.empty import EmptyPolicy, states_of
from mmseg_medical.evaluation.functional.overlap import SCORES, Policy, mean_over_cases
from mmseg_medical.evaluation.functional.precision_recall import PrecisionRecall
from mmseg_medical.evaluation.json_files import json_ready
from mmseg_medical.evaluation.natural_order import natural_key

#: score -> name in logs, tables and files
HEADINGS = {'iou': 'IoU', 'dice': 'Dice', 'precision': 'Precision', 'recall': 'Recall'}
#: class names that mean "none of the others", in lower case
BACKGROUND_NAMES = ('background', 'bg')


@dataclass(frozen=True)
class ImageCounts:
    """Counts of one image.

    Attributes:
        case_id (str): name of the image, unique in the set.
        img_path (str): file of the image, may be empty.
        counts (ConfusionCounts): of each class.
        matrix (np.ndarray | None): shape (K, K), int64, target by prediction; None for multi-label masks.
    """

    case_id: str
    img_path: str
    counts: ConfusionCounts
    matrix: np.ndarray | None = None


@dataclass(frozen=True)
class SegSummary:
    """All results of one evaluation; scores are in percent, NaN where undefined.

    Attributes:
        classes (tuple[str, ...]): names of the K classes.
        foreground (tuple[int, ...]): indices without the background.
        cases (list[ImageCounts]): images in natural order of their names.
        case_scores (dict): score name -> shape (N, K), per image.
        pooled_counts (ConfusionCounts): summed over the images.
        pooled (dict): score name -> shape (K,), from the pooled counts.
        matrix (np.ndarray | None): shape (K, K), pooled.
        curves (dict): class name -> curve over all pixels of the set.
        conventions (dict): what each group of numbers means.
    """

    classes: tuple[str, ...]
    foreground: tuple[int, ...]
    cases: list[ImageCounts]
    case_scores: dict[str, np.ndarray]
    pooled_counts: ConfusionCounts
    pooled: dict[str, np.ndarray]
    matrix: np.ndarray | None
    curves: dict[str, PrecisionRecall]
    conventions: dict[str, str] = field(repr=False)

    def image_mean(self, score: str, index: int) -> dict[str, float | int]:
        """Mean of one class over the images, with the counts of what stands behind it."""
        counts = [case.counts for case in self.cases]
        tp, fp, fn = (np.array([getattr(c, name)[index] for c in counts]) for name in ('tp', 'fp', 'fn'))
        return mean_over_cases(self.case_scores[score][:, index], states_of(tp + fp, tp + fn)).to_dict()

    def image_score(self, score: str = 'dice') -> np.ndarray:
        """Mean over the foreground classes defined in each image: shape (N,), NaN where none is."""
        values = self.case_scores[score][:, list(self.foreground)]
        defined = ~np.isnan(values)
        number = defined.sum(axis=1)
        return np.where(number > 0, np.where(defined, values, 0).sum(axis=1) / np.maximum(number, 1), math.nan)

    def scalars(self) -> dict[str, float]:
        """Flat numbers in percent for a logger; names as in the documentation of the metric."""
        every, foreground = range(len(self.classes)), self.foreground
        flat: dict[str, float] = {}
        for score, name in HEADINGS.items():
            flat[f'm{name}'] = _mean(self.pooled[score])
            flat[f'm{name}_fg'] = _mean(self.pooled[score][list(foreground)])
            over_images = np.array([self.image_mean(score, k)['mean'] for k in every])
            flat[f'm{name}_per_image'] = _mean(over_images)
            flat[f'm{name}_fg_per_image'] = _mean(over_images[list(foreground)])
            for k in every:
                flat[f'{name}.{self.classes[k]}'] = float(self.pooled[score][k])
        if self.matrix is not None:
            flat['aAcc'] = 100.0 * float(np.trace(self.matrix)) / max(int(self.matrix.sum()), 1)
        if self.curves:
            areas = {name: 100 * curve.average_precision for name, curve in self.curves.items()}
            flat.update({f'AUPR.{name}': area for name, area in areas.items()})
            flat['mAUPR'] = _mean(np.array(list(areas.values())))
        return flat

    def to_dict(self) -> dict[str, Any]:
        """Everything but the curves' points, ready for JSON: undefined numbers are None."""
        names = self.classes
        result: dict[str, Any] = {
            'unit': 'percent',
            'conventions': self.conventions,
            'classes': list(names),
            'foreground': [names[k] for k in self.foreground],
            'num_images': len(self.cases),
            'metrics': self.scalars(),
            'pooled': {
                'classes': {
                    name: {
                        **{score: float(values[k]) for score, values in self.pooled.items()},
                        **{key: int(getattr(self.pooled_counts, key)[k]) for key in ('tp', 'fp', 'fn', 'tn')},
                    }
                    for k, name in enumerate(names)
                },
                'num_defined_classes': {score: int((~np.isnan(values)).sum()) for score, values in self.pooled.items()},
            },
            'per_image': {
                'classes': {
                    name: {score: self.image_mean(score, k) for score in SCORES} for k, name in enumerate(names)
                }
            },
            'cases': {
                case.case_id: {
                    name: {score: float(self.case_scores[score][i, k]) for score in SCORES}
                    for k, name in enumerate(names)
                }
                for i, case in enumerate(self.cases)
            },
        }
        if self.matrix is not None:
            result['pooled']['confusion_matrix'] = self.matrix.tolist()
        if self.curves:
            result['aupr'] = {
                'classes': {name: _area(curve) for name, curve in self.curves.items()},
                'num_defined_classes': sum(curve.num_positives > 0 for curve in self.curves.values()),
            }
        return json_ready(result)


def summarize(
    cases: Sequence[ImageCounts],
    classes: Sequence[str],
    background: int | None,
    curves: dict[str, PrecisionRecall] | None = None,
    empty: Policy = 'strict',
    conventions: dict[str, str] | None = None,
) -> SegSummary:
    """Score the images one by one and pooled.

    Args:
        cases (Sequence[ImageCounts]): one entry an image, any order.
        classes (Sequence[str]): names of the K classes.
        background (int | None): class that the foreground means leave out.
        curves (dict | None): class name -> precision-recall curve.
        empty (str | EmptyPolicy | dict): what empty masks are worth, see
            :mod:`~mmseg_medical.evaluation.functional.empty`.
        conventions (dict | None): further lines for the explanation that goes with the numbers.

    Raises:
        ValueError: there is no image, or two have one name.
    """
    if not cases:
        raise ValueError('there are no images to summarise')
    cases = sorted(cases, key=lambda case: natural_key(case.case_id))
    for first, second in itertools.pairwise(cases):
        if first.case_id == second.case_id:
            raise ValueError(f'two images have the case id {first.case_id!r}: {first.img_path!r}, {second.img_path!r}')
    counts = [case.counts for case in cases]
    pooled_counts = sum(counts[1:], start=counts[0])
    tp, fp, fn = (np.stack([getattr(c, name) for c in counts]) for name in ('tp', 'fp', 'fn'))

    policy = EmptyPolicy.of(empty)

    def scores(*of: np.ndarray) -> dict[str, np.ndarray]:
        return {name: 100 * function(*of, empty=policy) for name, function in SCORES.items()}

    matrices = [case.matrix for case in cases if case.matrix is not None]
    return SegSummary(
        classes=tuple(classes),
        foreground=tuple(k for k in range(len(classes)) if k != background),
        cases=cases,
        case_scores=scores(tp, fp, fn),
        pooled_counts=pooled_counts,
        pooled=scores(pooled_counts.tp, pooled_counts.fp, pooled_counts.fn),
        matrix=np.stack(matrices).sum(axis=0) if matrices else None,
        curves=dict(curves or {}),
        conventions={**explain(classes, background, policy), **(conventions or {})},
    )


def explain(classes: Sequence[str], background: int | None, empty: EmptyPolicy) -> dict[str, str]:
    """Spell out what each group of numbers means, for files and reports."""
    left_out = (
        'no class is background' if background is None else f'without the background class {classes[background]!r}'
    )
    return {
        'mX': 'X from pixel counts summed over all images, then divided once; mean over all classes',
        'mX_fg': f'as mX, mean over the foreground classes ({left_out})',
        'X.CLASS': 'X of one class from pixel counts summed over all images',
        'mX_per_image': 'X of each class in each image; mean over images, then over classes (_fg: foreground classes)',
        'aAcc': 'pixels labelled rightly, of all pixels that are not ignored (label maps only)',
        'empty': f'value of a class where a mask is empty: {empty.describe()}',
        'counts': 'n_valid: prediction and target present; n_missed: only target; n_false_alarm: only prediction; '
        'n_empty: neither; n_defined: cases in the mean',
        'AUPR': 'average precision (step-wise, as scikit-learn average_precision_score) of the class probability over '
        'all pixels of all images that are not ignored; lower and upper bound what binning the scores can change',
    }


def _mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else math.nan


def _area(curve: PrecisionRecall) -> dict[str, float | int]:
    return {
        'average_precision': 100 * curve.average_precision,
        'lower': 100 * curve.lower,
        'upper': 100 * curve.upper,
        'area_trapezoid': 100 * curve.area_trapezoid,
        'num_positives': curve.num_positives,
        'num_pixels': curve.num_pixels,
    }
