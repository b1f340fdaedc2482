"""Segmentations in files: one label map a case, or one mask a class."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mmseg_medical.datasets.errors import DataError, data_error
from mmseg_medical.datasets.mask_io import read_binary_mask
from mmseg_medical.errors import did_you_mean
from mmseg_medical.files import PARTIAL_SUFFIX
from mmseg_medical.geometry import Volume, check_grid, file_stem, read_labels
from mmseg_medical.visualization.pictures.case import Structures

_PICTURES = ('.png', '.bmp', '.tif', '.tiff')


class SegmentationFiles:
    """Label maps ``<case>.<suffix>``, or masks ``<case>_<class>.<suffix>``, as the tools of this project write them.

    Args:
        path (Path): A folder; ``predictions`` in it is taken where it has one, as ``tools/test.py --out`` leaves it.
            Or the file of the one case.
        structures (Structures | None): None takes any labels.
        what (str): For messages: ``'prediction'``, ``'label map'``.
        only (str | None): Name of the case, where there is one alone: a file may then be named as it likes.

    Raises:
        DataError: There is no such folder or file.
    """

    def __init__(self, path: Path, structures: Structures | None, what: str, only: str | None = None) -> None:
        self.structures, self.what = structures, what
        if not path.exists() or (path.is_file() and only is None):
            raise data_error(
                path,
                expected=f'the folder of the {what}s',
                found='a file, with several images' if path.exists() else 'nothing',
                remedy=f'Correct --{"pred" if what == "prediction" else "labels"}.',
            )
        self.folder = path / 'predictions' if (path / 'predictions').is_dir() else path
        files = [path] if path.is_file() else sorted(self.folder.iterdir())
        self._files: dict[str, Path] = {}
        for file in files:
            stem = file_stem(file)
            if stem and file.is_file() and not file.name.startswith('.') and not file.name.endswith(PARTIAL_SUFFIX):
                self._files[only if path.is_file() and only else stem] = file

    def read(self, case_id: str) -> Volume:
        """Read the segmentation of a case.

        Returns:
            Volume: labels (*S); or masks (*S, K) of 0 and 1 with ``has_channels``.

        Raises:
            DataError: It is missing or damaged, masks are incomplete, or a label is no class.
        """
        if case_id in self._files:
            return self._labels(self._files[case_id])
        return self._masks(case_id)

    def _labels(self, path: Path) -> Volume:
        try:
            labels = read_labels(path)
        except (OSError, ValueError) as error:
            raise DataError(str(error)) from error
        names = self.structures.names if self.structures else ()
        values = np.unique(labels.array)
        if len(names) == 2 and labels.affine is None and values.tolist() in ([0, 255], [255]):
            return Volume((labels.array > 0).astype(np.uint8), None, labels.source)
        unknown = [int(value) for value in values if names and not 0 <= value < len(names) and value != 255]
        if unknown:
            raise data_error(
                path,
                expected=f'labels 0 to {len(names) - 1} ({", ".join(names)})',
                found=', '.join(map(str, unknown[:8])),
                remedy='Take the data set that the labels are of, or name all classes (--classes).',
            )
        return labels

    def _masks(self, case_id: str) -> Volume:
        names = self.structures.names if self.structures else ()
        files = {_plain(stem): path for stem, path in self._files.items()}
        found = {name: files.get(_plain(f'{case_id}_{name}')) for name in names}
        missing = [name for k, name in enumerate(names) if found[name] is None and k in self.structures.drawn]  # type: ignore[union-attr]
        if not names or len(missing) == sum(color is not None for color in self.structures.colors):  # type: ignore[union-attr]
            raise data_error(
                self.folder,
                expected=f'a {self.what} of the case {case_id}',
                found=f'{len(self._files)} files, none of that name.' + did_you_mean(case_id, self._files),
                remedy='Predict it (tools/predict.py), or choose the cases that there are (--cases).',
            )
        if missing:
            raise data_error(
                self.folder,
                expected=f'a mask of {case_id} for every class',
                found=f'none for {", ".join(missing)}',
                remedy='Predict the case again.',
            )
        read = [None if path is None else _mask(path) for path in found.values()]
        first = next(one for one in read if one is not None)
        for one in read:
            if one is not None:
                check_grid(one, first)
        empty = np.zeros(first.size, np.uint8)
        return Volume(
            np.stack([empty if one is None else one.array for one in read], axis=-1), first.affine, first.source, True
        )


def _plain(text: str) -> str:
    """What is left of a name however its blanks and signs were replaced in a file name."""
    return re.sub(r'[\W_]+', '', text).casefold()


def _mask(path: Path) -> Volume:
    if path.name.lower().endswith(_PICTURES):
        return Volume(read_binary_mask(path).astype(np.uint8), None, str(path))
    try:
        labels = read_labels(path)
    except (OSError, ValueError) as error:
        raise DataError(str(error)) from error
    return Volume((labels.array == 1).astype(np.uint8), labels.affine, labels.source)
