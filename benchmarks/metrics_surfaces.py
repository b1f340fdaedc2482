"""Time of all surface metrics of all classes, beside MONAI and DeepMind's surface-distance on the same maps."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import metrics_phantoms as phantoms
import numpy as np
import torch

from mmseg_medical.evaluation.cases import evaluate_case
from mmseg_medical.evaluation.functional import assd, hausdorff, nsd, surface_distances
from mmseg_medical.evaluation.options import EvaluationOptions, classes_and_regions

TOLERANCE_MM = 1.0


def ours(pred: np.ndarray, target: np.ndarray, classes: int, spacing: tuple[float, ...], surface: str) -> np.ndarray:
    """HD, HD95, ASSD and NSD of each class: shape (K, 4)."""
    found = surface_distances(pred, target, classes + 1, spacing_mm=spacing, surface=surface)
    return np.array([[hausdorff(d), hausdorff(d, 95), assd(d), nsd(d, TOLERANCE_MM)] for d in found.values()])


def monai(pred: np.ndarray, target: np.ndarray, classes: int, spacing: tuple[float, ...]) -> np.ndarray:
    """The same of MONAI, class by class."""
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

    rows = []
    for k in range(1, classes + 1):
        a, b = (torch.from_numpy(m == k)[None, None] for m in (pred, target))
        common = {'include_background': True, 'spacing': spacing}
        rows.append(
            [
                float(compute_hausdorff_distance(a, b, **common)),
                float(compute_hausdorff_distance(a, b, percentile=95, **common)),
                float(compute_average_surface_distance(a, b, symmetric=True, **common)),
                float(compute_surface_dice(a, b, [TOLERANCE_MM], **common)),
            ]
        )
    return np.array(rows)


def deepmind(pred: np.ndarray, target: np.ndarray, classes: int, spacing: tuple[float, ...]) -> np.ndarray:
    """The same of surface-distance (area-weighted), class by class; its two directed averages are pooled by area."""
    import surface_distance as sd

    rows = []
    for k in range(1, classes + 1):
        d = sd.compute_surface_distances(target == k, pred == k, spacing)
        areas = d['surfel_areas_gt'].sum(), d['surfel_areas_pred'].sum()
        rows.append(
            [
                sd.compute_robust_hausdorff(d, 100),
                sd.compute_robust_hausdorff(d, 95),
                np.average(sd.compute_average_surface_distance(d), weights=areas),
                sd.compute_surface_dice_at_tolerance(d, TOLERANCE_MM),
            ]
        )
    return np.array(rows)


def alternating(functions: dict[str, Callable[[], object]], repeats: dict[str, int]) -> dict[str, float]:
    """Median wall seconds of each, called in turn so that all meet the same moods of the machine."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(max(repeats.values())):
        for name, function in functions.items():
            if turn < repeats[name]:
                start = time.perf_counter()
                function()
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def side_by_side(pair: phantoms.Pair, classes: int, spacing: tuple[float, ...], slow_repeats: int) -> dict:
    """Times and the largest differences of the results."""
    arguments = (*pair, classes, spacing)
    functions = {
        'ours, voxel': lambda: ours(*arguments, 'voxel'),
        'MONAI': lambda: monai(*arguments),
        # after MONAI, whose idle torch threads keep a core for a while, comes what uses one core only
        'surface-distance': lambda: deepmind(*arguments),
        'ours, surfel': lambda: ours(*arguments, 'surfel'),
    }
    results = {name: function() for name, function in functions.items()}  # and compiles what has to be compiled
    slow = {'MONAI': slow_repeats, 'surface-distance': slow_repeats}
    seconds = alternating(functions, {name: slow.get(name, 4 * slow_repeats + 3) for name in functions})
    return {
        'grid': list(pair[0].shape),
        'classes': classes,
        'seconds': seconds,
        'times faster than MONAI': seconds['MONAI'] / seconds['ours, voxel'],
        'times faster than surface-distance': seconds['surface-distance'] / seconds['ours, surfel'],
        'largest difference to MONAI': float(np.abs(results['ours, voxel'] - results['MONAI']).max()),
        'largest difference to surface-distance': float(
            np.abs(results['ours, surfel'] - results['surface-distance']).max()
        ),
    }


def everything_of_a_small_case(repeats: int) -> dict:
    """All metrics of a case as the evaluation makes them, beside MONAI's four surface metrics."""
    pred, target = phantoms.hippocampus()
    options = EvaluationOptions(3, classes_and_regions(3))
    functions = {
        'ours, all metrics of a case': lambda: evaluate_case('', pred, target, options, (1, 1, 1)),
        'MONAI, four metrics': lambda: monai(pred, target, 2, (1, 1, 1)),
    }
    for function in functions.values():
        function()
    seconds = alternating(functions, dict.fromkeys(functions, 20 * repeats))
    first, second = seconds.values()
    return {'grid': list(pred.shape), 'classes': 2, 'seconds': seconds, 'times faster than MONAI': second / first}


def many_classes(repeats: int) -> dict:
    """Fourteen organs beside the largest of them alone."""
    whole = phantoms.abdomen()
    label = list(phantoms.ORGANS).index('liver') + 1
    spacing = phantoms.CT_SPACING_MM
    alone = [(m == label).astype(np.uint8) for m in whole]
    functions = {
        '14 classes': lambda: ours(*whole, 14, spacing, 'voxel'),
        'liver alone': lambda: ours(*alone, 1, spacing, 'voxel'),
    }
    for function in functions.values():
        function()
    seconds = alternating(functions, dict.fromkeys(functions, 3 * repeats))
    return {
        'grid': list(whole[0].shape),
        'seconds': seconds,
        'ratio': seconds['14 classes'] / seconds['liver alone'],
    }


def empty_margins(repeats: int) -> dict:
    """One tumour in grids of growing size."""
    result = {}
    for margin in (0, 60, 120):
        pair = phantoms.tumour(margin)

        def call(pair: phantoms.Pair = pair) -> object:
            return ours(*pair, 4, (1, 1, 1), 'voxel')

        call()
        seconds = alternating({'ours': call}, {'ours': 4 * repeats})['ours']
        result[f'margin {margin}'] = {'voxels': int(pair[0].size), 'seconds': seconds}
    return result


def one_sphere(repeats: int) -> dict:
    """HD, HD95, ASSD and NSD of a ball in 250^3, one thread."""
    pair, threads = phantoms.sphere(), torch.get_num_threads()
    torch.set_num_threads(1)

    def call() -> object:
        return ours(*pair, 1, (1, 1, 1), 'voxel')

    call()
    seconds = alternating({'ours': call}, {'ours': 4 * repeats})['ours']
    torch.set_num_threads(threads)
    return {'grid': list(pair[0].shape), 'threads': 1, 'seconds': seconds}


def run(repeats: int) -> dict:
    """All measurements."""
    warnings.simplefilter('ignore')  # MONAI's deprecations
    return {
        'tumour': side_by_side(phantoms.tumour(), 4, (1, 1, 1), repeats),
        'hippocampus': side_by_side(phantoms.hippocampus(), 2, (1, 1, 1), 3 * repeats),
        'hippocampus, everything': everything_of_a_small_case(repeats),
        'abdomen': many_classes(repeats),
        'empty margins': empty_margins(repeats),
        'sphere': one_sphere(repeats),
    }
