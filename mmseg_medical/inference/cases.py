"""Which cases there are in the files and folders that a user names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseg_medical.errors import ConfigError
from mmseg_medical.evaluation.natural_order import natural_key
from mmseg_medical.files import PARTIAL_SUFFIX
from mmseg_medical.geometry import SUFFIXES, file_stem, list_dicom_series
from mmseg_medical.inference.photograph_inference import PHOTOGRAPH_SUFFIXES

_KNOWN = tuple(dict.fromkeys((*SUFFIXES, *PHOTOGRAPH_SUFFIXES)))


@dataclass(frozen=True)
class Case:
    """One image to segment.

    Attributes:
        case_id (str): Name of its results, without suffix.
        inputs (tuple[Path, ...]): A file, a folder with a DICOM series, or one file a modality.
        series_uid (str | None): Which series of the folder.
    """

    case_id: str
    inputs: tuple[Path, ...]
    series_uid: str | None = None


def find_cases(
    inputs: Sequence[str | Path], modalities: Sequence[str] = (), series_uid: str | None = None
) -> list[Case]:
    """List the cases in files and folders.

    A folder with images holds a case a file. A folder without, but with one DICOM series in it or below, is one case
    of the folder's name; with several, each of its subfolders is a case.

    Args:
        inputs (Sequence[str | Path]): Files and folders.
        modalities (Sequence[str]): Ends of file names, in the model's order, such as ``('_0000', '_0001')``: files
            that differ in these only are one case. One that lacks a modality is listed with the files it has.
        series_uid (str | None): DICOM series to take from a folder that has several.

    Returns:
        list[Case]: In natural order of their names.

    Raises:
        ConfigError: An input is missing or holds no image, or two cases have one name.
    """
    found: list[Case] = []
    for given in inputs:
        path = Path(given)
        if not path.exists():
            raise ConfigError(f'no input {path}')
        found += _in_folder(path, series_uid) if path.is_dir() else [Case(_stem(path), (path,))]
    cases: dict[str, Case] = {}
    for case in _by_modality(found, modalities) if modalities else found:
        other = cases.setdefault(case.case_id, case)
        if other is not case:
            raise ConfigError(
                f'two inputs have the name {case.case_id!r}: {other.inputs[0]} and {case.inputs[0]}; predict them into '
                'different folders'
            )
    return sorted(cases.values(), key=lambda case: natural_key(case.case_id))


def _in_folder(folder: Path, series_uid: str | None) -> list[Case]:
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and _is_image(path)]
    if files:
        return [Case(_stem(path), (path,)) for path in files]
    series = list_dicom_series(folder)
    if len(series) == 1 or series_uid is not None:
        return [Case(folder.resolve().name, (folder,), series_uid)]
    subfolders = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith('.')]
    direct = [one for one in series if any(file.parent == folder for file in one.files)]
    if series and not direct and len(subfolders) > 1:
        return [Case(path.name, (path,)) for path in subfolders]
    if series:
        listed = '\n  '.join(map(str, series))
        raise ConfigError(f'{folder} holds {len(series)} DICOM series; choose one: --series-uid UID\n  {listed}')
    raise ConfigError(f'{folder}: expected files ending in {", ".join(_KNOWN)} or a DICOM series, found none')


def _is_image(path: Path) -> bool:
    hidden = path.name.startswith('.') or path.name.endswith(PARTIAL_SUFFIX)
    return not hidden and path.name.lower().endswith(_KNOWN)


def _stem(path: Path) -> str:
    return file_stem(path) or path.stem


def _by_modality(cases: Sequence[Case], modalities: Sequence[str]) -> list[Case]:
    grouped: dict[str, dict[str, Case]] = {}
    for case in cases:
        end = next((end for end in modalities if case.case_id.endswith(end)), None)
        if end is None:
            raise ConfigError(f'{case.inputs[0]}: the name ends in none of the modalities {", ".join(modalities)}')
        members = grouped.setdefault(case.case_id[: -len(end)], {})
        if end in members:
            raise ConfigError(f'two files of one modality: {members[end].inputs[0]} and {case.inputs[0]}')
        members[end] = case
    return [
        Case(name, tuple(path for end in modalities if end in members for path in members[end].inputs))
        for name, members in grouped.items()
    ]
