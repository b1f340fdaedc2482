"""Two folders of files, case by case: pairing, reading, and doing so in several processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mmseg_medical.evaluation.functional.arrays import checked_spacing
from mmseg_medical.evaluation.natural_order import natural_key
from mmseg_medical.files import PARTIAL_SUFFIX
from mmseg_medical.geometry import SUFFIXES, Volume, file_stem, grid_difference, read_labels, resample_like
from mmseg_medical.processes import Outcome, attempt, share

T = TypeVar('T')

_MOST_NAMES = 10


@dataclass(frozen=True)
class CasePair:
    """Files of one case.

    Attributes:
        case_id (str): Name of both files without suffix.
        pred (Path): Prediction.
        target (Path): Ground truth.
    """

    case_id: str
    pred: Path
    target: Path


@dataclass(frozen=True, eq=False)
class LoadedPair:
    """Label maps of one case, on one grid.

    Attributes:
        pred (np.ndarray): shape (I, J) or (I, J, K), integer.
        target (np.ndarray): same shape, integer.
        spacing_mm (tuple[float, ...] | None): Distance of neighbouring voxels along each array axis; None for images
            without geometry, in which distances are counted in pixels.
    """

    pred: np.ndarray
    target: np.ndarray
    spacing_mm: tuple[float, ...] | None


@dataclass(frozen=True)
class Failure:
    """A case that could not be evaluated.

    Attributes:
        case_id (str): Its name.
        error (str): Why, with the file.
    """

    case_id: str
    error: str


def pair_files(pred_dir: str | Path, target_dir: str | Path) -> list[CasePair]:
    """Match the label maps of two folders by name.

    A case is a file name without its suffix (``.nii.gz`` is one); formats may differ. Left out are hidden and
    unfinished files, other formats (``.json``, the ``.raw`` of an ``.mhd``) and folders inside. Channel numbers
    (``_0000``) are part of the name.

    Args:
        pred_dir (str | Path): Folder of the predictions.
        target_dir (str | Path): Folder of the ground truth.

    Returns:
        list[CasePair]: In natural order of the names.

    Raises:
        ValueError: One is no folder or holds no label map, two files of a folder have one stem, or files have no
            partner in the other folder.
    """
    preds, targets = _files_by_stem(pred_dir, 'predictions'), _files_by_stem(target_dir, 'targets')
    lonely_preds = sorted(preds.keys() - targets.keys(), key=natural_key)
    lonely_targets = sorted(targets.keys() - preds.keys(), key=natural_key)
    if lonely_preds or lonely_targets:
        raise ValueError(
            'every prediction needs a target of the same name and every target a prediction: '
            f'{_count(lonely_targets, "target")} without prediction in {pred_dir}{_names(lonely_targets)}; '
            f'{_count(lonely_preds, "prediction")} without target in {target_dir}{_names(lonely_preds)}'
        )
    return [CasePair(stem, preds[stem], targets[stem]) for stem in sorted(preds, key=natural_key)]


def load_pair(
    pair: CasePair, resample_prediction: bool = False, spacing_mm: Sequence[float] | None = None
) -> LoadedPair:
    """Read prediction and target of one case.

    Args:
        pair (CasePair): The files.
        resample_prediction (bool): Bring a prediction that lies on another grid onto the target's, by nearest label.
        spacing_mm (Sequence[float] | None): One number an array axis, instead of what the headers say. It also declares
            that a file without geometry (npy, PNG) lies on the grid of a partner that has one, axis for axis.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is damaged or no label map, the grids differ, or the spacing is none.
    """
    pred, target = read_labels(pair.pred), read_labels(pair.target)
    difference = _difference(pred, target, declared=spacing_mm is not None)
    if difference is not None:
        placed = pred.affine is not None and target.affine is not None
        if not (placed and resample_prediction):
            remedy = '; resample the prediction if that is what is wanted' if placed else ''
            if pred.size == target.size and not placed:
                remedy = '; state the spacing if their axes agree'
            raise ValueError(f'prediction and target lie on different grids: {difference}{remedy}')
        pred = resample_like(pred, target)
    spacing = target.spacing_mm if spacing_mm is None else checked_spacing(spacing_mm, target.rank)
    return LoadedPair(pred.array, target.array, spacing)


def evaluate_folder(
    pairs: Sequence[CasePair], evaluate: Callable[[CasePair], T], jobs: int = 1, progress: bool = True
) -> tuple[list[T], list[Failure]]:
    """Evaluate cases, in several processes if asked; one that fails does not stop the others.

    Args:
        pairs (Sequence[CasePair]): The cases.
        evaluate (Callable): What to do with one. For several processes it must be picklable (a function of a module, or
            ``functools.partial`` of one) and so must its results; the main module is imported again in each of them.
        jobs (int): Processes, each with one thread; 1 works in this one.
        progress (bool): Show a bar on stderr where that is a terminal.

    Returns:
        tuple: Results in the order of ``pairs``, without the cases that failed, and these with their errors.

    Raises:
        ImportError: A package is missing, which no other case would find either.
        ValueError: ``jobs`` is below 1.
    """
    if jobs < 1:
        raise ValueError(f'jobs must be at least 1, got {jobs}')
    console = Console(stderr=True)
    columns = [TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn()]
    times = [TimeElapsedColumn(), TextColumn('left'), TimeRemainingColumn()]
    bar = Progress(*columns, *times, console=console, disable=not (progress and console.is_terminal))
    outcomes: dict[int, Outcome[T]] = {}
    with bar:
        task = bar.add_task('cases', total=len(pairs))

        def done(number: int, outcome: Outcome[T]) -> None:
            if outcome.missing_package:
                raise ImportError(outcome.error)
            outcomes[number] = outcome
            bar.advance(task)

        if jobs == 1 or len(pairs) == 1:
            for number, pair in enumerate(pairs):
                done(number, attempt(evaluate, pair))
        else:
            share(pairs, evaluate, jobs, done)
    results: list[T] = []
    failures = []
    for number, pair in enumerate(pairs):
        if (error := outcomes[number].error) is None:
            results.append(cast(T, outcomes[number].result))
        else:
            failures.append(Failure(pair.case_id, _with_files(error, pair)))
    return results, failures


def _with_files(text: str, pair: CasePair) -> str:
    return text if str(pair.pred) in text or str(pair.target) in text else f'{text} ({pair.pred}, {pair.target})'


def _difference(pred: Volume, target: Volume, declared: bool) -> str | None:
    one_without = (pred.affine is None) != (target.affine is None)
    if declared and one_without and pred.size == target.size:
        return None
    return grid_difference(pred, target)


def _files_by_stem(folder: str | Path, what: str) -> dict[str, Path]:
    folder = Path(folder)
    if not folder.is_dir():
        found = 'a file' if folder.exists() else 'nothing'
        raise ValueError(f'{folder}: expected the folder of the {what}, found {found}')
    files: dict[str, Path] = {}
    others = 0
    for path in sorted(folder.iterdir()):
        if path.name.startswith('.') or path.name.endswith(PARTIAL_SUFFIX) or not path.is_file():
            continue
        stem = file_stem(path)
        if stem is None:
            others += 1
        elif stem in files:
            raise ValueError(f'{folder}: two files have the name {stem!r}: {files[stem].name} and {path.name}')
        else:
            files[stem] = path
    if not files:
        rest = f'{others} files of other kinds' if others else 'no files'
        raise ValueError(f'{folder}: expected {what} ending in {", ".join(SUFFIXES)}, found {rest}')
    return files


def _count(names: Sequence[str], noun: str) -> str:
    return f'{len(names)} {noun}{"" if len(names) == 1 else "s"}'


def _names(names: Sequence[str]) -> str:
    if not names:
        return ''
    more = f', and {len(names) - _MOST_NAMES} more' if len(names) > _MOST_NAMES else ''
    return f' ({", ".join(names[:_MOST_NAMES])}{more})'
