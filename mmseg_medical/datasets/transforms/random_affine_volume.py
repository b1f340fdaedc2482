# ruff: noqa: NPY002 - the sampler seeds numpy's global generator for every sample
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch.nn.functional import grid_sample

from mmseg_medical.datasets.transforms.volume_checks import check_label_follows
from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomAffineVolume(BaseTransform):
    """Rotate, scale, shift and bend image and labels, in one interpolation.

    Every voxel of the result is looked up at ``center + S^-1 A (x - center) S + displacement`` with the spacing S in
    millimetres, so that anisotropic voxels are not sheared. The displacement is a cubic B-spline through a coarse grid
    of random control points. Images are interpolated linearly, labels by nearest neighbour.

    More than 15 times quicker than TorchIO's ``RandomAffine`` and ``RandomElasticDeformation`` one after the other (see
    docs/volume_pipelines.md).

    Required keys: ``img``, and ``gt_seg_map`` where there are labels; both are replaced.

    Recorded, if it acts: ``degrees``, ``scales``, ``shift`` (voxels), ``elastic_seed``, ``max_displacement`` (mm).

    Args:
        degrees (float | Sequence[float]): Rotations are drawn from [-degrees, degrees]; one number, or one an axis
            (2D: one in all).
        scales (Sequence[float]): Range of the magnification, drawn for each axis; its logarithm is uniform.
        isotropic (bool): Draw one magnification for all axes.
        shift (float | Sequence[float]): In voxels, drawn from [-shift, shift] for each axis.
        prob (float): Probability of the affine part.
        max_displacement_mm (float): Of a control point along each axis.
        control_points (int): Along each axis, at least 4.
        elastic_prob (float): Probability of the bending.
        pad_val (float | None): Image value outside; None takes the lowest of each channel.
        seg_pad_val (int): Label outside.
    """

    def __init__(
        self,
        degrees: float | Sequence[float] = 15.0,
        scales: Sequence[float] = (0.85, 1.2),
        isotropic: bool = False,
        shift: float | Sequence[float] = 0.0,
        prob: float = 0.5,
        max_displacement_mm: float = 4.0,
        control_points: int = 7,
        elastic_prob: float = 0.0,
        pad_val: float | None = 0.0,
        seg_pad_val: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= prob <= 1 or not 0 <= elastic_prob <= 1:
            raise ConfigError(f'prob and elastic_prob must be in [0, 1], found {prob} and {elastic_prob}')
        if len(scales) != 2 or not 0 < scales[0] <= scales[1]:
            raise ConfigError(f'scales of RandomAffineVolume must be a range of positive numbers, found {scales}')
        if control_points < 4:
            raise ConfigError(f'control_points of RandomAffineVolume must be at least 4, found {control_points}')
        self.degrees, self.scales, self.isotropic, self.shift = degrees, tuple(scales), isotropic, shift
        self.prob, self.elastic_prob = prob, elastic_prob
        self.max_displacement_mm, self.control_points = float(max_displacement_mm), int(control_points)
        self.pad_val, self.seg_pad_val = pad_val, seg_pad_val

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw, apply, record.

        Raises:
            RuntimeError: The labels lie on another grid than the image.
        """
        check_label_follows(results, type(self).__name__)
        record = self._draw(results['img'].ndim - 1)
        return results if record is None else self.replay(results, record)

    def _draw(self, rank: int) -> dict[str, Any] | None:
        moves, bends = np.random.random_sample(2) < (self.prob, self.elastic_prob)
        turns = _symmetric(self.degrees, 3 if rank == 3 else 1)
        low, high = np.log(self.scales)
        scales = np.exp(np.random.uniform(low, high, 1 if self.isotropic else rank))
        shift, seed = _symmetric(self.shift, rank), int(np.random.randint(2**31))
        if not (moves or bends):
            return None
        return dict(
            type='RandomAffineVolume',
            degrees=turns.tolist() if moves else [0.0] * len(turns),
            scales=np.broadcast_to(scales, rank).tolist() if moves else [1.0] * rank,
            shift=shift.tolist() if moves else [0.0] * rank,
            elastic_seed=seed if bends else None,
            control_points=self.control_points,
            max_displacement_mm=self.max_displacement_mm,
            pad_val=self.pad_val,
            seg_pad_val=self.seg_pad_val,
        )

    @staticmethod
    def replay(results: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        """Do again what ``record`` of ``augmentations`` says."""
        image, label = results['img'], results.get('gt_seg_map')
        size = image.shape[1:]
        spacing = np.array(results.get('spacing_mm') or (1.0,) * len(size))
        grid = _lookup_grid(source_places(size, spacing, record))
        fill = image.min(axis=tuple(range(1, image.ndim))) if record['pad_val'] is None else record['pad_val']
        results['img'] = _sample(image, grid, fill, 'bilinear')
        if label is not None:
            masks = label if label.ndim == image.ndim else label[None]
            results['gt_seg_map'] = _sample(masks, grid, record['seg_pad_val'], 'nearest').reshape(label.shape)
        results.pop('class_locations', None)
        results['augmentations'] = [*results.get('augmentations', []), dict(record)]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(degrees={self.degrees}, scales={self.scales}, shift={self.shift}, '
            f'prob={self.prob}, max_displacement_mm={self.max_displacement_mm}, elastic_prob={self.elastic_prob})'
        )


def source_places(size: Sequence[int], spacing_mm: np.ndarray, record: Mapping[str, Any]) -> torch.Tensor:
    """Where each voxel of the result is looked up.

    Args:
        size (Sequence[int]): Of image and result.
        spacing_mm (np.ndarray): shape (rank,).
        record (Mapping): The draw, see :class:`RandomAffineVolume`.

    Returns:
        Tensor: shape (rank, *S), float32, voxel coordinates.
    """
    rank = len(size)
    matrix = rotation(np.radians(record['degrees'])) @ np.diag(record['scales'])
    inverse = np.diag(1 / spacing_mm) @ np.linalg.inv(matrix) @ np.diag(spacing_mm)
    center = (np.array(size) - 1) / 2
    offset = center - inverse @ (center + np.array(record['shift']))
    axes = [
        torch.arange(n, dtype=torch.float32).reshape([-1 if a == b else 1 for b in range(rank)])
        for a, n in enumerate(size)
    ]
    places = torch.empty((rank, *size))
    for a in range(rank):
        terms = [axes[b] * float(inverse[a, b]) for b in range(rank)]
        places[a] = sum(terms[1:], terms[0] + float(offset[a]))
    if record['elastic_seed'] is not None:
        places += _displacement(size, record) / torch.tensor(spacing_mm, dtype=torch.float32).reshape(-1, *[1] * rank)
    return places


def rotation(angles: np.ndarray) -> np.ndarray:
    """Rotation matrix; in three dimensions about the first axis, then the second, then the third.

    Args:
        angles (np.ndarray): Radians, one in two dimensions and three in three.

    Returns:
        np.ndarray: shape (2, 2) or (3, 3).
    """
    planes = [(0, 1)] if len(angles) == 1 else [(1, 2), (2, 0), (0, 1)]
    whole = np.eye(2 if len(angles) == 1 else 3)
    for angle, (a, b) in zip(angles, planes, strict=True):
        one = np.eye(len(whole))
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        whole = one @ whole
    return whole


def _displacement(size: Sequence[int], record: Mapping[str, Any]) -> torch.Tensor:
    """Displacement (rank, *S) in millimetres."""
    rank, points = len(size), record['control_points']
    reach = record['max_displacement_mm']
    generator = np.random.RandomState(record['elastic_seed'])
    field = torch.from_numpy(generator.uniform(-reach, reach, (rank, *[points] * rank)).astype(np.float32))
    for length in size:  # one axis after the other; the one that is contracted comes back as the last
        field = torch.tensordot(field, spline_weights(length, points), dims=([1], [1]))
    return field


def spline_weights(length: int, points: int) -> torch.Tensor:
    """Weights (length, points) of uniform cubic B-splines, whose support covers an axis."""
    place = (np.arange(length) + 0.5) / length * (points - 3)
    cell = np.minimum(place.astype(int), points - 4)
    t = place - cell
    parts = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.zeros((length, points), np.float32)
    for k, part in enumerate(parts):
        weights[np.arange(length), cell + k] = part / 6
    return torch.from_numpy(weights)


def _lookup_grid(places: torch.Tensor) -> torch.Tensor:
    """Turn places (rank, *S) into what grid_sample takes: (1, *S, rank) from -1 to 1, the last axis first."""
    grid = torch.empty_like(places)
    for axis, length in enumerate(places.shape[1:]):
        torch.mul(places[axis], 2 / length, out=grid[-1 - axis]).add_(1 / length - 1)
    return grid.movedim(0, -1)[None]


def _sample(array: np.ndarray, grid: torch.Tensor, fill: Any, mode: str) -> np.ndarray:
    """Look an array (C, *S) up; ``fill`` outside, a number or one for each channel."""
    outside = torch.as_tensor(np.broadcast_to(np.asarray(fill, np.float32), len(array)).copy())
    outside = outside.reshape(1, -1, *[1] * (array.ndim - 1))
    values = torch.from_numpy(array.astype(np.float32))[None].sub_(outside)
    values = grid_sample(values, grid, mode=mode, padding_mode='zeros', align_corners=False).add_(outside)
    return values[0].numpy().astype(array.dtype, copy=False)


def _symmetric(reach: float | Sequence[float], number: int) -> np.ndarray:
    bounds = np.broadcast_to(np.asarray(reach, np.float64), number)
    return np.random.uniform(-bounds, bounds)
