"""Evaluation of a folder of predictions, whoever made them, against a folder of targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mmseg_medical.evaluation.cases import CaseScores, evaluate_case
from mmseg_medical.evaluation.folders import CasePair, Failure, evaluate_folder, load_pair, pair_files
from mmseg_medical.evaluation.options import EvaluationOptions
from mmseg_medical.evaluation.table import CaseTable


@dataclass(frozen=True)
class FolderOptions:
    """How files become cases.

    Attributes:
        evaluation (EvaluationOptions): what is measured of each.
        resample_prediction (bool): bring a prediction on another grid onto the target's, by its nearest labels;
            otherwise it is an error.
        spacing_mm (tuple[float, ...] | None): of all files, in place of what their headers say.
        jobs (int): processes.
        progress (bool): show a bar.
    """

    evaluation: EvaluationOptions
    resample_prediction: bool = False
    spacing_mm: tuple[float, ...] | None = None
    jobs: int = 1
    progress: bool = True


def evaluate_folders(
    pred_dir: str | Path, target_dir: str | Path, options: FolderOptions
) -> tuple[CaseTable, list[Failure]]:
    """Measure every file of a folder of predictions against the file of the same stem.

    Args:
        pred_dir (str | Path): predictions.
        target_dir (str | Path): targets.
        options (FolderOptions): what to measure, and how.

    Returns:
        tuple[CaseTable, list[Failure]]: the cases that could be read, and those that could not.

    Raises:
        ValueError: a file has no partner, a folder is empty, or no case at all could be read.
    """
    pairs = pair_files(pred_dir, target_dir)
    evaluation = options.evaluation
    if options.jobs > 1:
        evaluation = replace(evaluation, num_threads=1)  # the processes use the cores already
    evaluate = partial(
        evaluate_pair,
        options=evaluation,
        resample_prediction=options.resample_prediction,
        spacing_mm=options.spacing_mm,
    )
    cases, failures = evaluate_folder(pairs, evaluate, jobs=options.jobs, progress=options.progress)
    if not cases:
        lines = '\n'.join(f'  {failure.case_id}: {failure.error}' for failure in failures[:10])
        raise ValueError(f'none of the {len(pairs)} cases of {pred_dir} could be evaluated:\n{lines}')
    return CaseTable.from_cases(cases, options.evaluation), failures


def evaluate_pair(
    pair: CasePair,
    options: EvaluationOptions,
    resample_prediction: bool = False,
    spacing_mm: tuple[float, ...] | None = None,
) -> CaseScores:
    """Read the files of one case and measure it; see :func:`~mmseg_medical.evaluation.folders.load_pair`."""
    loaded = load_pair(pair, resample_prediction=resample_prediction, spacing_mm=spacing_mm)
    return evaluate_case(pair.case_id, loaded.pred, loaded.target, options, loaded.spacing_mm)
