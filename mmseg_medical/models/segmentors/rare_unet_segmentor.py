"""Segmentor around RARE-UNet: levels by spacing, and all levels in validation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_medical.models.losses.deep_supervision import resize_target
from mmseg_medical.models.segmentors.volume_segmentor import VolumeSegmentor
from mmseg_medical.registry import MODELS
from mmseg_medical.structures import VolumeData


@MODELS.register_module()
class RAREUNetSegmentor(VolumeSegmentor):
    """:class:`VolumeSegmentor` whose images enter the level of their spacing, where ``routing.spacing_mm`` is set.

    Validation in training segments each image at full resolution, as testing does, and its reductions at the levels
    1..S: samples get ``pred_sem_seg_scale{d}`` and the truth reduced to it, ``gt_sem_seg_scale{d}``, from which
    ``MultiScaleSegMetric`` computes ``dice_fullres``, ``dice_multiscale_avg`` and the like.
    """

    def routed(self, size: Sequence[int], affine: np.ndarray | None) -> AbstractContextManager:
        """Send an image to the level of its spacing or, where that does not matter, of its size."""
        spacing = None if affine is None else tuple(np.linalg.norm(np.asarray(affine)[:3, : len(size)], axis=0))
        return self.backbone.entered_at(self.backbone.level_of(size, spacing))

    def val_step(self, data: Any) -> list[SegDataSample]:
        """Segment a batch of the validation at all levels."""
        data = self.data_preprocessor(data, False)
        samples = self.predict(**data)
        for image, sample in zip(data['inputs'], samples, strict=True):
            self.predict_scales(image, sample)
        return samples

    def predict_scales(self, image: Tensor, sample: SegDataSample) -> None:
        """Segment the reductions of an image (C, *S); see the class.

        Args:
            image (Tensor): shape (C, *S), of full resolution.
            sample (SegDataSample): Gets the predictions, (1, *S / 2^d) labels or (K, *S / 2^d) masks.
        """
        truth = _truth_on_the_grid_of_inputs(sample)
        for d in range(1, self.backbone.num_gates + 1):
            reduced = self.backbone.reduced(image[None], d)
            with self.backbone.entered_at(d):
                labels = self.decide(self.network(reduced)[0]).cpu()
            sample.set_data({f'pred_sem_seg_scale{d}': VolumeData(data=labels)})
            if truth is not None:
                coarse = resize_target(truth[None], labels.shape[1:], self.decode_head.target_resize)[0]
                sample.set_data({f'gt_sem_seg_scale{d}': VolumeData(data=coarse)})


def _truth_on_the_grid_of_inputs(sample: SegDataSample) -> Tensor | None:
    if 'gt_sem_seg' not in sample:
        return None
    truth = sample.gt_sem_seg.data.cpu().numpy()
    for step in sample.metainfo.get('grid_steps') or ():
        truth = step.apply(truth, order='nearest')
    return torch.from_numpy(np.ascontiguousarray(truth))
