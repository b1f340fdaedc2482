"""Networks go over one volume, from its file to labels on the grid of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Frame, Grid, Resample, Volume, read_volume, refine_grid, refine_steps, restore
from mmseg_medical.inference.pipelines import build_pipeline, pipeline_steps
from mmseg_medical.models.segmentors import VolumeSegmentor
from mmseg_medical.models.segmentors.averaging import averaged, views_of
from mmseg_medical.models.segmentors.uncertainty import MemberSums

Prediction = tuple[np.ndarray, np.ndarray | None, Grid]


class _Prepared(NamedTuple):
    """An image on its way: ``image`` (C, *S), the steps that led to it from ``grid``, where it lies in its case."""

    image: Tensor
    steps: Sequence[Any]
    grid: Grid
    frame: Frame | None


class VolumeInference:
    """One or several :class:`VolumeSegmentor` of one config, whose probabilities are averaged window by window.

    Args:
        models (Sequence[VolumeSegmentor]): In evaluation mode.
        cfg (Config): The experiment.
        tta (bool | Sequence[int]): Average mirrored views along all subsets of these axes; True takes the axes of
            ``tta_cfg``.
        scale (int | Sequence[int]): Into how many the voxels of the file are divided along each axis, for heads that
            know points between them.
        samples (int): Times that each network is gone through, which its dropout makes different ones.

    Raises:
        ConfigError: The axes are not those of the images, or none are known; or the head knows no such points.
    """

    def __init__(
        self,
        models: Sequence[VolumeSegmentor],
        cfg: Config,
        tta: bool | Sequence[int] = False,
        scale: int | Sequence[int] = 1,
        samples: int = 1,
    ) -> None:
        self.models = list(models)
        self.first = self.models[0]
        self.scale = _scale(scale, self.first.spatial_dims)
        for model in self.models:
            model.frame_of((1,) * model.spatial_dims, scale=self.scale)
        views = views_of(_mirror_axes(self.first, cfg, tta), False, self.first.spatial_dims)
        members = [model.network for model in self.models for _ in range(samples)]
        self.averages = len(members) > 1 or len(views) > 1
        self.network: Callable[[Tensor], Tensor] = self.first.network
        if self.averages:
            self.network = averaged(members, self.first.activate, views)
        self.members = [averaged([member], self.first.activate, views) for member in members]
        steps = pipeline_steps(cfg)
        for step in steps:
            if step.get('type') == 'LoadVolume':  # so that its error, which names the file, comes before the network's
                step.setdefault('rank', self.first.spatial_dims)
                step.setdefault('num_channels', self.first.backbone.in_channels)
        self.pipeline = build_pipeline(steps)

    def prepare(self, image: Any, case_id: str) -> dict[str, Any]:
        """Say what of the pipeline's keys an image is."""
        several = isinstance(image, list | tuple)
        in_memory = isinstance(image[0] if several else image, Volume | np.ndarray)
        if in_memory:
            return {'volume': image, 'case_id': case_id}
        return {'img_path': [str(path) for path in image] if several else str(image), 'case_id': case_id}

    def load_image(self, image: Any) -> Volume:
        """Return the image, of several modalities the first, as it is drawn."""
        volume = first_volume(image, self.first.spatial_dims)
        return volume if set(self.scale) == {1} else _on_grid(volume, refine_grid(volume.grid, self.scale))

    def predict(self, image: Any, case_id: str, probabilities: bool) -> Prediction:
        """Segment one image.

        Args:
            image (Any): Path, :class:`Volume` or array, or a list of these, one a modality.
            case_id (str): For messages.
            probabilities (bool): Whether they are wanted; they take K float32 a voxel of the file.

        Returns:
            tuple: Labels (1, *S) or masks (K, *S), uint8 (more than 256 classes int64); probabilities (K, *S), float32,
            or None; the grid of the file, of smaller voxels where there is a scale.
        """
        with self._prepared(image, case_id) as ready:
            if probabilities:
                labels, values = self._with_probabilities(ready.image, ready.steps, ready.frame)
            else:
                labels = self.first.segment(ready.image, ready.steps, self.network, self.averages, ready.frame).numpy()
                values = None
        return labels, values, ready.grid

    def predict_members(self, image: Any, case_id: str) -> tuple[np.ndarray, MemberSums, Grid]:
        """Segment one image and see how far the members agree, each on the grid of the file.

        Args:
            image (Any): See :meth:`predict`.
            case_id (str): For messages.

        Returns:
            tuple: Labels as of :meth:`predict`, the members, the grid.
        """
        sums, air = MemberSums(self.first.multi_label), self.first.air_scores(True)
        with self._prepared(image, case_id) as ready:
            for member in self.members:
                scores = self.first.infer(ready.image, member, probabilities=True, frame=ready.frame).cpu().numpy()
                sums.add(torch.from_numpy(restore(scores, ready.steps, 'linear', fill=air)))
        return self.first.decide(sums.probabilities(), True).numpy(), sums, ready.grid

    @contextmanager
    def _prepared(self, image: Any, case_id: str) -> Iterator[_Prepared]:
        packed = self.pipeline(self.prepare(image, case_id))
        meta = packed['data_samples'].metainfo
        if meta.get('scale_level'):
            raise ConfigError('the test pipeline has a SimulateScale: its predictions are not on the grid of the file')
        batch = self.first.data_preprocessor(dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']]))
        tensor: Tensor = batch['inputs'][0]
        steps, grid, scale = meta.get('grid_steps') or (), meta['native_grid'], self.scale
        if set(scale) != {1}:
            grid = refine_grid(grid, scale)
            steps, scale = refine_steps(steps, scale)
        frame = self.first.frame_of(tensor.shape[1:], meta, scale)
        with ExitStack() as levels:
            for model in self.models:
                levels.enter_context(model.routed(tensor.shape[1:], meta.get('affine')))
            yield _Prepared(tensor, steps, grid, frame)

    def _with_probabilities(
        self, image: Tensor, steps: Sequence[Any], frame: Frame | None
    ) -> tuple[np.ndarray, np.ndarray]:
        scores = self.first.infer(image, self.network, probabilities=self.averages, frame=frame).cpu().numpy()
        native = torch.from_numpy(restore(scores, steps, 'linear', fill=self.first.air_scores(self.averages)))
        labels = self.first.decide(native, self.averages).numpy()
        return labels, (native if self.averages else self.first.activate(native)).numpy()


def _scale(scale: int | Sequence[int], axes: int) -> tuple[int, ...]:
    numbers = tuple(scale) if isinstance(scale, Sequence) else (scale,) * axes
    if len(numbers) != axes or not all(isinstance(number, int) and number > 0 for number in numbers):
        raise ConfigError(f'scale must be a whole number from 1 on, or one for each of {axes} axes, found {scale}')
    return numbers


def _on_grid(volume: Volume, grid: Grid) -> Volume:
    array = np.moveaxis(volume.array, -1, 0) if volume.has_channels else volume.array
    values = Resample.plan(volume.grid, size=grid.size).apply(array)
    return Volume(
        np.moveaxis(values, 0, -1) if volume.has_channels else values, grid.affine, volume.source, volume.has_channels
    )


def first_volume(image: Any, rank: int) -> Volume:
    """Return an image as it is drawn: of several modalities the first.

    Args:
        image (Any): Path, :class:`Volume` or array, or a list of these.
        rank (int): Number of spatial axes; an array with one more has channels first.
    """
    first = image[0] if isinstance(image, list | tuple) else image
    if isinstance(first, Volume):
        return first
    if not isinstance(first, np.ndarray):
        return read_volume(first)
    channels = first.ndim > rank
    return Volume(np.moveaxis(first, 0, -1) if channels else first, None, has_channels=channels)


def _mirror_axes(model: VolumeSegmentor, cfg: Config, tta: bool | Sequence[int]) -> Sequence[int]:
    if not isinstance(tta, bool):
        return tta
    own = model.test_cfg.get('mirror_axes') or ()
    axes = (cfg.get('tta_cfg', {}).get('mirror_axes') or own) if tta else own
    if tta and not axes:
        raise ConfigError(
            'test-time augmentation needs tta_cfg.mirror_axes in the config, or axes instead of True: tta=(0, 1)'
        )
    return axes
