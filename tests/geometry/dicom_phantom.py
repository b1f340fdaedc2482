"""DICOM series of made-up values, written by SimpleITK."""

from __future__ import annotations

import locale
from pathlib import Path

import numpy as np
import SimpleITK


def write_series(
    folder: Path,
    array: np.ndarray,
    affine: np.ndarray,
    uid: str = '1.2.3.4',
    description: str = 'phantom',
    names: list[str] | None = None,
    tags: dict[str, str] | None = None,
) -> list[Path]:
    """Write slices of an array (I, J, K) with an affine to RAS; returns the files, slice by slice."""
    folder.mkdir(parents=True, exist_ok=True)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    rows, columns = (lps[:3, axis] / spacing[axis] for axis in (0, 1))
    before = locale.setlocale(locale.LC_ALL)
    paths = []
    for k in range(array.shape[2]):
        image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array[:, :, k].T)[None])
        image.SetSpacing((spacing[0], spacing[1], float(spacing[2])))
        values = {
            '0008|0060': 'CT',
            '0008|103e': description,
            '0020|000d': '1.2.3',
            '0020|000e': uid,
            '0008|0018': f'{uid}.{k + 1}',
            '0020|0013': str(array.shape[2] - k),  # against the positions
            '0020|0032': _text(lps[:3] @ (0, 0, k, 1)),
            '0020|0037': _text([*rows, *columns]),
            **(tags or {}),
        }
        for tag, value in values.items():
            image.SetMetaData(tag, value)
        path = folder / (names[k] if names else f'{k}.dcm')
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetImageIO('GDCMImageIO')
        writer.SetFileName(str(path))
        writer.Execute(image)
        paths.append(path)
    locale.setlocale(locale.LC_ALL, before)  # writing DICOM leaves it at 'C': files would be read as ASCII from then on
    return paths


def rescale(path: Path, slope: float, intercept: float) -> None:
    """Enter a scale of the stored values, which SimpleITK writes only together with changed values."""
    content = path.read_bytes()
    for tag, value in ((b'\x28\x00\x52\x10', intercept), (b'\x28\x00\x53\x10', slope)):
        text = f'{value:g}'.encode()
        text += b' ' * (len(text) % 2)
        start = content.index(tag)
        stop = start + 8 + int.from_bytes(content[start + 4 : start + 8], 'little')
        content = content[:start] + tag + len(text).to_bytes(4, 'little') + text + content[stop:]
    path.write_bytes(content)


def _text(values: object) -> str:
    return '\\'.join(f'{value:.10g}' for value in np.asarray(values))
