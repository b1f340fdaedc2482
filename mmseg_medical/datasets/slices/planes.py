"""The three planes that volumes are cut along."""

from __future__ import annotations

from collections.abc import Sequence

from mmseg_medical.errors import ConfigError, did_you_mean

#: Plane to the order of axes whose last one the slices are across. Of a file in RAS order these are
#: ``array[:, :, i]``, ``array[:, i, :]`` and ``array[i, :, :]``.
PLANES = {'axial': 'RAS', 'coronal': 'RSA', 'sagittal': 'ASR'}


def checked_planes(planes: str | Sequence[str]) -> tuple[str, ...]:
    """Names of planes, each once.

    Raises:
        ConfigError: None is named, one is not known, or one is named twice.

    >>> checked_planes('axial')
    ('axial',)
    """
    names = (planes,) if isinstance(planes, str) else tuple(planes)
    known = ', '.join(map(repr, PLANES))
    for name in names:
        if name not in PLANES:
            raise ConfigError(f'planes are {known}, found {name!r}.{did_you_mean(str(name), PLANES)}')
    if not names or len(set(names)) < len(names):
        raise ConfigError(f'planes must be different ones of {known}, found {list(names)}')
    return names
