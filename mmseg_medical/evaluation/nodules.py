"""All numbers of one chest scan: the scan as a whole, each nodule in a box of its own, detection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mmseg_medical.evaluation.cases import CaseScores, evaluate_case
from mmseg_medical.evaluation.functional.components import box_of_all, connected_components
from mmseg_medical.evaluation.functional.froc import ScanCandidates, candidates_from_map
from mmseg_medical.evaluation.functional.lesions import LesionCounts, match_lesions
from mmseg_medical.evaluation.options import EvaluationOptions
from mmseg_medical.geometry import Grid
from mmseg_medical.geometry.points import world_to_voxel

#: volume predicted in a scan without nodules; undefined in others, so that its mean is that over healthy scans
FALSE_POSITIVE = 'false_positive_volume_ml'


@dataclass(frozen=True)
class NoduleRules:
    """Conventions of the evaluation of nodules.

    Attributes:
        box_factor (float): Side of the box of a nodule, in diameters.
        min_diameter_mm (float): Predicted components smaller than the ball of this diameter are removed first.
        hit_threshold (float): Share of a nodule's voxels that must be predicted for it to count as detected; 0: one
            voxel.
        froc_threshold (float | None): Probability from which on voxels make candidates of the FROC; None makes none.

    Raises:
        ValueError: A number is out of its range.
    """

    box_factor: float = 2.0
    min_diameter_mm: float = 0.0
    hit_threshold: float = 0.0
    froc_threshold: float | None = None

    def __post_init__(self) -> None:
        if not (self.box_factor > 0 and self.min_diameter_mm >= 0 and 0 <= self.hit_threshold <= 1):
            raise ValueError(
                'box_factor must be positive, min_diameter_mm 0 or more and hit_threshold in 0..1, got '
                f'{self.box_factor}, {self.min_diameter_mm} and {self.hit_threshold}'
            )
        if self.froc_threshold is not None and not 0 < self.froc_threshold <= 1:
            raise ValueError(f'froc_threshold must lie above 0 and be at most 1, got {self.froc_threshold}')

    @property
    def min_volume_mm3(self) -> float:
        """Volume of the ball of ``min_diameter_mm``."""
        return math.pi / 6 * self.min_diameter_mm**3

    def conventions(self) -> dict[str, str]:
        """What the numbers mean, in words, for files."""
        lines = {
            'per_nodule': f'voxels inside a box of {self.box_factor:g} diameters around the annotated centre; a '
            'prediction elsewhere does not count',
            'per_scan': 'all voxels of a scan; one without nodules and prediction is left out of the means and counted '
            f'as n_empty; one with a prediction is worth 0, and {FALSE_POSITIVE} is its volume',
            'detection': 'connected components of the target (26 neighbours) of which '
            + (f'{self.hit_threshold:g} of the voxels' if self.hit_threshold else 'one voxel')
            + ' is predicted; false: predicted components that touch none; counts summed over the scans',
        }
        if self.min_diameter_mm:
            lines['removed'] = f'predicted components smaller than a ball of {self.min_diameter_mm:g} mm'
        if self.froc_threshold is not None:
            lines['froc'] = (
                f'candidates are components of probabilities of {self.froc_threshold:g} and more, scored by the '
                'largest; LUNA16 decides by the distance of points instead'
            )
        return lines


@dataclass(frozen=True)
class NoduleScan:
    """Scores of one scan.

    Attributes:
        scan (CaseScores): Of all voxels, with :data:`FALSE_POSITIVE`.
        nodules (list[CaseScores]): Of each annotated nodule, in its box, named ``<case_id>/<number from 1>``.
        annotations (np.ndarray): shape (N, 4), centre (RAS) and diameter in mm.
        counts (LesionCounts): Detected, false and missed components.
        candidates (ScanCandidates | None): For the FROC.
        mask_source (str): What the target was made of.
    """

    scan: CaseScores
    nodules: list[CaseScores]
    annotations: np.ndarray
    counts: LesionCounts
    candidates: ScanCandidates | None = field(repr=False)
    mask_source: str


def score_scan(
    case_id: str,
    pred: np.ndarray,
    target: np.ndarray,
    nodules: np.ndarray,
    grid: Grid,
    options: EvaluationOptions,
    rules: NoduleRules,
    *,
    mask_source: str,
    probabilities: np.ndarray | None = None,
) -> NoduleScan:
    """Measure one scan.

    Args:
        case_id (str): Its name.
        pred (np.ndarray): shape (I, J, K), 1 in nodules.
        target (np.ndarray): Same shape, likewise, or ``options.ignore_index``.
        nodules (np.ndarray): shape (N, 4), centre (RAS) and diameter in mm.
        grid (Grid): Of the scan, with an affine.
        options (EvaluationOptions): Two classes.
        rules (NoduleRules): Conventions.
        mask_source (str): What the target was made of.
        probabilities (np.ndarray | None): shape (I, J, K), of nodules, for the FROC.

    Returns:
        NoduleScan: All its numbers.

    Raises:
        ValueError: Arrays do not lie on the grid or hold other values, or probabilities are missing.
    """
    spacing = grid.spacing_mm
    if spacing is None or target.shape != grid.size:
        raise ValueError(f'gt_sem_seg must lie on the grid of the scan, {grid.size} with a spacing, got {target.shape}')
    valid = target != options.ignore_index
    pred = remove_small_parts((np.asarray(pred) == 1) & valid, rules.min_volume_mm3, spacing)
    scan = evaluate_case(case_id, pred, target, options, spacing)
    healthy = not (target == 1).any()
    volume = scan.values['volume_mm3'] / 1000 if healthy else np.full(1, math.nan)
    scan = replace(scan, values={**scan.values, FALSE_POSITIVE: volume})
    boxes = nodule_boxes(nodules, grid, rules.box_factor)
    truth = target == 1
    match = match_lesions(pred, truth, 'overlap', rules.hit_threshold, spacing_mm=spacing)
    candidates = None
    if rules.froc_threshold is not None:
        if probabilities is None:
            raise ValueError('the FROC needs probabilities')
        candidates = candidates_from_map(
            np.where(valid, probabilities, 0).astype(np.float32),
            truth,
            rules.froc_threshold,
            spacing_mm=spacing,
            min_volume_mm3=0.0,
        )
    return NoduleScan(
        scan,
        [
            evaluate_case(f'{case_id}/{number}', pred[box], target[box], options, spacing)
            for number, box in enumerate(boxes, start=1)
        ],
        np.asarray(nodules),
        match.counts,
        candidates,
        mask_source,
    )


def nodule_boxes(nodules: np.ndarray, grid: Grid, factor: float = 2.0) -> list[tuple[slice, ...]]:
    """Boxes around nodules, along the axes of the grid and cut to it.

    Args:
        nodules (np.ndarray): shape (N, 4), centre (RAS) and diameter in mm.
        grid (Grid): Three axes, with an affine.
        factor (float): Side of a box, in diameters.

    Returns:
        list[tuple[slice, ...]]: voxels whose centre lies in the box, at least the one nearest to that of the nodule.
    """
    boxes = []
    size = np.asarray(grid.size)
    places = world_to_voxel(nodules[:, :3], np.asarray(grid.affine))
    for place, diameter in zip(places, nodules[:, 3], strict=True):
        reach = factor / 2 * diameter / np.asarray(grid.spacing_mm)
        nearest = np.clip(np.rint(place).astype(int), 0, size - 1)
        low = np.minimum(np.maximum(np.ceil(place - reach).astype(int), 0), nearest)
        stop = np.maximum(np.minimum(np.floor(place + reach).astype(int) + 1, size), nearest + 1)
        boxes.append(tuple(slice(a, b) for a, b in zip(low.tolist(), stop.tolist(), strict=True)))
    return boxes


def remove_small_parts(mask: np.ndarray, min_volume_mm3: float, spacing_mm: Sequence[float]) -> np.ndarray:
    """Return a mask (*S), bool, without its connected components below a volume; uint8."""
    if not min_volume_mm3:
        return mask.astype(np.uint8)
    components = connected_components(mask)
    stay = np.concatenate(([False], components.reach(min_volume_mm3, spacing_mm)))
    left = np.zeros(mask.shape, np.uint8)
    box = box_of_all(components)
    left[box] = stay[components.labels[box]]
    return left


def describe_nodules(scans: Sequence[NoduleScan]) -> dict[str, dict[str, Any]]:
    """Centre (RAS) and diameter in mm of every nodule by its name, for files."""
    return {
        scores.case_id: {'center_ras_mm': row[:3].tolist(), 'diameter_mm': float(row[3])}
        for scan in scans
        for scores, row in zip(scan.nodules, scan.annotations, strict=True)
    }
