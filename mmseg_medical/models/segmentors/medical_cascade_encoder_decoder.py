"""Cascaded heads with predictions on the grid of the file."""

from __future__ import annotations

from typing import Any

from mmseg.models import CascadeEncoderDecoder
from torch import Tensor

from mmseg_medical.models.segmentors.medical_encoder_decoder import MedicalEncoderDecoder
from mmseg_medical.registry import MODELS


@MODELS.register_module()
class MedicalCascadeEncoderDecoder(MedicalEncoderDecoder, CascadeEncoderDecoder):
    """mmseg's cascade, such as PointRend's (a head, then ``PointHead`` on its logits), as a medical segmentor.

    Arguments are those of ``mmseg.CascadeEncoderDecoder``, ``test_cfg`` that of :class:`MedicalEncoderDecoder` and of
    the last head.
    """

    @property
    def deciding_head(self) -> Any:
        """The last head, which corrects those before."""
        return self.decode_head[-1]

    def _forward(self, inputs: Tensor, data_samples: list | None = None) -> Tensor:
        """Logits (N, K, H, W) of images (N, C, H, W): mmseg cannot run a ``PointHead`` in mode ``'tensor'``."""
        return self.network(inputs)
