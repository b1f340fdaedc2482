from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.datasets.errors import DataError, data_error
from mmseg_medical.datasets.transforms.volume_checks import check_labels
from mmseg_medical.geometry import Grid, Volume, grid_difference, read_labels
from mmseg_medical.registry import TRANSFORMS

_ONE_A_VOXEL = 'Give one label map; overlapping masks are made of labels by regions of LoadVolumeAnnotations.'


@TRANSFORMS.register_module()
class LoadVolumeAnnotations(BaseTransform):
    """Load the labels of an image, as one label a voxel or as one mask a region.

    For training, put it right behind ``LoadVolume``: what moves the image then moves the labels too. For testing, put
    it behind everything that changes the grid: the truth stays on the grid of the file, where predictions are scored.

    Required keys: ``native_grid``, and ``seg_map_path`` or, in memory, ``label_volume``: a
    :class:`~mmseg_medical.geometry.Volume` or an array (*S). Optionally ``label_map`` and ``regions`` of the data set,
    which the arguments override.

    Added keys: ``gt_seg_map``: (*S) labels, of the smallest unsigned type; or uint8 (K, *S) masks of 0 and 1, 255
    where ignored. It is entered into ``seg_fields``. ``labels_on_native_grid``: whether the image has left the grid of
    the file before, so that they no longer move together.

    Args:
        num_classes (int | None): Labels lie in 0..num_classes-1, after ``label_map``; None does not check the upper
            end.
        label_map (dict[int, int] | None): Value in the file to class. A value that is not named is an error.
        regions (Sequence[Sequence[int]] | None): Labels that make up each of K masks, which may overlap, e.g.
            ``[[1, 2, 3], [2, 3], [3]]``.
        ignore_index (int): Label that is no class and is left out of losses and metrics.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        label_map: Mapping[int, int] | None = None,
        regions: Sequence[Sequence[int]] | None = None,
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.label_map = None if label_map is None else {int(k): int(v) for k, v in label_map.items()}
        self.regions = None if regions is None else [[int(label) for label in region] for region in regions]
        self.ignore_index = ignore_index

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load the labels.

        Raises:
            DataError: They are missing, damaged, not whole numbers, no classes, or on another grid than the image.
            RuntimeError: A patch has been cut already.
        """
        _refuse_patches(results)
        volume = _labels(results)
        _check_grid(volume, results['native_grid'], _image_name(results))
        label_map = self.label_map if self.label_map is not None else results.get('label_map')
        labels = volume.array
        if label_map:
            labels = self._map(labels, label_map, volume.name)
        check_labels(labels, volume.name, self.num_classes, self.ignore_index)
        regions = self.regions if self.regions is not None else results.get('regions')
        results['gt_seg_map'] = np.ascontiguousarray(labels) if regions is None else self._masks(labels, regions)
        results['labels_on_native_grid'] = bool(results.get('grid_steps'))
        results['seg_fields'] = [*(f for f in results.get('seg_fields', []) if f != 'gt_seg_map'), 'gt_seg_map']
        return results

    def _map(self, labels: np.ndarray, label_map: Mapping[int, int], name: str) -> np.ndarray:
        label_map = {int(k): int(v) for k, v in label_map.items()}
        values, inverse = np.unique(labels, return_inverse=True)
        unknown = [int(v) for v in values if int(v) not in label_map and v != self.ignore_index]
        if unknown:
            raise data_error(
                name,
                expected=f'labels that label_map names ({", ".join(map(str, label_map))})',
                found=', '.join(map(str, unknown[:10])),
                remedy='Add them to label_map of LoadVolumeAnnotations.',
            )
        mapped = np.array([label_map.get(int(v), self.ignore_index) for v in values], np.int64)
        dtype = np.min_scalar_type(int(mapped.max())) if mapped.min() >= 0 else np.int64
        return mapped.astype(dtype)[inverse].reshape(labels.shape)

    def _masks(self, labels: np.ndarray, regions: Sequence[Sequence[int]]) -> np.ndarray:
        masks = np.empty((len(regions), *labels.shape), np.uint8)
        ignored = labels == self.ignore_index
        for mask, region in zip(masks, regions, strict=True):
            mask[...] = np.isin(labels, region)
            if self.ignore_index not in region:
                mask[ignored] = 255
        return masks

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_classes={self.num_classes}, label_map={self.label_map}, '
            f'regions={self.regions}, ignore_index={self.ignore_index})'
        )


def _refuse_patches(results: dict[str, Any]) -> None:
    drawn = [entry['type'] for entry in results.get('augmentations', [])]
    if drawn:
        raise RuntimeError(
            f'LoadVolumeAnnotations comes behind {", ".join(drawn)}, which the labels then do not follow: to train, '
            'put it right behind LoadVolume; to test, draw nothing.'
        )


def _check_grid(labels: Volume, native: Grid, image: str) -> None:
    difference = grid_difference(labels, Grid(native.size, native.affine, image))
    if difference is not None:
        raise data_error(
            labels.name,
            expected=f'the grid of its image {image}',
            found=difference,
            remedy='If the pair belongs together, resample the labels (geometry.resample_like) and store them.',
        )


def _image_name(results: dict[str, Any]) -> str:
    paths = results.get('img_path') or f'case {results.get("case_id", "in memory")}'
    return str(paths[0]) if isinstance(paths, list | tuple) else str(paths)


def _labels(results: dict[str, Any]) -> Volume:
    given, name = results.get('label_volume'), f'labels of {_image_name(results)}'
    if given is None and results.get('seg_map_path') is None:
        raise data_error(
            name,
            expected='seg_map_path or label_volume',
            found='neither',
            remedy='Choose cases with labels, or take LoadVolumeAnnotations out of the pipeline.',
        )
    try:
        return read_labels(results['seg_map_path']) if given is None else _from_memory(given, results, name)
    except (OSError, ValueError) as error:
        raise DataError(str(error)) from error


def _from_memory(given: Any, results: dict[str, Any], name: str) -> Volume:
    if isinstance(given, Volume):
        volume = Volume(given.array, given.affine, given.source or name, given.has_channels)
    else:
        volume = Volume(np.asarray(given), results['native_grid'].affine, name)
    if volume.has_channels:
        found = f'shape {volume.array.shape}'
        raise data_error(volume.name, expected='one label a voxel', found=found, remedy=_ONE_A_VOXEL)
    array = volume.array.view(np.uint8) if volume.array.dtype == bool else volume.array
    if array.dtype.kind not in 'iu':
        finite = bool(np.isfinite(array).all())
        whole = np.rint(array).astype(np.int64) if finite else array
        if not finite or not np.array_equal(whole, array):
            found = f'{"fractions" if finite else "NaN or infinite values"} ({array.dtype})'
            raise data_error(volume.name, expected='whole numbers as labels', found=found, remedy='')
        array = whole
    if array.min(initial=0) >= 0:
        array = array.astype(np.min_scalar_type(int(array.max(initial=0))))
    return Volume(array, volume.affine, volume.name)
