"""Many cases, one after the other: what is finished is not done again, what fails does not stop the rest."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.errors import ConfigError
from mmseg_medical.evaluation.json_files import file_head, json_ready
from mmseg_medical.files import atomic_write
from mmseg_medical.geometry import read_dicom_series
from mmseg_medical.inference.cases import Case
from mmseg_medical.inference.predictor import Predictor
from mmseg_medical.inference.region import RegionFolder
from mmseg_medical.inference.segmentation import Segmentation
from mmseg_medical.processes import attempt
from mmseg_medical.visualization.volume_overlay import write_overlay

REPORT_FILE = 'predictions.json'
_REPORT = 'mmseg_medical.predictions/1'
_KEEP_SUFFIX = ('.nii.gz', '.nii', '.nrrd', '.mha', '.mhd', '.tif', '.tiff', '.npy', '.png')
_WITH_AFFINE = ('.nii.gz', '.nii', '.nrrd', '.mha', '.mhd')


@dataclass(frozen=True)
class BatchOptions:
    """What is written, and where.

    Attributes:
        out (Path): Folder of the label maps and of ``predictions.json``.
        suffix (str | None): Format of the label maps; None keeps that of the input where it can hold labels: NIfTI for
            DICOM, PNG for other photographs.
        probabilities (bool): Write them too, into ``probabilities``.
        overlay (bool): Draw image and labels, into ``overlays``.
        uncertainty (bool): Write its maps too, into ``uncertainty``.
        overwrite (bool): Do finished cases again.
        regions (RegionFolder | None): Where structures can be in each case.
    """

    out: Path
    suffix: str | None = None
    probabilities: bool = False
    overlay: bool = False
    overwrite: bool = False
    uncertainty: bool = False
    regions: RegionFolder | None = None

    def __post_init__(self) -> None:
        if self.suffix is not None and self.suffix not in _KEEP_SUFFIX:
            raise ConfigError(f'labels are written as {", ".join(_KEEP_SUFFIX)}, not as {self.suffix!r}')


def predict_cases(
    predictor: Predictor, cases: Sequence[Case], options: BatchOptions, progress: bool = True
) -> dict[str, Any]:
    """Segment cases and write results and report.

    A case is finished if its files are there in full and were made from the same input by the same model and settings.
    Files appear whole or not at all, and the report is written after each case, so that a killed run can go on.

    Args:
        predictor (Predictor): The model.
        cases (Sequence[Case]): What to segment.
        options (BatchOptions): What to write.
        progress (bool): Show a bar on stderr where that is a terminal; failures get a line there in any case.

    Returns:
        dict: The report on these cases; ``predictions.json`` keeps those of earlier runs too.

    Raises:
        ImportError: A package is missing, which no other case would find either.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / REPORT_FILE
    known = _earlier(path)
    report: dict[str, Any] = {
        **file_head(_REPORT),
        'model': {'source': predictor.source, 'id': predictor.identity, 'labels': list(predictor.names)},
        'counts': {'done': 0, 'skipped': 0, 'failed': 0},
        'cases': {},
    }
    console = Console(stderr=True)
    columns = [TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn()]
    times = [TimeElapsedColumn(), TextColumn('left'), TimeRemainingColumn()]
    with Progress(*columns, *times, console=console, disable=not (progress and console.is_terminal)) as bar:
        task = bar.add_task('cases', total=len(cases))
        for case in cases:
            entry = _one(predictor, case, options, known.get(case.case_id, {}))
            report['cases'][case.case_id] = known[case.case_id] = entry
            report['counts'][entry['status']] += 1
            if entry['status'] == 'failed':
                line = ' '.join(entry['error'].split())
                console.print(f'{case.case_id}: {line}', markup=False, highlight=False, soft_wrap=True)
            with atomic_write(path) as file:
                json.dump(json_ready({**report, 'cases': known}), file, indent=1)
            bar.advance(task)
    return json_ready(report)


def _one(predictor: Predictor, case: Case, options: BatchOptions, before: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        'input': [str(path) for path in case.inputs],
        'input_stamp': _stamp(case),
        'model_id': predictor.identity,
        'settings': {
            'suffix': options.suffix,
            'probabilities': options.probabilities,
            'overlay': options.overlay,
            **({} if options.regions is None else {'region': _region(options.regions, case.case_id)}),
        },
    }
    if options.uncertainty:
        entry['settings']['uncertainty'] = True
    if not options.overwrite and _is_finished(before, entry, options.out):
        return {**before, 'status': 'skipped'}
    start = time.perf_counter()
    outcome = attempt(lambda one: _predict(predictor, one, options), case)
    if outcome.missing_package:
        raise ImportError(outcome.error)
    seconds = round(time.perf_counter() - start, 3)
    if outcome.error is not None or outcome.result is None:
        return {**entry, 'status': 'failed', 'seconds': seconds, 'error': outcome.error}
    return {**entry, 'status': 'done', 'seconds': seconds, 'error': None, **outcome.result}


def _predict(predictor: Predictor, case: Case, options: BatchOptions) -> dict[str, Any]:
    image: Any = case.inputs if len(case.inputs) > 1 else case.inputs[0]
    if case.series_uid is not None:
        image = read_dicom_series(case.inputs[0], case.series_uid)
    region = None if options.regions is None else options.regions.of(case.case_id)
    segmentation = predictor.predict(
        image,
        case_id=case.case_id,
        probabilities=options.probabilities,
        uncertainty=options.uncertainty,
        region=region,
    )
    suffix = options.suffix or _suffix(case.inputs[0], segmentation)
    extra: list[Path] = []
    kind = '.npy' if segmentation.grid.affine is None else suffix if suffix in _WITH_AFFINE else '.nii.gz'
    if options.uncertainty:
        extra += segmentation.save_uncertainty(options.out / 'uncertainty' / f'{case.case_id}{kind}')
    if options.probabilities:
        name = options.out / 'probabilities' / f'{case.case_id}{kind}'
        extra.append(segmentation.save_probabilities(name))
    if options.overlay:
        picture = options.out / 'overlays' / f'{case.case_id}.png'
        write_overlay(predictor.load_image(image), segmentation.masks(), picture, case.case_id)
        extra.append(picture)
    written = segmentation.save(options.out / f'{case.case_id}{suffix}')  # last: a case with labels is a finished one
    return {
        'output': [str(path.relative_to(options.out)) for path in written],
        'other_files': [str(path.relative_to(options.out)) for path in extra],
        'bytes': {str(path.relative_to(options.out)): path.stat().st_size for path in [*written, *extra]},
        'voxels': segmentation.voxels(),
        'volumes_mm3': segmentation.volumes_mm3(),
    }


def _suffix(path: Path, segmentation: Segmentation) -> str:
    own = next((suffix for suffix in _KEEP_SUFFIX if path.name.lower().endswith(suffix)), None)
    placed = segmentation.grid.affine is not None
    if own is not None and not path.is_dir() and placed == (own in _WITH_AFFINE):
        return own
    if placed:
        return '.nii.gz'
    return '.png' if segmentation.grid.rank == 2 else '.npy'


def _is_finished(before: dict[str, Any], entry: dict[str, Any], out: Path) -> bool:
    if before.get('status') not in ('done', 'skipped') or any(before.get(key) != value for key, value in entry.items()):
        return False
    sizes = before.get('bytes') or {}
    return bool(sizes) and all((out / name).is_file() and (out / name).stat().st_size == n for name, n in sizes.items())


def _stamp(case: Case) -> str:
    """Hash of names, sizes and times of the files of a case: another one if any was replaced."""
    files = [file for path in case.inputs for file in (sorted(path.rglob('*')) if path.is_dir() else [path])]
    return _hash([_state(file) for file in files if file.is_file()], case.series_uid)


def _region(regions: RegionFolder, case_id: str) -> str | None:
    """Hash of what a region depends on; None where its file is missing, which predicting then says."""
    try:
        return _hash(_state(regions.path(case_id)), tuple(regions.values), regions.margin_mm)
    except DataError:
        return None


def _state(file: Path) -> tuple[str, int, int]:
    return file.name, file.stat().st_size, file.stat().st_mtime_ns


def _hash(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _earlier(path: Path) -> dict[str, Any]:
    try:
        contents = json.loads(path.read_text(encoding='utf-8'))
        cases = contents['cases'] if contents['format'] == _REPORT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # none, or one that cannot tell what is finished
    return cases if isinstance(cases, dict) and all(isinstance(entry, dict) for entry in cases.values()) else {}
