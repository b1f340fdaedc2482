"""Scores of a batch of prepared slices, whatever the segmentor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mmseg_medical.models.segmentors import MedicalEncoderDecoder, VolumeSegmentor
from mmseg_medical.models.segmentors.averaging import Network
from mmseg_medical.models.segmentors.going_over import go_over
from mmseg_medical.models.segmentors.medical_encoder_decoder import as_prepared


def slice_scores(
    model: MedicalEncoderDecoder | VolumeSegmentor, data: Mapping[str, Any], network: Network, air: Sequence[float]
) -> Sequence[Tensor]:
    """Go over slices of one volume.

    Args:
        model (MedicalEncoderDecoder | VolumeSegmentor): Of two axes; it says how: whole, or window by window.
        data (Mapping): What its data preprocessor made of a batch of tests.
        network (callable): What to go over them with, (N, C, *S) to (N, K, *S), and frames where the head takes them.
        air (Sequence[float]): Scores of what is certainly background, one a class.

    Returns:
        Sequence[Tensor]: shape (K, *S) each, on the slice as the pipeline prepared it, without padding.
    """
    samples = data['data_samples']
    if isinstance(model, MedicalEncoderDecoder):
        scores = model.infer(data['inputs'], network)
        return [as_prepared(one, sample.metainfo) for one, sample in zip(scores, samples, strict=True)]
    images: list[Tensor] = list(data['inputs'])
    frames = [model.frame_of(image.shape[1:], sample.metainfo) for image, sample in zip(images, samples, strict=True)]
    if model.test_cfg.get('mode', 'whole') == 'whole':  # slices of a volume have one size
        known = [frame for frame in frames if frame is not None]
        return list(network(torch.stack(images), *([known] if known else [])))
    return [
        go_over(network, image, model.test_cfg, num_classes=len(air), background=air, frame=frame)
        for image, frame in zip(images, frames, strict=True)
    ]
