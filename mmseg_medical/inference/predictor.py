"""Files in, segmentations on their own grid out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict

from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Grid, Volume, file_stem
from mmseg_medical.inference.component_filter import ComponentFilter
from mmseg_medical.inference.dropout_samples import DropoutSamples
from mmseg_medical.inference.loading import LoadedModel, build_models, label_names, load_from_checkpoints
from mmseg_medical.inference.model_directory import load_model_directory
from mmseg_medical.inference.photograph_inference import PhotographInference
from mmseg_medical.inference.pipelines import pipeline_steps, slice_loader
from mmseg_medical.inference.region import Region
from mmseg_medical.inference.segmentation import Segmentation, label_volume, probability_volume
from mmseg_medical.inference.slice_inference import SliceInference
from mmseg_medical.inference.volume_inference import VolumeInference
from mmseg_medical.models.segmentors import MedicalEncoderDecoder, VolumeSegmentor
from mmseg_medical.models.segmentors.uncertainty import MemberSums
from mmseg_medical.visualization.volume_overlay import overlay_picture

_PRECISIONS = ('float32', 'bfloat16', 'float16')
Image = str | Path | Volume | np.ndarray


class Predictor:
    """A trained model that segments files.

    Args:
        config_or_dir: A model directory (see docs/predict.md), or a config or its path. A config file is Python and is
            run; a model directory runs nothing.
        checkpoint: Weights of the config; of several the probabilities are averaged. None for a model directory.
        device: E.g. ``'cuda:0'``.
        tta: Average mirrored views, along all subsets of the axes of ``tta_cfg.mirror_axes`` (volumes, and slices of
            them, which ``tta_cfg.quarter_turns`` turns too) or the views of ``tta_pipeline`` (photographs); axes of a
            volume or slice may be given instead of True.
        precision: ``'bfloat16'``, ``'float16'`` or ``'float32'`` to compute the network in; None as the config says.
        component_filter: A :class:`ComponentFilter` or its arguments; None takes ``test_cfg.component_filter``.
        trusted: Read checkpoints and model directories that may run code.
        scale: Into how many voxels those of the file are divided along each of its axes, one number or one an axis:
            labels at 2 or 4 times the resolution, of networks with an implicit head.
        planes: Of networks of slices: ``'axial'``, ``'coronal'``, ``'sagittal'``; probabilities of several are averaged
            on the grid of the file. None given: the slices of the config's tests.
        mc_dropout: Average so many samples of dropout of each network, see docs/uncertainty.md; 0 switches it off.
        seed: Of these samples, the same for every image.

    Raises:
        ConfigError: The config cannot be used, or there is no such device.
        ModelNotFoundError: The model directory, a file of it or a checkpoint is missing; a FileNotFoundError too.
        CheckpointError: Weights are damaged, tampered with, pickled without ``trusted``, or do not fit.

    Example:
        >>> predictor = Predictor('data/models/hippocampus')  # doctest: +SKIP
        >>> predictor.predict('case.nii.gz').save('labels.nii.gz')  # doctest: +SKIP
    """

    def __init__(
        self,
        config_or_dir: str | Path | Config,
        checkpoint: str | Path | Sequence[str | Path] | None = None,
        device: str = 'cpu',
        tta: bool | Sequence[int] = False,
        precision: str | None = None,
        component_filter: ComponentFilter | Mapping[str, Any] | None = None,
        trusted: bool = False,
        scale: int | Sequence[int] = 1,
        planes: str | Sequence[str] = (),
        mc_dropout: int = 0,
        seed: int = 0,
    ) -> None:
        if precision not in (None, *_PRECISIONS):
            raise ConfigError(f'precision must be one of {", ".join(_PRECISIONS)}, found {precision!r}')
        loaded = _load(config_or_dir, checkpoint, trusted)
        self.cfg = loaded.cfg
        self.source = loaded.source
        models: list[Any] = build_models(loaded, device)
        first = models[0]
        self.names = label_names(loaded.names, first)
        options = first.test_cfg or {}
        given = component_filter if component_filter is not None else options.get('component_filter')
        self.component_filter = ComponentFilter.from_config(given)
        self.component_filter.check(self.names)
        self._sampled = DropoutSamples(models, mc_dropout, seed)
        self._inference = _inference(models, loaded.cfg, tta, precision, scale, planes, mc_dropout)
        added = {'planes': planes, 'mc_dropout': (mc_dropout, seed) if mc_dropout else 0}
        given_ones = [(key, value) for key, value in added.items() if value]
        settings = repr((tta, precision, self.component_filter, *(() if scale == 1 else (scale,)), *given_ones))
        self.identity = hashlib.sha256(f'{loaded.identity} {settings}'.encode()).hexdigest()

    @property
    def segments_photographs(self) -> bool:
        """Whether it takes colour photographs instead of volumes."""
        return isinstance(self._inference, PhotographInference)

    def predict(
        self,
        image: Image | Sequence[Image],
        *,
        case_id: str | None = None,
        probabilities: bool = False,
        uncertainty: bool = False,
        region: Region | None = None,
    ) -> Segmentation:
        """Segment one image.

        Args:
            image: A path: a file, or a folder with one DICOM series; a :class:`~mmseg_medical.geometry.Volume`; an
                array (*S) or (C, *S); or a list of these, one a modality of the case. Models of photographs take a
                path, a Volume (H, W, 3) in RGB or an array (H, W, 3) in BGR as OpenCV reads it.
            case_id: For messages; default: from the name of the file.
            probabilities: Yield them too; they take 4 K bytes a voxel.
            uncertainty: Yield its maps too, of the networks, samples of dropout and planes; 4 (3 K + 7) bytes a voxel,
                however many there are, and 4 K more where the way back resamples.
            region: Where structures can be: labels outside become background before ``component_filter`` looks at
                them. Probabilities stay.

        Returns:
            Segmentation: On the grid of the image; with a ``scale`` of smaller voxels over the same field of view.

        Raises:
            OSError: A file cannot be read.
            DataError: A file is damaged, or has another rank or number of channels than the model; or the region lies
                on another grid than the image.
        """
        source = _source(image)
        case_id = case_id or (file_stem(source) or Path(source).stem if source else 'image')
        members: MemberSums | None = None
        with self._sampled.drawn():
            if uncertainty or self._sampled.number:  # so that maps and labels are of the same draws
                labels, members, grid = self._with_members(image, case_id)
                values = members.probabilities().numpy() if probabilities else None
            else:
                labels, values, grid = self._inference.predict(image, case_id, probabilities)
        grid = Grid(grid.size, grid.affine, source or case_id)
        volume = label_volume(labels, grid, bool(self._inference.first.multi_label))
        if region is not None:
            scale = self._inference.scale if isinstance(self._inference, VolumeInference) else ()
            volume = region.keep(volume, scale)
        return Segmentation(
            self.component_filter.apply(volume, self.names),
            self.names,
            grid,
            None if values is None else probability_volume(values, grid),
            source,
            _maps(members, grid) if members is not None and uncertainty else None,
        )

    def visualize(self, image: Image | Sequence[Image], *, case_id: str | None = None) -> np.ndarray:
        """Segment one image and draw the result over it, with a legend.

        Args:
            image: As for :meth:`predict`; of several modalities the first is drawn.
            case_id: Heading; default: from the name of the file.

        Returns:
            np.ndarray: shape (h, w, 3), uint8, RGB; of a volume the slice with most foreground across each axis.

        Raises:
            OSError, DataError: As :meth:`predict`.
        """
        segmentation = self.predict(image, case_id=case_id)
        title = case_id or Path(segmentation.grid.name).name
        return overlay_picture(self.load_image(image), segmentation.masks(), title)

    def load_image(self, image: Image | Sequence[Image]) -> Volume:
        """Return the image as it is drawn: of several modalities the first, photographs in RGB."""
        return self._inference.load_image(image)

    def _with_members(self, image: Any, case_id: str) -> tuple[np.ndarray, MemberSums, Grid]:
        inference = self._inference
        if isinstance(inference, PhotographInference):
            raise ConfigError('uncertainty is mapped for volumes and their slices, not for photographs')
        if inference.averages:
            return inference.predict_members(image, case_id)
        # of one network scores are interpolated on the way back, not probabilities: labels stay what they are without
        labels, values, grid = inference.predict(image, case_id, True)
        members = MemberSums(inference.first.multi_label)
        members.add(torch.as_tensor(values))
        return labels, members, grid


def _load(config_or_dir: str | Path | Config, checkpoint: Any, trusted: bool) -> LoadedModel:
    if isinstance(config_or_dir, Config) or Path(config_or_dir).suffix == '.py':
        if checkpoint is None:
            raise ConfigError('a config needs a checkpoint: Predictor(config, checkpoint)')
        return load_from_checkpoints(config_or_dir, checkpoint, trusted)
    if checkpoint is not None:
        raise ConfigError(f'{config_or_dir} is taken for a model directory, which has its own weights: no checkpoint')
    return load_model_directory(config_or_dir, trusted)


def _inference(
    models: list[Any],
    cfg: Config,
    tta: bool | Sequence[int],
    precision: str | None,
    scale: int | Sequence[int],
    planes: str | Sequence[str],
    mc_dropout: int,
) -> VolumeInference | SliceInference | PhotographInference:
    reduced = None if precision in (None, 'float32') else getattr(torch, precision)
    if tta is True and 'tta_cfg' in cfg:  # segmentors that average views by themselves
        for model in models:
            model.test_cfg = ConfigDict({**(model.test_cfg or {}), **cfg.tta_cfg})
    samples = max(mc_dropout, 1)
    first, in_slices = models[0], slice_loader(pipeline_steps(cfg)) is not None
    if not isinstance(first, MedicalEncoderDecoder | VolumeSegmentor):
        raise ConfigError(
            f'a Predictor needs a VolumeSegmentor or a MedicalEncoderDecoder, model.type is {cfg.model.type}'
        )
    if scale != 1 and (in_slices or isinstance(first, MedicalEncoderDecoder)):
        raise ConfigError(f'photographs and slices are segmented at their own resolution, found scale={scale}')
    if planes and not in_slices:
        raise ConfigError(
            f'volumes are cut along planes for models whose pipeline begins with LoadSlice, found planes={planes!r}'
        )
    if isinstance(first, VolumeSegmentor) and precision is not None:
        for model in models:
            model.test_cfg['precision'] = None if reduced is None else precision
    if in_slices:
        return SliceInference(models, cfg, tta, reduced, planes, samples)
    if isinstance(first, VolumeSegmentor):
        return VolumeInference(models, cfg, tta, scale, samples)
    if mc_dropout:
        raise ConfigError('dropout is sampled for volumes and their slices, not for photographs: mc_dropout=0')
    return PhotographInference(models, cfg, tta, reduced)


def _source(image: Any) -> str:
    first = image[0] if isinstance(image, list | tuple) and len(image) else image
    if isinstance(first, Volume):
        return first.source
    return '' if isinstance(first, np.ndarray) else str(first)


def _maps(members: MemberSums, grid: Grid) -> dict[str, Volume]:
    return {name: Volume(one.numpy(), grid.affine, grid.name) for name, one in members.maps().items()}
