"""Batches of images of any rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor
from torch.nn.functional import pad

from mmseg_medical.registry import MODELS
from mmseg_medical.structures import VolumeData


@MODELS.register_module()
class VolumeDataPreProcessor(BaseDataPreprocessor):
    """Move a batch to the device and, to train, give its images one size.

    Images are padded behind, at the end of each axis. Tests take images as they are: the segmentor goes through them
    one by one and pads as its network needs.

    Args:
        size_divisor (int | Sequence[int]): What the size of a training batch must be a multiple of.
        pad_val (float): Put behind images.
        seg_pad_val (int): Put behind labels; the head's ``ignore_index`` leaves it out of the loss.
        non_blocking (bool): As in mmengine.
    """

    def __init__(
        self,
        size_divisor: int | Sequence[int] = 1,
        pad_val: float = 0.0,
        seg_pad_val: int = 255,
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        self.size_divisor = size_divisor
        self.pad_val = pad_val
        self.seg_pad_val = seg_pad_val

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Prepare a batch.

        Args:
            data (dict): ``inputs``, tensors (C, *S), and ``data_samples``.
            training (bool): Whether to make one batch of them.

        Returns:
            dict: ``inputs`` of shape (N, C, *S), of tests a list of tensors (C, *S); ``data_samples``.

        Raises:
            ValueError: Images of a batch differ in rank or channels.
        """
        data = self.cast_data(data)
        inputs, samples = list(data['inputs']), data.get('data_samples')
        inputs = [image.float() for image in inputs]
        if not training:
            return dict(inputs=inputs, data_samples=samples)
        if len({(image.ndim, image.shape[0]) for image in inputs}) > 1:
            found = ', '.join(str(tuple(image.shape)) for image in inputs)
            raise ValueError(f'images of a batch must have the same rank and number of channels, got {found}')
        size = self._common_size([image.shape[1:] for image in inputs])
        for sample in samples or ():
            truth = sample.gt_sem_seg.data
            sample.gt_sem_seg = VolumeData(data=_pad_to(truth, size, self.seg_pad_val))
        batch = torch.stack([_pad_to(image, size, self.pad_val) for image in inputs])
        return dict(inputs=batch, data_samples=samples)

    def _common_size(self, sizes: Sequence[Sequence[int]]) -> list[int]:
        rank = len(sizes[0])
        divisors = [self.size_divisor] * rank if isinstance(self.size_divisor, int) else list(self.size_divisor)
        return [-(-max(axis) // d) * d for axis, d in zip(zip(*sizes, strict=True), divisors, strict=True)]


def _pad_to(array: Tensor, size: Sequence[int], value: float) -> Tensor:
    missing = [wanted - n for wanted, n in zip(size, array.shape[1:], strict=True)]
    return pad(array, [part for m in reversed(missing) for part in (0, m)], value=value) if any(missing) else array
