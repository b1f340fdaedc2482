"""A folder of predictions with maps of their uncertainty against a folder of labels: is what is uncertain wrong?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_medical.evaluation.folders import CasePair, Failure, evaluate_folder, load_pair, pair_files
from mmseg_medical.evaluation.functional.overlap import dice
from mmseg_medical.evaluation.functional.risk_coverage import RiskCoverage, risk_coverage
from mmseg_medical.evaluation.json_files import file_head, json_ready
from mmseg_medical.geometry import SUFFIXES, grid_difference, read_labels, read_volume

#: folder of the maps, in that of the predictions
FOLDER = 'uncertainty'


@dataclass(frozen=True, eq=False)
class CaseRisk:
    """What one case says.

    Attributes:
        case_id (str): Its name.
        dice (float): Mean over the structures that are in prediction or labels; NaN if there are none.
        uncertainty (float): Mean of the map over what was predicted to be foreground; of the whole where nothing was.
        voxels (RiskCoverage): Risk is the rate of wrong voxels.
    """

    case_id: str
    dice: float
    uncertainty: float
    voxels: RiskCoverage


def folder_risks(
    pred_dir: str | Path, target_dir: str | Path, name: str = 'entropy', jobs: int = 1, progress: bool = True
) -> tuple[list[CaseRisk], list[Failure]]:
    """Compare all cases of two folders.

    Args:
        pred_dir (str | Path): Labels ``<case>.nii.gz`` and maps ``uncertainty/<case>_<name>.nii.gz``, as
            ``tools/predict.py --uncertainty`` writes them.
        target_dir (str | Path): The true labels.
        name (str): Which map.
        jobs (int): Processes.
        progress (bool): Show a bar.

    Returns:
        tuple: Cases, and those that failed.

    Raises:
        ValueError: The folders have not the same cases.
    """
    pairs = pair_files(pred_dir, target_dir)
    return evaluate_folder(pairs, partial(case_risk, name=name), jobs, progress)


def case_risk(pair: CasePair, name: str) -> CaseRisk:
    """Compare one case; see :func:`folder_risks`.

    Raises:
        OSError: A file cannot be read.
        ValueError: There is no such map, a file is damaged, or grids differ.
    """
    loaded = load_pair(pair)
    path = _map_file(pair, name)
    volume = read_volume(path)
    difference = grid_difference(volume, read_labels(pair.pred))
    if difference is not None:
        raise ValueError(f'{path} and the prediction lie on different grids: {difference}')
    wrong, foreground = loaded.pred != loaded.target, loaded.pred > 0
    inside = foreground if foreground.any() else np.ones_like(foreground)
    return CaseRisk(
        pair.case_id,
        _mean_dice(loaded.pred, loaded.target),
        float(volume.array[inside].mean(dtype=np.float64)),
        risk_coverage(volume.array, wrong),
    )


def case_curve(cases: Sequence[CaseRisk]) -> RiskCoverage | None:
    """Curve of cases instead of voxels: risk is 1 - Dice; None if no case has one."""
    defined = [case for case in cases if np.isfinite(case.dice)]
    if not defined:
        return None
    return risk_coverage(np.array([c.uncertainty for c in defined]), np.array([1 - c.dice for c in defined]))


def risk_report(cases: Sequence[CaseRisk], failures: Sequence[Failure], name: str) -> dict[str, Any]:
    """What a JSON file of the results holds."""
    over_cases = case_curve(cases)
    table = {
        case.case_id: dict(
            dice=case.dice, uncertainty=case.uncertainty, error_rate=case.voxels.full_risk, **_areas(case.voxels)
        )
        for case in cases
    }
    means = {key: float(np.mean([row[key] for row in table.values()])) for key in ('error_rate', 'aurc', 'optimal')}
    return json_ready(
        {
            **file_head('mmseg_medical.risk_coverage/1'),
            'map': name,
            'cases': table,
            'failed': {failure.case_id: failure.error for failure in failures},
            'voxels': means,
            'cases_curve': None
            if over_cases is None
            else dict(
                coverage=over_cases.coverage.tolist(),
                risk=over_cases.risk.tolist(),
                mean_risk=over_cases.full_risk,
                **_areas(over_cases),
            ),
        }
    )


def _areas(curve: RiskCoverage) -> dict[str, float]:
    return dict(aurc=curve.aurc, optimal=curve.optimal)


def _map_file(pair: CasePair, name: str) -> Path:
    folder = pair.pred.parent / FOLDER
    for suffix in SUFFIXES:
        path = folder / f'{pair.case_id}_{name}{suffix}'
        if path.is_file():
            return path
    of_case = sorted(path.name for path in folder.glob(f'{pair.case_id}_*')) if folder.is_dir() else []
    raise ValueError(
        f'{folder / pair.case_id}_{name}.nii.gz: no such map, found {", ".join(of_case) or "none"}; '
        'tools/predict.py --uncertainty writes them'
    )


def _mean_dice(pred: np.ndarray, target: np.ndarray) -> float:
    labels = [label for label in np.union1d(pred, target) if label > 0]
    if not labels:
        return float('nan')
    masks = [(pred == label, target == label) for label in labels]
    counts = np.array([[(p & t).sum(), (p & ~t).sum(), (~p & t).sum()] for p, t in masks])
    return float(dice(*counts.T).mean())
