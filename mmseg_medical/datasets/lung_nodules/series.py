"""The scans in the folders of the subsets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from mmseg_medical.datasets.errors import data_error

_HEADER_BYTES = 1 << 14


def find_series(root: str | Path, subsets: Iterable[int]) -> dict[str, tuple[int, Path]]:
    """List the scans of some subsets.

    Args:
        root (str | Path): Folder with ``subset0``, ``subset1`` ..., which hold ``<uid>.mhd``.
        subsets (Iterable[int]): Which of them.

    Returns:
        dict[str, tuple[int, Path]]: series -> its subset and header file, by subset and name.

    Raises:
        DataError: A folder is missing, a series lies in two of them, or a header tells of voxels without a sign.
    """
    found: dict[str, tuple[int, Path]] = {}
    for subset in subsets:
        folder = Path(root) / f'subset{subset}'
        if not folder.is_dir():
            there = sorted(path.name for path in Path(root).glob('subset*')) if Path(root).is_dir() else []
            raise data_error(
                folder,
                expected='a folder of scans',
                found=f'no such folder; there {"are" if there else "is"} {", ".join(there) or "none"}',
                remedy='Set data_root of the dataset, or subsets to the numbers of those that are there.',
            )
        for path in sorted(folder.glob('*.mhd')):
            if path.name.startswith('.'):
                continue
            other = found.setdefault(path.stem, (subset, path))[1]
            if other == path:
                _check_signed(path)
            else:
                raise data_error(
                    path,
                    expected='each series once',
                    found=f'another one at {other}',
                    remedy='Remove one of the two: a scan in two folds would be trained and tested on.',
                )
    return found


def _check_signed(path: Path) -> None:
    """Refuse voxels that cannot be Hounsfield units: read without a sign, air is the brightest of all."""
    try:
        found = re.search(rb'(?m)^ElementType\s*=\s*(MET_U\w+)', path.read_bytes()[:_HEADER_BYTES])
    except OSError as error:
        raise data_error(path, expected='a header', found=str(error), remedy='Copy the file again.') from error
    if found is not None:
        raise data_error(
            path,
            expected='signed voxels, Hounsfield units (MET_SHORT in the release)',
            found=found[1].decode(),
            remedy='Copy the file again, or convert the scan to Hounsfield units.',
        )
