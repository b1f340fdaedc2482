"""mmseg's encoder-decoder with exact windows, multi-label predictions, and results on the grid of the file."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.segmentors.averaging import Network, View, averaged, views_of
from mmseg_medical.models.segmentors.deciding import activate, air_scores, decide
from mmseg_medical.models.segmentors.native_grid import put_on_native_grid
from mmseg_medical.ops import slide_windows
from mmseg_medical.registry import MODELS

FLIPPED_AXES = {'horizontal': (2,), 'vertical': (1,), 'diagonal': (1, 2)}


@MODELS.register_module()
class MedicalEncoderDecoder(EncoderDecoder):
    """Segmentor whose predictions lie on the grid of the image file.

    Beyond mmseg's:

    - sliding windows touch only their own part of the canvas (``test_cfg.window_weights`` = ``'constant'`` or
      ``'gaussian'``);
    - a head with ``multi_label=True`` yields one mask a class, thresholded at ``test_cfg.threshold`` (a number, or one
      a class; default 0.5);
    - a slice of a volume (metainfo ``grid_steps``) gets labels on the slice of the file: scores go back through the
      steps, exactly as those of volumes do. Its scores there are kept with ``test_cfg.keep_scores`` only;
    - a photograph that was cropped to its field of view (metainfo ``crop_box``) gets its prediction put back, with
      background around;
    - ``test_cfg.mirror_axes`` (0 rows, 1 columns) averages the probabilities of views that are mirrored along every
      subset of these axes, and ``test_cfg.quarter_turns`` those that are turned too: ``mirror_axes=(1,)`` has 2 views,
      ``(0, 1)`` 4, ``mirror_axes=(1,), quarter_turns=True`` all 8 symmetries of a square. Each window is seen in all.
      Samples then have ``seg_probs`` in place of ``seg_logits``.
    """

    @property
    def multi_label(self) -> bool:
        """Whether classes may overlap."""
        return getattr(self.deciding_head, 'multi_label', False)

    @property
    def deciding_head(self) -> Any:
        """The head whose logits are decided on."""
        return self.decode_head

    @property
    def views(self) -> list[View]:
        """Views whose probabilities are averaged; one if ``test_cfg`` asks for none.

        Raises:
            ConfigError: ``test_cfg.mirror_axes`` are not different ones of 0 and 1.
        """
        options = self.test_cfg or {}
        return views_of(options.get('mirror_axes') or (), bool(options.get('quarter_turns')), 2)

    @property
    def gives_probabilities(self) -> bool:
        """Whether :meth:`infer` yields probabilities by default: where views are averaged."""
        return len(self.views) > 1

    def network(self, inputs: Tensor) -> Tensor:
        """Logits (N, K, H, W), float32, of a batch (N, C, H, W), for inference."""
        size = inputs.shape[2:]
        return self.encode_decode(inputs, [dict(img_shape=size, pad_shape=size)] * len(inputs)).float()

    def infer(self, inputs: Tensor, network: Network | None = None, num_scores: int | None = None) -> Tensor:
        """Go over a batch, whole or window by window.

        Args:
            inputs (Tensor): shape (N, C, H, W), as the data preprocessor made it.
            network (callable | None): What to go over it with, (N, C, *S) -> (N, K, *S); default: :meth:`network`, or
                its mean over the views.
            num_scores (int | None): K, where ``network`` gives more than a score a class.

        Returns:
            Tensor: Scores (N, K, H, W): logits, or probabilities of several views.

        Raises:
            ConfigError: ``test_cfg.mode`` is neither ``'whole'`` nor ``'slide'``.
        """
        if network is None:
            views = self.views
            network = averaged([self.network], self.activate, views) if len(views) > 1 else self.network
        mode = self.test_cfg.get('mode', 'whole')
        if mode not in ('whole', 'slide'):
            raise ConfigError(f"test_cfg.mode must be 'whole' or 'slide', found {mode!r}")
        if mode == 'whole':
            return network(inputs)
        return _over_windows(network, inputs, num_scores or self.out_channels, self.test_cfg)

    def inference(self, inputs: Tensor, batch_img_metas: list[dict] | None = None) -> Tensor:
        """See :meth:`infer`; the metainfo of the images is not needed."""
        return self.infer(inputs)

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict] | None = None) -> Tensor:
        """Mean of the logits (N, K, H, W) of overlapping windows of images (N, C, H, W)."""
        return _over_windows(self.network, inputs, self.out_channels, self.test_cfg)

    def postprocess_result(
        self,
        seg_logits: Tensor,
        data_samples: list[SegDataSample] | None = None,
        probabilities: bool | None = None,
        keep_scores: bool | None = None,
    ) -> list[SegDataSample]:
        """Undo padding, flip, resize, crop and grid steps, then decide each pixel.

        Args:
            seg_logits: scores of shape (N, K, H, W).
            data_samples: samples whose metainfo says how the images were prepared; None for plain tensors.
            probabilities: whether the scores are; None: :attr:`gives_probabilities`.
            keep_scores: whether slices of volumes get theirs on the grid of the file; None: ``test_cfg.keep_scores``.

        Returns:
            The samples with ``pred_sem_seg``: labels (1, H0, W0), or for multi-label heads masks (K, H0, W0), on the
            native grid; and ``seg_logits`` (``seg_probs`` of probabilities), (K, H0, W0), of slices if they are kept.
        """
        if data_samples is None:
            data_samples = [SegDataSample() for _ in range(len(seg_logits))]
        given = self.gives_probabilities if probabilities is None else probabilities
        keep = self.test_cfg.get('keep_scores', False) if keep_scores is None else keep_scores
        name, choose = 'seg_probs' if given else 'seg_logits', partial(self.decide, probabilities=given)
        air = air_scores(self.out_channels, self.multi_label, given)
        for scores, sample in zip(seg_logits, data_samples, strict=True):
            meta = sample.metainfo
            scores = as_prepared(scores, meta)
            if 'grid_steps' in meta:
                put_on_native_grid(sample, scores, meta['grid_steps'] or (), choose, name if keep else None, air)
            else:
                scores = _on_photograph(scores, meta, air)
                sample.set_data({name: PixelData(data=scores), 'pred_sem_seg': PixelData(data=choose(scores))})
        return data_samples

    def decide(self, values: Tensor, *, probabilities: bool = False) -> Tensor:
        """Labels (1, H, W), or masks (C, H, W) of 0 and 1, from logits or probabilities (C, H, W)."""
        threshold = self.test_cfg.get('threshold') or getattr(self.deciding_head, 'threshold', None) or 0.5
        return decide(values, self.multi_label, threshold, probabilities)

    def activate(self, logits: Tensor, dim: int = 0) -> Tensor:
        """Probabilities of logits whose classes lie along ``dim``."""
        return activate(logits, self.multi_label, dim)


def _over_windows(network: Network, inputs: Tensor, num_classes: int, test_cfg: Any) -> Tensor:
    """Mean of the scores of the windows of a batch (N, C, H, W), image by image."""
    size = inputs.shape[2:]
    # An image smaller than the window is seen as it is, not padded, as mmseg does.
    window = [min(pair) for pair in zip(test_cfg['crop_size'], size, strict=True)]
    stride = [min(pair) for pair in zip(test_cfg['stride'], window, strict=True)]
    scores = [
        slide_windows(
            network,
            image,
            num_classes=num_classes,
            window=window,
            stride=stride,
            weights=test_cfg.get('window_weights', 'constant'),
            batch_size=test_cfg.get('batch_size', 1),
        )
        for image in inputs
    ]
    return scores[0][None] if len(scores) == 1 else torch.stack(scores)


def as_prepared(scores: Tensor, meta: dict[str, Any]) -> Tensor:
    """Scores (K, H, W) without padding, on the image as it was prepared but for flips."""
    left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0)))
    scores = scores[:, top : scores.shape[1] - bottom, left : scores.shape[2] - right]
    return scores.flip(dims=FLIPPED_AXES[meta['flip_direction']]) if meta.get('flip') else scores


def _on_photograph(scores: Tensor, meta: dict[str, Any], air: list[float]) -> Tensor:
    native = tuple(meta.get('ori_shape', scores.shape[1:]))[:2]
    box = meta.get('crop_box')
    inner = native if box is None else (box[2] - box[0], box[3] - box[1])
    if tuple(scores.shape[1:]) != inner:
        # whatever the head does inside: OpenCV, which shrank the image, keeps its outer edges in place
        scores = resize(scores[None], size=inner, mode='bilinear', align_corners=False)[0]
    if box is None or inner == native:
        return scores
    canvas = scores.new_tensor(air)[:, None, None].repeat(1, *native)
    canvas[:, box[0] : box[2], box[1] : box[3]] = scores
    return canvas
