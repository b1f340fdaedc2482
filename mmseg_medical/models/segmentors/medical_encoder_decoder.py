"""mmseg's encoder-decoder with exact windows, multi-label predictions and restored crops."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_medical.models.segmentors.deciding import IMPOSSIBLE_LOGIT, activate, decide
from mmseg_medical.ops import slide_windows
from mmseg_medical.registry import MODELS

FLIPPED_AXES = {'horizontal': (2,), 'vertical': (1,), 'diagonal': (1, 2)}


@MODELS.register_module()
class MedicalEncoderDecoder(EncoderDecoder):
    """Segmentor whose predictions lie on the grid of the image file.

    Beyond mmseg's: sliding windows touch only their own part of the canvas (``test_cfg.window_weights`` =
    ``'constant'`` or ``'gaussian'``); a head with ``multi_label=True`` yields one mask a class, thresholded at
    ``test_cfg.threshold`` (one number, or one a class; default 0.5); an image that was cropped to its field of view
    (metainfo ``crop_box``) gets its prediction put back, with background around.
    """

    @property
    def multi_label(self) -> bool:
        """Whether classes may overlap."""
        return getattr(self.decode_head, 'multi_label', False)

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Mean of the logits of overlapping windows.

        Args:
            inputs: shape (N, 3, H, W).
            batch_img_metas: metainfo of the images.

        Returns:
            Logits of shape (N, C, H, W).
        """
        size = inputs.shape[2:]
        # An image smaller than the window is seen as it is, not padded, as mmseg does.
        window = [min(pair) for pair in zip(self.test_cfg.crop_size, size, strict=True)]
        stride = [min(pair) for pair in zip(self.test_cfg.stride, window, strict=True)]
        logits = [
            slide_windows(
                partial(self._window_logits, meta=meta),
                image,
                num_classes=self.out_channels,
                window=window,
                stride=stride,
                weights=self.test_cfg.get('window_weights', 'constant'),
                batch_size=self.test_cfg.get('batch_size', 1),
            )
            for image, meta in zip(inputs, batch_img_metas, strict=True)
        ]
        return logits[0][None] if len(logits) == 1 else torch.stack(logits)

    def _window_logits(self, crops: Tensor, meta: dict[str, Any]) -> Tensor:
        return self.encode_decode(crops, [{**meta, 'img_shape': crops.shape[2:]}] * len(crops))

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: list[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Undo padding, flip, resize and crop, then decide each pixel.

        Args:
            seg_logits: shape (N, C, H, W).
            data_samples: samples whose metainfo says how the images were prepared; None for plain tensors.

        Returns:
            The samples with ``seg_logits`` (C, H0, W0) and ``pred_sem_seg``: labels (1, H0, W0), or for multi-label
            heads masks (C, H0, W0), on the native grid.
        """
        if data_samples is None:
            data_samples = [SegDataSample() for _ in range(len(seg_logits))]
        for logits, sample in zip(seg_logits, data_samples, strict=True):
            logits = self._to_native_grid(logits, sample.metainfo)
            sample.set_data(dict(seg_logits=PixelData(data=logits), pred_sem_seg=PixelData(data=self.decide(logits))))
        return data_samples

    def decide(self, values: Tensor, *, probabilities: bool = False) -> Tensor:
        """Labels (1, H, W), or masks (C, H, W) of 0 and 1, from logits or probabilities (C, H, W)."""
        threshold = self.test_cfg.get('threshold') or getattr(self.decode_head, 'threshold', None) or 0.5
        return decide(values, self.multi_label, threshold, probabilities)

    def activate(self, logits: Tensor) -> Tensor:
        """Probabilities from logits (C, H, W)."""
        return activate(logits, self.multi_label)

    def _to_native_grid(self, logits: Tensor, meta: dict[str, Any]) -> Tensor:
        left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0)))
        logits = logits[:, top : logits.shape[1] - bottom, left : logits.shape[2] - right]
        if meta.get('flip'):
            logits = logits.flip(dims=FLIPPED_AXES[meta['flip_direction']])
        native = tuple(meta.get('ori_shape', logits.shape[1:]))[:2]
        box = meta.get('crop_box')
        inner = native if box is None else (box[2] - box[0], box[3] - box[1])
        if tuple(logits.shape[1:]) != inner:
            logits = resize(logits[None], size=inner, mode='bilinear', align_corners=self.align_corners)[0]
        if box is None or inner == native:
            return logits
        canvas = logits.new_full((logits.shape[0], *native), IMPOSSIBLE_LOGIT)
        if not self.multi_label and len(canvas) > 1:
            canvas[0] = 0
        canvas[:, box[0] : box[2], box[1] : box[3]] = logits
        return canvas
