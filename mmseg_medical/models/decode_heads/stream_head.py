"""Base of the heads on all streams of a high-resolution network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.decode_heads.multi_label_head import MultiLabelDecodeHead
from mmseg_medical.models.layers.aligned import resize_aligned


class StreamHead(MultiLabelDecodeHead):
    """Logits from several streams; in training, streams may also learn each by itself (deep supervision).

    A subclass says in :meth:`decode` how logits come about. All resizing aligns the corner pixels.

    Args:
        in_channels (Sequence[int]): Channels of the streams, the finest first.
        channels (int): In front of ``conv_seg``.
        num_classes (int): K, with the background; with ``multi_label`` the number of masks.
        in_index (Sequence[int] | None): Which of the backbone's outputs the streams are; None for the first ones.
        supervision_weights (Sequence[float]): Of the losses of each stream's own 1x1 classifier, the finest first;
            0 for a stream without one, empty for none. Nothing divides by their sum.
        multi_label (bool): One sigmoid a class instead of a softmax over the classes.
        dropout_ratio (float): Of whole channels in front of ``conv_seg``.
        init_cfg (dict | Sequence[dict] | None): As in mmengine; None leaves torch's initialisation.
        **options: Of mmseg's ``BaseDecodeHead``.

    Raises:
        ConfigError: There are not as many weights as streams, or one is negative.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        num_classes: int,
        in_index: Sequence[int] | None = None,
        supervision_weights: Sequence[float] = (),
        multi_label: bool = False,
        dropout_ratio: float = 0.0,
        init_cfg: Any = None,
        **options: Any,
    ) -> None:
        if supervision_weights and len(supervision_weights) != len(in_channels):
            raise ConfigError(
                f'supervision_weights={tuple(supervision_weights)} must be one number for each of the '
                f'{len(in_channels)} streams, or empty'
            )
        if any(weight < 0 for weight in supervision_weights):
            raise ConfigError(f'supervision_weights={tuple(supervision_weights)} must not be negative')
        super().__init__(
            tuple(in_channels),
            channels,
            num_classes=num_classes,
            in_index=tuple(range(len(in_channels))) if in_index is None else tuple(in_index),
            input_transform='multiple_select',
            dropout_ratio=dropout_ratio,
            init_cfg=init_cfg,
            **{'align_corners': True, **options},
        )
        self.multi_label = multi_label
        self.supervision_weights = {i: float(weight) for i, weight in enumerate(supervision_weights) if weight}
        self.classifiers = nn.ModuleDict(
            {str(i): nn.Conv2d(in_channels[i], self.out_channels, 1) for i in self.supervision_weights}
        )

    def forward(self, inputs: Sequence[Tensor], size: Sequence[int] | None = None) -> Tensor:
        """Logits of a batch.

        Args:
            inputs (Sequence[Tensor]): Streams of the backbone, each (N, C_i, H_i, W_i).
            size (Sequence[int] | None): H and W of the image; None for those of the finest stream.

        Returns:
            Tensor: shape (N, K, H, W), unnormalised.
        """
        streams = self._transform_inputs(inputs)
        size = streams[0].shape[2:] if size is None else size
        return resize_aligned(self.decode(streams, size), size)

    @abstractmethod
    def decode(self, streams: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Logits (N, K, h, w) of streams (N, C_i, H_i, W_i), of any size; ``size`` is that of the image."""

    def stream_logits(self, inputs: Sequence[Tensor]) -> dict[int, Tensor]:
        """Logits (N, K, H_i, W_i) of the streams that learn by themselves, by the index of the stream."""
        streams = self._transform_inputs(inputs)
        return {int(i): classifier(streams[int(i)]) for i, classifier in self.classifiers.items()}

    def loss(self, inputs: Sequence[Tensor], batch_data_samples: list, train_cfg: Any) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs (Sequence[Tensor]): Streams of the backbone.
            batch_data_samples (list[SegDataSample]): With ``gt_sem_seg``.
            train_cfg (dict): Not used.

        Returns:
            dict[str, Tensor]: The losses by name, ``acc_seg``, and the weighted losses of stream i, whose names begin
            with ``stream{i}.``.
        """
        size = batch_data_samples[0].gt_sem_seg.data.shape[-2:]
        losses = self.loss_by_feat(self(inputs, size), batch_data_samples)
        for i, logits in self.stream_logits(inputs).items():
            own = self.loss_by_feat(resize_aligned(logits, size), batch_data_samples)
            weight = self.supervision_weights[i]
            losses |= {f'stream{i}.{name}': weight * value for name, value in own.items() if 'loss' in name}
        return losses

    def predict(self, inputs: Sequence[Tensor], batch_img_metas: list[dict], test_cfg: Any) -> Tensor:
        """Logits (N, K, H, W) at the size of the image or window; ``test_cfg`` is not used."""
        return self(inputs, _image_size(batch_img_metas[0]))


def _image_size(meta: dict) -> Sequence[int]:
    """Size of what the network saw, as mmseg's ``predict_by_feat`` finds it."""
    shape = meta['img_shape']
    if isinstance(shape, torch.Size):  # of a window
        return shape
    return tuple(meta.get('pad_shape', shape)[:2])
