"""``annotations.csv``: where the nodules are and how large."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.errors import did_you_mean
from mmseg_medical.geometry.points import lps_to_ras

#: float64 (N, 4): x, y, z of the centre in mm (RAS+), diameter in mm
Nodules = np.ndarray
COLUMNS = ('seriesuid', 'coordX', 'coordY', 'coordZ', 'diameter_mm')


def read_annotations(path: str | Path) -> dict[str, Nodules]:
    """Read the nodules of every series.

    Args:
        path (str | Path): File with the columns :data:`COLUMNS`, coordinates in the world of ITK (LPS+), in any order
            and among others.

    Returns:
        dict[str, np.ndarray]: series -> shape (N, 4), float64: centre in RAS+ as everything here, diameter; mm. Series
        without a nodule have no entry.

    Raises:
        DataError: The file cannot be read, lacks a column, or a row holds no number or no positive diameter.
    """
    path = Path(path)
    try:
        with path.open(newline='', encoding='utf-8-sig') as file:
            reader = csv.DictReader(file)
            head, rows = list(reader.fieldnames or ()), list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise data_error(
            path,
            expected='the list of nodules of LUNA16',
            found=str(error),
            remedy='Put annotations.csv of the challenge into data_root, or name it with ann_file of the dataset.',
        ) from error
    missing = [name for name in COLUMNS if name not in head]
    if missing:
        raise data_error(
            path,
            expected=f'the columns {", ".join(COLUMNS)}',
            found=', '.join(head) or 'none',
            remedy=f'Name the column of {missing[0]} so.{did_you_mean(missing[0], head)}',
        )
    found: dict[str, list[list[float]]] = {}
    for line, row in enumerate(rows, start=2):
        found.setdefault(str(row['seriesuid']).strip(), []).append(_numbers(row, path, line))
    nodules = {uid: np.array(values, np.float64) for uid, values in found.items()}
    for values in nodules.values():
        values[:, :3] = lps_to_ras(values[:, :3])
    return nodules


def _numbers(row: dict[str, str], path: Path, line: int) -> list[float]:
    try:
        values = [float(row[name]) for name in COLUMNS[1:]]
    except (TypeError, ValueError):
        values = []
    if len(values) != 4 or not all(map(math.isfinite, values)) or values[3] <= 0:
        raise data_error(
            f'{path} line {line}',
            expected='three coordinates and a positive diameter, in mm',
            found=repr([row[name] for name in COLUMNS[1:]]),
            remedy='Correct or remove the line.',
        )
    return values
