"""NRRD, MHD and MHA through SimpleITK."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mmseg_medical.files import PARTIAL_SUFFIX
from mmseg_medical.geometry.errors import COPY_AGAIN, check_claim, file_error
from mmseg_medical.geometry.volume import Volume
from mmseg_medical.optional import import_optional

_HEADER_BYTES = 1 << 16
_IMAGE_IO = {'.nrrd': 'NrrdImageIO', '.mhd': 'MetaImageIO', '.mha': 'MetaImageIO'}
# x and y of ITK's world (LPS) point the other way in RAS
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read(path: Path) -> Volume:
    """Read voxels and affine; several components a voxel come as a last axis."""
    sitk = import_optional('SimpleITK', 'volumes')
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(_IMAGE_IO[path.suffix.lower()])
    try:
        reader.ReadImageInformation()
        components = reader.GetNumberOfComponents()
        size = tuple(reader.GetSize())
        shape = size + ((components,) if components > 1 else ())
        if len(shape) > 4 or len(size) < 2:
            raise file_error(path, expected='two to four axes', found=f'shape {shape}')
        _check_size(path, shape, np.dtype(_numpy_type(sitk, reader.GetPixelID())).itemsize // max(1, 1))
        affine = _affine(reader, len(size), path)
        image = reader.Execute()
    except RuntimeError as error:
        raise file_error(
            path, expected='a complete image file', found=f'one that ITK refuses ({_reason(error)})', remedy=COPY_AGAIN
        ) from error
    array = sitk.GetArrayFromImage(image)
    axes = (*reversed(range(len(size))), *range(len(size), array.ndim))
    return Volume(array.transpose(axes), affine, str(path), has_channels=len(shape) > min(len(size), 3))
