"""What a prediction yields: labels on the grid of the image, ready to be written."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmseg_medical.geometry import Grid, Volume, file_stem, write_volume


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Segmentation of one image.

    Attributes:
        labels (Volume): shape (*S), the smallest unsigned integer type, the value is an index into ``names``. Of a
            multi-label model masks (*S, K) of 0 and 1, uint8, with ``has_channels``.
        names (tuple[str, ...]): Of the K labels, the background first; of masks, one a mask.
        grid (Grid): That of the image; nothing is written onto another one.
        probabilities (Volume | None): shape (*S, K), float32, with ``has_channels``; where they were asked for.
        source (str): File the image came from; may be empty.
        uncertainty (Mapping[str, Volume] | None): Maps, shape (*S) and float32 each, where they were asked for:
            ``foreground`` (mean probability), ``variance`` of it over members, ``entropy`` and ``mutual_information``
            in nats, see docs/uncertainty.md.
    """

    labels: Volume
    names: tuple[str, ...]
    grid: Grid
    probabilities: Volume | None = None
    source: str = ''
    uncertainty: Mapping[str, Volume] | None = None

    @property
    def multi_label(self) -> bool:
        """Whether labels may overlap."""
        return self.labels.has_channels

    def masks(self) -> dict[str, np.ndarray]:
        """Mask (*S), bool, of each structure; the background is none."""
        array = self.labels.array
        if self.multi_label:
            return {name: array[..., k] > 0 for k, name in enumerate(self.names)}
        return {name: array == k for k, name in enumerate(self.names) if k}

    def voxels(self) -> dict[str, int]:
        """Number of voxels of each structure."""
        array = self.labels.array
        if self.multi_label:
            return {name: int(np.count_nonzero(array[..., k])) for k, name in enumerate(self.names)}
        counts = np.bincount(array.ravel(), minlength=len(self.names))
        return {name: int(counts[k]) for k, name in enumerate(self.names) if k}

    def volumes_mm3(self) -> dict[str, float | None]:
        """Volume of each structure in mm^3 (mm^2 of an image with two axes); None where the spacing is not known."""
        spacing = self.grid.spacing_mm
        return {
            name: None if spacing is None else number * math.prod(spacing) for name, number in self.voxels().items()
        }

    def save(self, path: str | Path) -> list[Path]:
        """Write the labels so that they overlay the image.

        Masks that may overlap become a file each, ``<stem>_<name>`` before the suffix, with 1 for the structure; in a
        PNG with 255.

        Args:
            path (str | Path): The format follows from the suffix, see :func:`~mmseg_medical.geometry.write_volume`.

        Returns:
            list[Path]: What was written.

        Raises:
            ValueError: The labels do not lie on the grid of the image, or the format would lose its geometry.
        """
        path = Path(path)
        if not self.multi_label:
            write_volume(self.labels, path, like=self.grid)
            return [path]
        stem = file_stem(path) or path.stem
        suffix = path.name[len(stem) :]
        written = []
        for k, name in enumerate(self.names):
            mask = np.ascontiguousarray(self.labels.array[..., k])
            if suffix.lower() == '.png':
                mask = mask * np.uint8(255)
            written.append(path.with_name(f'{stem}_{_in_file_names(name)}{suffix}'))
            write_volume(Volume(mask, self.labels.affine, self.labels.source), written[-1], like=self.grid)
        return written

    def save_probabilities(self, path: str | Path) -> Path:
        """Write the probabilities, the classes along the last axis.

        Args:
            path (str | Path): NIfTI or NRRD; npy for an image without an affine.

        Returns:
            Path: What was written.

        Raises:
            ValueError: They were not asked for, do not lie on the grid of the image, or the format cannot hold them.
        """
        if self.probabilities is None:
            raise ValueError('there are no probabilities; ask for them: predict(image, probabilities=True)')
        write_volume(self.probabilities, path, like=self.grid)
        return Path(path)

    def save_uncertainty(self, path: str | Path) -> list[Path]:
        """Write the maps of the uncertainty, a file each: ``<stem>_<map>`` before the suffix.

        Args:
            path (str | Path): NIfTI or NRRD; npy for an image without an affine.

        Returns:
            list[Path]: What was written.

        Raises:
            ValueError: They were not asked for, do not lie on the grid of the image, or the format cannot hold them.
        """
        if self.uncertainty is None:
            raise ValueError('there are no maps of uncertainty; ask for them: predict(image, uncertainty=True)')
        path = Path(path)
        stem = file_stem(path) or path.stem
        written = []
        for name, volume in self.uncertainty.items():
            written.append(path.with_name(f'{stem}_{name}{path.name[len(stem) :]}'))
            write_volume(volume, written[-1], like=self.grid)
        return written


def label_volume(labels: np.ndarray, grid: Grid, multi_label: bool) -> Volume:
    """Make ``Segmentation.labels`` of labels (1, *S), or of masks (K, *S) with ``multi_label``."""
    if multi_label:
        return Volume(np.moveaxis(labels, 0, -1), grid.affine, grid.name, has_channels=True)
    top = int(labels.max(initial=0))
    return Volume(labels[0].astype(np.min_scalar_type(top), copy=False), grid.affine, grid.name)


def probability_volume(values: np.ndarray, grid: Grid) -> Volume:
    """Make ``Segmentation.probabilities`` of probabilities (K, *S)."""
    return Volume(np.moveaxis(values, 0, -1).astype(np.float32, copy=False), grid.affine, grid.name, has_channels=True)


def _in_file_names(name: str) -> str:
    return re.sub(r'[^\w.+-]+', '_', name).strip('_') or 'unnamed'
