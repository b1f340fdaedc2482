"""3D-Res2UNet: a U-Net of Res2 blocks with squeeze and excitation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.backbones.unet import MedicalUNet
from mmseg_medical.models.layers.conv_blocks import Norm
from mmseg_medical.models.layers.res2_block import Res2Stage
from mmseg_medical.models.layers.res2_stream import can_stream, stream
from mmseg_medical.models.layers.res2_training import can_fuse, fused, listened_to
from mmseg_medical.registry import MODELS

LEVELS = 4
#: of the switch, to those of :class:`MedicalUNet`
_UP_MODES = {'transposed': 'transposed', 'trilinear': 'linear'}


@MODELS.register_module()
class Res2UNet3D(MedicalUNet):
    """3D-Res2UNet, by default as replicated: 4,801,244 parameters and the head's.

    The idea is that of Xiao et al. 2020, doi:10.3390/sym12111787, whose table of layers could not be had; the defaults
    are those of a public replication. What the two may differ in is a switch. Four halvings, channels from
    ``base_channels`` to 16 times as many, one :class:`~mmseg_medical.models.layers.res2_block.Res2Block` a level.

    Unlike its base it takes only sizes that can be halved four times; ``VolumeSegmentor`` pads what it predicts.

    Args:
        in_channels (int): Channels of the image.
        base_channels (int): Channels at full resolution.
        spatial_dims (int): 2 or 3.
        scale (int): Parts of a Res2 block.
        se (bool): Squeeze and excitation in each block.
        up_mode (str): ``'transposed'`` convolution, or ``'trilinear'`` interpolation (bilinear with two axes) after a
            1x1 convolution.
        norm (str | dict): ``'batch'``, or ``'instance'`` for batches of one or two patches, see
            :func:`~mmseg_medical.models.layers.conv_blocks.normalisation`.
        **options: Of :class:`MedicalUNet`, e.g. ``num_outputs``; or ``with_cp``, which on the CPU keeps maps between
            the levels alone and, with the defaults above, counts no batch twice in the running statistics.

    Raises:
        ConfigError: The channels cannot be divided by ``scale``, are too few for squeeze and excitation, or
            ``up_mode`` is unknown.
    """

    def __init__(
        self,
        in_channels: int = 1,
        base_channels: int = 32,
        *,
        spatial_dims: int = 3,
        scale: int = 4,
        se: bool = True,
        up_mode: str = 'transposed',
        norm: Norm = 'batch',
        **options: Any,
    ) -> None:
        if up_mode not in _UP_MODES:
            raise ConfigError(f'up_mode must be one of {", ".join(_UP_MODES)}, got {up_mode!r}')
        super().__init__(
            in_channels,
            [base_channels * 2**d for d in range(LEVELS + 1)],
            spatial_dims=spatial_dims,
            block=dict(type='res2', scale=scale, se=se),
            upsample=_UP_MODES[up_mode],
            norm=norm,
            **{'encoder_depth': 1, 'decoder_depth': 1, 'act': 'relu', 'bias': False, **options},
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map an image (N, C, *S) to the finest ``num_outputs`` maps of the decoder, the coarsest of them first.

        Raises:
            ConfigError: An axis of the image cannot be halved four times.
        """
        if any(n % d for n, d in zip(x.shape[2:], self.divisors, strict=True)):
            found, wanted = (' x '.join(map(str, numbers)) for numbers in (x.shape[2:], self.divisors))
            raise ConfigError(
                f'Res2UNet3D takes images whose lengths are multiples of {wanted}, got {found}: choose such patches, '
                f'or set model.data_preprocessor.size_divisor={self.divisors[0]}'
            )
        return super().forward(x)

    def _ascend(self, level: int, x: Tensor, skip: Tensor) -> Tensor:
        decoder: Any = self.decoders[level]
        up: Any = self.ups[level]
        (block, *more), dropout = decoder
        heard = listened_to(up, up.conv, decoder, decoder[0])
        fits = up.mode == 'transposed' and skip.shape[2:] == _raised(up, x)
        if fits and not heard and can_fuse(block, skip):
            out = fused(block, x, skip, up, keep=not self.with_cp)
            for following in more:
                out = self._run(following, out)
            return dropout(out)
        local = up.mode == 'transposed' and up.conv.kernel_size[0] == up.factor[0] == 2
        if not local or heard or not can_stream(block):
            return super()._ascend(level, x, skip)

        def joined(rows: slice) -> Tensor:
            """Rows of enlarged map and skip; neither the former nor both together ever exist as a whole."""
            return torch.cat((up(x[:, :, rows.start // 2 : -(-rows.stop // 2)]), skip[:, :, rows]), dim=1)

        out = stream(block, joined, skip.shape[2], skip[:, 0, 0].numel())
        for following in more:
            out = following(out)
        return dropout(out)

    def _run(self, stage: nn.Module, x: Tensor) -> Tensor:
        single = isinstance(stage, Res2Stage) and len(stage) == 1 and not listened_to(stage)
        if self.with_cp and single and can_fuse(stage[0], x):  # type: ignore[index]
            return fused(stage[0], x, keep=False)  # type: ignore[index]
        return super()._run(stage, x)


def _raised(up: Any, x: Tensor) -> tuple[int, ...]:
    return tuple(n * f for n, f in zip(x.shape[2:], up.factor, strict=True))
