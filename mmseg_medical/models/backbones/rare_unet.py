"""U-Net that images of lower resolution enter further down."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from mmseg_medical.models.backbones.unet import MedicalUNet
from mmseg_medical.models.layers.conv_blocks import Norm, PlainStage, resize
from mmseg_medical.models.layers.resolution_routing import margins, nearest_level, strict_level
from mmseg_medical.registry import MODELS


class ScaleMaps(NamedTuple):
    """What RARE-UNet makes of a batch.

    Attributes:
        maps (tuple[Tensor, ...]): Last maps of the decoder, (N, channels[d], *S_d) for level d, the finest first.
        levels (tuple[int, ...]): Their levels.
        pairs (tuple[tuple[Tensor, Tensor], ...]): To be made alike, for levels 1..S: the gate's map and the
            encoder's, both (N, channels[d], *S / 2^d). Empty where levels are entered one by one.
    """

    maps: tuple[Tensor, ...]
    levels: tuple[int, ...]
    pairs: tuple[tuple[Tensor, Tensor], ...] = ()


@MODELS.register_module()
class RAREUNet(BaseModule):
    """Resolution-aligned routing entry U-Net (arXiv:2507.15524), as published 30,395,936 parameters and the gates.

    Level 0 of the U-Net takes images of full resolution. Images 2^d times as coarse enter at level d = 1..S through
    a gate, a row of convolutions that makes of the image what the encoder of this level would give; encoders below,
    bottleneck and decoder are shared.

    In training all levels are entered, the coarse ones by the image reduced with linear interpolation. Otherwise one
    level is, which :meth:`level_of` finds by the size.

    Args:
        in_channels (int): Channels of the image.
        channels (Sequence[int]): Of the levels of the U-Net, the bottleneck last.
        target_size (Sequence[int]): Of images at full resolution, for routing; its length is the rank.
        num_gates (int | None): Number S of levels below full resolution; None for all but the bottleneck's.
        gate_depth (int): Convolutions of a gate; the published brain-tumour checkpoints have 4.
        routing (dict | None): ``strict`` (default False): as released, only sizes which, rounded to powers of two,
            are those of a level, and which the path can halve without a rest; all others raise. Otherwise the nearest
            level takes the image, padded with zeros to what its path divides by and cut back. ``tolerance`` (default
            1.0): mean factor, as a power of two, beyond which it raises. ``spacing_mm`` (default None): of images at
            full resolution; where the caller knows the image's, the level is the one nearest in spacing instead of
            size, which for images that are not all cut alike is the better guide. ``level`` (default None): always
            this one.
        reduction (str): How training makes coarse images: ``'linear'`` interpolation, as released, which reads two
            voxels an axis; or ``'area'``, the mean of each block, which is what a coarser scan sees.
        coarse_noise (float): Standard deviation of Gaussian noise that training adds to reduced images, in units of
            the image; as released none. Reduction averages the noise of the scanner away, so that coarse images hardly
            change between epochs and are learnt by heart.
        norm (str | dict | None): See :func:`~mmseg_medical.models.layers.conv_blocks.normalisation`.
        act (str): See :func:`~mmseg_medical.models.layers.conv_blocks.activation`.
        drop_rate (float): As configured in the release; the published runs used 0.1.
        unet (dict | None): Further arguments of :class:`MedicalUNet`, e.g. ``with_cp``; every stride is 2.
        init_cfg (dict | None): As in mmengine; None leaves torch's initialisation.

    Raises:
        ValueError: Numbers of levels or strides do not fit, routing is misspelt, or ``target_size`` leaves fewer than
            two voxels at the bottom, over which an instance norm has nothing to average.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = (32, 64, 128, 256, 320, 320),
        *,
        target_size: Sequence[int] = (32, 64, 32),
        num_gates: int | None = 3,
        gate_depth: int = 2,
        routing: dict | None = None,
        reduction: str = 'linear',
        coarse_noise: float = 0.0,
        norm: Norm = 'instance',
        act: str = 'leaky_relu',
        drop_rate: float = 0.2,
        unet: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        divisions = len(channels) - 1
        self.num_gates = divisions - 1 if num_gates is None else num_gates
        if not 0 < self.num_gates < divisions or gate_depth < 1:
            raise ValueError(
                f'num_gates must lie in 1..{divisions - 1} with {len(channels)} channels and gate_depth be positive, '
                f'got {num_gates} and {gate_depth}'
            )
        self.in_channels = in_channels
        self.spatial_dims = len(target_size)
        self.target_size = tuple(target_size)
        self.routing: dict[str, Any] = {'strict': False, 'tolerance': 1.0, 'spacing_mm': None, 'level': None}
        _update(self.routing, routing or {}, self.num_gates)
        if reduction not in ('linear', 'area'):
            raise ValueError(f"reduction must be 'linear' or 'area', got {reduction!r}")
        self.reduction = reduction
        if coarse_noise < 0:
            raise ValueError(f'coarse_noise must not be negative, got {coarse_noise}')
        self.coarse_noise = coarse_noise
        shared: dict[str, Any] = dict(norm=norm, act=act)
        options = {'decoder_depth': 1, 'up_kernel': 3, **shared, **(unet or {})}
        self.unet = MedicalUNet(in_channels, channels, spatial_dims=self.spatial_dims, drop_rate=drop_rate, **options)
        if any(set(stride) != {2} for stride in self.unet.strides):
            raise ValueError(f'RAREUNet halves every axis at every level, got the strides {self.unet.strides}')
        self.gates = nn.ModuleList(
            PlainStage(self.spatial_dims, in_channels, channels[d], depth=gate_depth, **shared)
            for d in range(1, self.num_gates + 1)
        )
        of_instances = norm == 'instance' or (isinstance(norm, dict) and norm.get('type') == 'instance')
        self.min_voxels = 2 if of_instances else 1
        self._check_target()

    def forward(self, x: Tensor) -> ScaleMaps:
        """Enter all levels in training, the level of its size otherwise; x is an image (N, C, *S)."""
        return self.all_levels(x) if self.training else self.at_level(x, self.level_of(x.shape[2:]))

    def all_levels(self, x: Tensor) -> ScaleMaps:
        """Enter level 0 with an image (N, C, *S) and levels 1..S with its reductions.

        Raises:
            ValueError: The image is too small to be divided.
        """
        self._check_size(x.shape[2:])
        skips, finest = self._enter(x, 0)
        maps, pairs = [finest], []
        for d in range(1, self.num_gates + 1):
            reduced = self.reduced(x, d)
            if self.coarse_noise:
                reduced = reduced + self.coarse_noise * torch.randn_like(reduced)
            features, coarse = self._enter(reduced, d)
            maps.append(coarse)
            pairs.append((features[0], skips[d]))
        return ScaleMaps(tuple(maps), tuple(range(self.num_gates + 1)), tuple(pairs))

    def at_level(self, x: Tensor, level: int) -> ScaleMaps:
        """Enter one level with an image (N, C, *S) of any size."""
        size = x.shape[2:]
        around = margins(size, 2 ** (self.num_divisions - level), self.min_voxels)
        if any(map(any, around)):
            x = pad(x, [voxels for pair in reversed(around) for voxels in pair])
        _, out = self._enter(x, level)
        inside: Any = (..., *(slice(before, before + n) for (before, _), n in zip(around, size, strict=True)))
        return ScaleMaps((out[inside],), (level,))

    def reduced(self, x: Tensor, level: int) -> Tensor:
        """Reduce an image (N, C, *S) to the resolution of a level, as it is in training."""
        size = [max(1, n // 2**level) for n in x.shape[2:]]
        return resize(x, size) if self.reduction == 'linear' else interpolate(x, size, mode='area')

    def level_of(self, size: Sequence[int], spacing_mm: Sequence[float] | None = None) -> int:
        """Level that an image enters.

        Args:
            size (Sequence[int]): Of the image.
            spacing_mm (Sequence[float] | None): Of the image, where it is known.

        Raises:
            RoutingError: There is none, see ``routing``.
        """
        if self.routing['level'] is not None:
            return self.routing['level']
        if self.routing['strict']:
            return strict_level(size, self.target_size, self.num_gates, self.num_divisions)
        full_mm = self.routing['spacing_mm']
        if full_mm is not None and spacing_mm is not None:
            ratios = [mm / full for mm, full in zip(spacing_mm, full_mm, strict=True)]
            subject = f'an image of spacing {" x ".join(f"{mm:g}" for mm in spacing_mm)} mm'
        else:
            ratios = [full / n for full, n in zip(self.target_size, size, strict=True)]
            subject = f'an image of size {tuple(size)}'
        return nearest_level(ratios, self.num_gates, self.routing['tolerance'], subject)

    @contextmanager
    def entered_at(self, level: int) -> Iterator[None]:
        """Send every image to one level, as long as the context lasts."""
        before, self.routing['level'] = self.routing['level'], level
        try:
            yield
        finally:
            self.routing['level'] = before

    @property
    def num_divisions(self) -> int:
        """Number L of halvings."""
        return self.unet.num_levels

    def _enter(self, x: Tensor, level: int) -> tuple[list[Tensor], Tensor]:
        """Go down from a level and up to it again; the first of the maps from above is the gate's."""
        entered = self.gates[level - 1](x) if level else self.unet.embed(x)
        features = self.unet.encode(entered, level)
        return features, self.unet.decode(features)[-1]

    def _check_size(self, size: Sequence[int]) -> None:
        bottom = [n // 2**self.num_divisions for n in size]
        if math.prod(bottom) < self.min_voxels:
            raise ValueError(
                f'images of size {tuple(size)} are halved {self.num_divisions} times and leave {tuple(bottom)} voxels; '
                f'at least {self.min_voxels} are needed: give larger images or fewer channels to RAREUNet'
            )

    def _check_target(self) -> None:
        self._check_size(self.target_size)
        bottom = math.prod(n // 2**self.num_divisions for n in self.target_size)
        if self.min_voxels > 1 and bottom < 8:
            warnings.warn(
                f'target_size {self.target_size} leaves {bottom} voxels at the bottom of {self.num_divisions} '
                'halvings: an instance norm over so few passes on little but signs; fewer channels make it less deep',
                stacklevel=3,
            )


def _update(routing: dict[str, Any], given: dict, num_gates: int) -> None:
    unknown = set(given) - set(routing)
    if unknown:
        raise ValueError(f'routing has the keys {", ".join(routing)}, got {", ".join(sorted(map(str, unknown)))}')
    routing.update(given)
    if routing['level'] is not None and not 0 <= routing['level'] <= num_gates:
        raise ValueError(f'routing.level must lie in 0..{num_gates}, got {routing["level"]}')
