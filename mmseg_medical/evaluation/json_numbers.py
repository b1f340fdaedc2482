"""Numbers that JSON does not have."""

from __future__ import annotations

import math
from typing import Any


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
