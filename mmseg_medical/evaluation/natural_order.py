"""Names in the order that people expect."""

from __future__ import annotations

import re


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts ``img_9`` before ``img_10``."""
    parts = re.split(r'(\d+)', name)
    key = [(1, int(part), '') if i % 2 else (0, 0, part) for i, part in enumerate(parts)]
    return (*key, (2, 0, name))
