"""Segmentor of images of any rank, whose predictions lie on the grid of the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn.functional import pad

from mmseg_medical.geometry import CropPad, Frame, GridStep, Reorient, restore, restore_labels
from mmseg_medical.models.segmentors.averaging import Network, averaged, views_of
from mmseg_medical.models.segmentors.deciding import activate, air_scores, decide
from mmseg_medical.models.segmentors.going_over import go_over
from mmseg_medical.models.segmentors.native_grid import put_on_native_grid
from mmseg_medical.registry import MODELS
from mmseg_medical.structures import VolumeData


@MODELS.register_module()
class VolumeSegmentor(BaseSegmentor):
    """Backbone and head for images (C, *S) with two or three axes.

    ``test_cfg``, all keys optional:

    - ``mode``: ``'whole'`` (default), or ``'slide'`` with ``window`` and ``overlap`` (default 0.5), ``window_weights``
      (``'gaussian'`` or ``'constant'``), ``batch_size`` windows at a time, ``skip_air``: windows whose largest value
      in every channel is at most this are background;
    - ``mirror_axes``: spatial axes along whose subsets mirrored views are averaged, as probabilities;
    - ``threshold`` of multi-label masks, one number or one a class (default: the head's);
    - ``precision``: ``'bfloat16'`` or ``'float16'`` computes the network in it, sums stay in float32;
    - ``keep_scores``: samples get ``seg_logits`` (``seg_probs`` where views are averaged) on the native grid too, at K
      times the memory.

    Args:
        backbone (dict): Config of the backbone.
        decode_head (dict): Config of the head, see :class:`VolumeHead`.
        data_preprocessor (dict | None): Default: :class:`VolumeDataPreProcessor`.
        train_cfg (dict | None): Unused by the class itself.
        test_cfg (dict | None): See above.
        channels_last (bool): Keep channels behind space in memory; on GPUs with tensor cores the faster layout.
        init_cfg (dict | None): As in mmengine.
    """

    def __init__(
        self,
        backbone: dict,
        decode_head: dict,
        data_preprocessor: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        channels_last: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        # built here: mmengine asks its own registry, which finds ours only where a runner has set the scope
        preprocessor = MODELS.build(data_preprocessor or dict(type='VolumeDataPreProcessor'))
        super().__init__(data_preprocessor=preprocessor, init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        self.decode_head = MODELS.build(decode_head)
        self.train_cfg = dict(train_cfg or {})
        self.test_cfg = dict(test_cfg or {})
        self.channels_last = channels_last
        if channels_last:
            self.to(memory_format=self._memory_format)
        if self.test_cfg.get('mode', 'whole') not in ('whole', 'slide'):
            raise ValueError(f"test_cfg.mode must be 'whole' or 'slide', got {self.test_cfg['mode']!r}")
        if self.test_cfg.get('mode') == 'slide' and 'window' not in self.test_cfg:
            raise ValueError("test_cfg.mode='slide' needs test_cfg.window, the size of a window")

    @property
    def spatial_dims(self) -> int:
        """Number of axes of the images, 2 or 3."""
        return self.backbone.spatial_dims

    @property
    def out_channels(self) -> int:
        """Number K of channels of the logits."""
        return self.decode_head.out_channels

    @property
    def multi_label(self) -> bool:
        """Whether classes may overlap."""
        return self.decode_head.multi_label

    @property
    def threshold(self) -> float | Sequence[float]:
        """Probability above which a voxel belongs to a multi-label class, one number or one a class."""
        return self.test_cfg.get('threshold') or self.decode_head.threshold

    @property
    def _memory_format(self) -> torch.memory_format:
        return torch.channels_last_3d if self.spatial_dims == 3 else torch.channels_last

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Maps of the backbone for a batch (N, C, *S).

        Raises:
            ValueError: The batch has another rank or number of channels than the backbone.
        """
        wanted = self.backbone.in_channels
        if inputs.ndim != self.spatial_dims + 2 or inputs.shape[1] != wanted:
            raise ValueError(
                f'the network takes images of {self.spatial_dims} axes and {wanted} channels, '
                f'got {inputs.ndim - 2} axes and {inputs.shape[1]} channels (shape {tuple(inputs.shape)})'
            )
        if self.channels_last:
            inputs = inputs.to(memory_format=self._memory_format)
        return self.backbone(inputs)

    def encode_decode(self, inputs: Tensor, batch_data_samples: Any = None) -> Tensor:
        """Logits (N, K, *S) of a batch (N, C, *S); see :meth:`network`."""
        return self.network(inputs)

    def network(self, inputs: Tensor, *frames: Sequence[Frame]) -> Tensor:
        """Logits of a batch, for inference.

        Args:
            inputs (Tensor): shape (N, C, *S), any size: it is padded with zeros behind to what the network divides by,
                and to two voxels at its bottom.
            *frames (Sequence[Frame]): At most one argument, a frame of each image, see :meth:`infer`; none: each image
                is a case of its own.

        Returns:
            Tensor: shape (N, K, *S), float32; S times the scale of the frames.
        """
        size = inputs.shape[2:]
        if not frames and (whole := self.frame_of(size)) is not None:
            frames = ([whole] * len(inputs),)
        divisors = self._divisors()
        missing = [-n % d for n, d in zip(size, divisors, strict=True)]
        if all(n + m == d for n, m, d in zip(size, missing, divisors, strict=True)):
            missing[0] += divisors[0]  # norms over space need more than one voxel at the bottom
        if any(missing):
            inputs = pad(inputs, [part for m in reversed(missing) for part in (0, m)])
        with self._autocast(inputs.device.type):
            features = self.extract_feat(inputs)
            inside: Any = (..., *(slice(n) for n in size))
            if frames:  # points between voxels are interpolated, but not with what was padded
                return self.decode_head((*features[:-1], features[-1][inside]), *frames)[0].float()
            return self.decode_head(features)[0].float()[inside]

    def routed(self, size: Sequence[int], affine: np.ndarray | None) -> AbstractContextManager:
        """Set the network up for an image, as long as the context lasts; here nothing is to be done.

        Args:
            size (Sequence[int]): Of the prepared image.
            affine (np.ndarray | None): Of the prepared image.
        """
        return nullcontext()

    @torch.no_grad()
    def infer(
        self,
        image: Tensor,
        network: Network | None = None,
        decide: Callable[[Tensor], Tensor] | None = None,
        probabilities: bool | None = None,
        frame: Frame | None = None,
    ) -> Tensor:
        """Go over an image, whole or window by window.

        Args:
            image (Tensor): shape (C, *S), prepared as in training.
            network (callable | None): What to go over it with, (N, C, *S) -> (N, K, *S); default:
                :meth:`averaged_network`. Where the head asks for frames it gets them as second argument, one an image.
            decide (callable | None): Maps scores (K, *R) of a part R of the image to what is kept, (D, *R).
            probabilities (bool | None): Whether ``network`` gives probabilities; None: :attr:`gives_probabilities`.
            frame (Frame | None): Where the image lies in its case, and how finely it is asked for, see
                :meth:`frame_of`; None: the image is the case.

        Returns:
            Tensor: Scores (K, *S), or what ``decide`` makes of them, (D, *S); S times the scale of the frame.
        """
        return go_over(
            network or self.averaged_network(),
            image,
            self.test_cfg,
            num_classes=self.out_channels,
            background=self.air_scores(probabilities),
            decide=decide,
            frame=frame or self.frame_of(image.shape[1:]),
        )

    def frame_of(
        self, size: Sequence[int], meta: Mapping[str, Any] | None = None, scale: Sequence[int] = ()
    ) -> Frame | None:
        """Find where an image lies in its case, for heads that ask for it; None: this one does not.

        Args:
            size (Sequence[int]): Of the prepared image.
            meta (Mapping | None): Metainfo of its sample; None: the image is the case.
            scale (Sequence[int]): Points that are asked for along each axis of a voxel.

        Raises:
            ConfigError: The head knows no points between voxels.
            DataError: Nobody knows where a patch was cut.
        """
        return self.decode_head.frame_of(size, meta or {}, scale)

    def air_scores(self, probabilities: bool | None = None) -> list[float]:
        """Scores of a voxel that is certainly background, one a class.

        Args:
            probabilities (bool | None): Whether they are; None: :attr:`gives_probabilities`.
        """
        given = self.gives_probabilities if probabilities is None else probabilities
        return air_scores(self.out_channels, self.multi_label, given)

    @property
    def gives_probabilities(self) -> bool:
        """Whether :meth:`infer` yields probabilities by default: where views are averaged."""
        return bool(self.test_cfg.get('mirror_axes'))

    def averaged_network(self) -> Network:
        """Give :meth:`network`, or its mean over the mirrored views of ``test_cfg.mirror_axes``."""
        if not self.gives_probabilities:
            return self.network
        views = views_of(self.test_cfg['mirror_axes'], False, self.spatial_dims)
        return averaged([self.network], self.activate, views)

    def activate(self, logits: Tensor, dim: int = 0) -> Tensor:
        """Probabilities of logits whose classes lie along ``dim``."""
        return activate(logits, self.multi_label, dim)

    def decide(self, scores: Tensor, probabilities: bool = False) -> Tensor:
        """Labels (1, *S), or masks (K, *S) with ``multi_label``, of logits or probabilities (K, *S); uint8."""
        return decide(scores, self.multi_label, self.threshold, probabilities)

    def predict(self, inputs: Sequence[Tensor], data_samples: Sequence[SegDataSample] | None = None) -> list:
        """Segment images one by one.

        Args:
            inputs (Sequence[Tensor]): each (C, *S), as the test pipeline prepared it.
            data_samples (Sequence[SegDataSample] | None): Their ``grid_steps`` lead back to the native grid.

        Returns:
            list[SegDataSample]: with ``pred_sem_seg``, labels (1, *native) or masks (K, *native), uint8.
        """
        samples = [SegDataSample() for _ in inputs] if data_samples is None else list(data_samples)
        for image, sample in zip(inputs, samples, strict=True):
            self.predict_sample(image, sample)
        return samples

    def predict_sample(self, image: Tensor, sample: SegDataSample) -> None:
        """Segment one image (C, *S) into ``sample``; see :meth:`predict`."""
        with self.routed(image.shape[1:], sample.metainfo.get('affine')):
            self._predict_sample(image, sample)

    def segment(
        self,
        image: Tensor,
        steps: Sequence[GridStep] = (),
        network: Network | None = None,
        probabilities: bool | None = None,
        frame: Frame | None = None,
    ) -> Tensor:
        """Segment one prepared image on the grid it came from.

        Where nothing is interpolated on the way back, labels are decided first: scores of the whole image need not
        exist then.

        Args:
            image (Tensor): shape (C, *S).
            steps (Sequence[GridStep]): That led to the grid of ``image``; with a scale, of the finer one.
            network (callable | None): See :meth:`infer`.
            probabilities (bool | None): See :meth:`infer`.
            frame (Frame | None): See :meth:`infer`.

        Returns:
            Tensor: Labels (1, *native) or masks (K, *native), on the host.
        """
        decide = partial(
            self.decide, probabilities=self.gives_probabilities if probabilities is None else probabilities
        )
        if all(isinstance(step, Reorient | CropPad) for step in steps):
            labels = self.infer(image, network, decide, probabilities, frame).cpu()
            return torch.as_tensor(restore(labels.numpy(), steps, 'nearest')) if steps else labels
        scores = self.infer(image, network, probabilities=probabilities, frame=frame).cpu()
        return torch.as_tensor(restore_labels(scores, steps, decide))

    def _predict_sample(self, image: Tensor, sample: SegDataSample) -> None:
        steps = sample.metainfo.get('grid_steps') or ()
        frame = self.frame_of(image.shape[1:], sample.metainfo)
        if not self.test_cfg.get('keep_scores', False):
            sample.pred_sem_seg = VolumeData(data=self.segment(image, steps, frame=frame))
            return
        scores = self.infer(image, frame=frame).cpu()
        decide = partial(self.decide, probabilities=self.gives_probabilities)
        name = 'seg_probs' if self.gives_probabilities else 'seg_logits'
        put_on_native_grid(sample, scores, steps, decide, name, self.air_scores())

    def loss(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """Losses of a batch (N, C, *S), names with the prefix ``decode.``."""
        losses = self.decode_head.loss(self.extract_feat(inputs), data_samples)
        return {f'decode.{name}': value for name, value in losses.items()}

    def _forward(self, inputs: Tensor | Sequence[Tensor], data_samples: Any = None) -> Any:
        """What the head gives for a batch, as in training; for counting operations and exporting."""
        batch = inputs if isinstance(inputs, Tensor) else torch.stack(list(inputs))
        return self.decode_head(self.extract_feat(batch))

    def _divisors(self) -> Sequence[int]:
        return getattr(self.backbone, 'divisors', (1,) * self.spatial_dims)

    def _autocast(self, device: str) -> AbstractContextManager:
        precision = self.test_cfg.get('precision')
        if precision is None or self.training:
            return nullcontext()
        return torch.autocast(device, getattr(torch, precision))
