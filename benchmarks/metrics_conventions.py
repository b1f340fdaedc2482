"""How far the conventions of surface metrics lie apart on the same maps."""

from __future__ import annotations

import warnings

import metrics_phantoms as phantoms
import numpy as np

from mmseg_medical.evaluation.functional import assd, hausdorff, masd, nsd, surface_distances


def stray_island() -> phantoms.Pair:
    """A ball, and a prediction of it with a far island of about 8 % of its surface: 200 x 200 x 200, 1 mm."""
    target = phantoms.sphere(80)[1]
    target = np.pad(target, [(0, 120)] * 3)
    pred = target.copy()
    pred[180:192, 180:192, 180:192] = 1
    return pred, target


def missed_structure() -> phantoms.Pair:
    """One of two structures is not predicted."""
    pred, target = phantoms.hippocampus()
    return np.where(pred == 2, 0, pred), target


CASES = {
    'hippocampus phantom, class 1': (phantoms.hippocampus, 1, (1, 1, 1)),
    'thick slices, tumour phantom, class 4': (phantoms.tumour, 4, (1, 1, 5)),
    'stray island': (stray_island, 1, (1, 1, 1)),
    'missed structure': (missed_structure, 2, (1, 1, 1)),
}


def run(_: int) -> dict:
    """The metrics of each case under each convention, in mm."""
    warnings.simplefilter('ignore')  # MONAI's deprecations and empty masks
    return {name: _compare(*make(), label, spacing) for name, (make, label, spacing) in CASES.items()}


def _compare(pred: np.ndarray, target: np.ndarray, label: int, spacing: tuple[float, ...]) -> dict:
    maps = [(m == label).astype(np.uint8) for m in (pred, target)]
    voxel, surfel = (surface_distances(*maps, 2, spacing_mm=spacing, surface=s)[1] for s in ('voxel', 'surfel'))
    pixels = surface_distances(*maps, 2)[1]
    rows: dict[str, float | str] = {
        'HD95, voxels, larger of both directions (MONAI)': hausdorff(voxel, 95),
        'HD95, voxels, directions pooled (medpy)': hausdorff(voxel, 95, 'pooled'),
        'HD95, surfels, larger of both directions (surface-distance)': hausdorff(surfel, 95),
        'HD95, voxels, spacing ignored': hausdorff(pixels, 95),
        'ASSD, voxels': assd(voxel),
        'ASSD, surfels': assd(surfel),
        'MASD, voxels': masd(voxel),
        'NSD at 1 mm, voxels': nsd(voxel, 1),
        'NSD at 1 mm, surfels': nsd(surfel, 1),
    }
    rows.update(_of_others(*maps, spacing))
    return rows


def _of_others(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> dict:
    import surface_distance
    import torch
    from monai.metrics import compute_hausdorff_distance

    a, b = (torch.from_numpy(m)[None, None] for m in (pred, target))
    of_monai = float(compute_hausdorff_distance(a, b, include_background=True, percentile=95, spacing=spacing))
    try:
        distances = surface_distance.compute_surface_distances(target.astype(bool), pred.astype(bool), spacing)
        of_deepmind: float | str = float(surface_distance.compute_robust_hausdorff(distances, 95))
    except AttributeError as error:  # np.Inf of NumPy 1, where a mask is empty
        of_deepmind = f'raises: {error}'.partition(' Use')[0]
    return {
        'HD95 that MONAI returns': of_monai if np.isfinite(of_monai) else str(of_monai),
        'HD95 that surface-distance returns': of_deepmind,
    }
