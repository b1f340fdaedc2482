"""What the JSON files of results share: how they begin, and how they hold numbers that JSON does not have."""

from __future__ import annotations

import datetime
import math
from typing import Any

from mmseg_medical import __version__


def file_head(kind: str) -> dict[str, str]:
    """First entries of a file: what it is, who wrote it and when.

    Args:
        kind (str): name and version of the format, such as ``mmseg_medical.cases/1``.
    """
    date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds')
    return {'format': kind, 'version': __version__, 'date': date}


def json_ready(value: Any) -> Any:
    """Replace NaN by None and infinities by the texts ``inf`` and ``-inf``, also inside dicts and lists.

    >>> json_ready({'dice': float('nan'), 'hd': [float('inf'), 1.5]})
    {'dice': None, 'hd': ['inf', 1.5]}
    """
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json_ready(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
