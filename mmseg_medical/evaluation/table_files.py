"""A table of cases as files."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg_medical.evaluation.table import CaseTable
from mmseg_medical.files import atomic_write

METRICS_FILE = 'metrics.json'
CASES_FILE = 'cases.csv'


def write_table(
    table: CaseTable,
    out_dir: str | Path,
    failures: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write ``metrics.json`` and ``cases.csv``, each whole or not at all.

    Args:
        table (CaseTable): what to write.
        out_dir (str | Path): folder, made if missing.
        failures (Mapping[str, str] | None): case -> why it could not be evaluated, for ``metrics.json``.
        facts (Mapping[str, Any] | None): further entries of its head, such as the folders.

    Returns:
        list[Path]: the files.
    """
    files = [Path(out_dir) / METRICS_FILE, Path(out_dir) / CASES_FILE]
    content = table.to_dict()
    head = {key: content.pop(key) for key in ('format', 'version', 'date')}
    with atomic_write(files[0]) as file:
        json.dump(
            {**head, **(facts or {}), **content, 'failures': dict(failures or {})}, file, indent=2, allow_nan=False
        )
        file.write('\n')
    with atomic_write(files[1]) as file:
        csv.writer(file, lineterminator='\n').writerows(table.rows())
    return files
