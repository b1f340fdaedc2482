"""What a pipeline notes about a case, as JSON and back, every type kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmseg_medical.geometry import Grid, GridStep

# An affine has 16 elements; whatever is as large as an image belongs among the stored arrays.
_MOST_ELEMENTS = 4096
_TAG = '__type__'


def encode(value: Any, name: str) -> Any:
    """Turn a value into what JSON can hold.

    Args:
        value (Any): None, numbers, text, paths, small arrays, grids, grid steps, and lists, tuples and dicts of them.
        name (str): What it is, for the message.

    Raises:
        TypeError: It is something else.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        pairs = [[encode(key, name), encode(item, f'{name}[{key!r}]')] for key, item in value.items()]
        return _tagged('dict', pairs)  # as pairs, since keys of JSON objects are always text
    if isinstance(value, list):
        return [encode(item, name) for item in value]
    if isinstance(value, tuple):
        return _tagged('tuple', [encode(item, name) for item in value])
    if isinstance(value, np.ndarray) and value.size <= _MOST_ELEMENTS and value.dtype.kind in 'biuf':
        return _tagged('array', [value.dtype.str, list(value.shape), value.ravel().tolist()])
    if isinstance(value, Grid):
        return _tagged('grid', encode(value.to_dict(), name))
    if isinstance(value, GridStep):
        return _tagged('step', encode(value.to_dict(), name))
    what = f'an array of shape {value.shape}' if isinstance(value, np.ndarray) else f'a {type(value).__name__}'
    raise TypeError(f'{name} is {what}')


def _tagged(kind: str, content: Any) -> dict[str, Any]:
    return {_TAG: kind, 'value': content}


def decode(value: Any) -> Any:
    """Undo :func:`encode`; numpy's numbers come back as Python's, paths as text."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    kind, content = value[_TAG], value['value']
    if kind == 'dict':
        return {decode(key): decode(item) for key, item in content}
    if kind == 'tuple':
        return tuple(decode(item) for item in content)
    if kind == 'array':
        dtype, shape, elements = content
        return np.array(elements, np.dtype(dtype)).reshape(shape)
    if kind == 'grid':
        return Grid.from_dict(decode(content))
    return GridStep.from_dict(decode(content))
