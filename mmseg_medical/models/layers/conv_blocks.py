"""Convolution stages of any rank, from which the U-Nets are built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg_medical.models.layers.conv3d import Conv3d, MaxPool3d

_CONV: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: Conv3d}
_CONV_TRANSPOSED: dict[int, type[nn.Module]] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_MAX_POOL: dict[int, type[nn.Module]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: MaxPool3d}
_DROPOUT: dict[int, type[nn.Module]] = {1: nn.Dropout1d, 2: nn.Dropout2d, 3: nn.Dropout3d}
_BATCH_NORM: dict[int, type[nn.Module]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_INSTANCE_NORM: dict[int, type[nn.Module]] = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
_ACTIVATIONS: dict[str, Callable[[bool], nn.Module]] = {
    'leaky_relu': lambda inplace: nn.LeakyReLU(0.01, inplace=inplace),
    'relu': lambda inplace: nn.ReLU(inplace=inplace),
    'gelu': lambda inplace: nn.GELU(),
    'silu': lambda inplace: nn.SiLU(inplace=inplace),
}

#: one number for all axes, or one an axis
PerAxis = int | Sequence[int]
#: name of a norm, or its name as ``type`` with arguments
Norm = str | Mapping[str, Any] | None


def per_axis(value: PerAxis, spatial_dims: int) -> tuple[int, ...]:
    """Give every axis its number.

    Raises:
        ValueError: There is not one for each axis.
    """
    values = (value,) * spatial_dims if isinstance(value, int) else tuple(value)
    if len(values) != spatial_dims:
        raise ValueError(f'expected one number or one for each of the {spatial_dims} axes, got {value}')
    return values


def convolution(
    spatial_dims: int, in_channels: int, out_channels: int, kernel: PerAxis = 3, stride: PerAxis = 1, bias: bool = True
) -> nn.Module:
    """Return a convolution that keeps the size, divided by the stride and rounded up. Kernels must be odd."""
    kernels = per_axis(kernel, spatial_dims)
    if any(k % 2 == 0 for k in kernels):
        raise ValueError(f'kernels must be odd to keep the size, got {kernels}')
    padding = tuple(k // 2 for k in kernels)
    return _CONV[spatial_dims](in_channels, out_channels, kernels, per_axis(stride, spatial_dims), padding, bias=bias)


def max_pool(spatial_dims: int, factor: PerAxis) -> nn.Module:
    """Return a max pooling by ``factor``; what does not fill a whole window is dropped."""
    return _MAX_POOL[spatial_dims](per_axis(factor, spatial_dims))


def dropout(spatial_dims: int, rate: float) -> nn.Module:
    """Return a dropout of whole channels."""
    return _DROPOUT[spatial_dims](rate) if rate else nn.Identity()


def normalisation(norm: Norm, spatial_dims: int, channels: int) -> nn.Module:
    """Return a norm over ``channels``.

    Args:
        norm (str | dict | None): ``'instance'`` (affine), ``'batch'``, ``'group'`` (32 groups), ``'layer'`` (one
            group: over channels and space, with a scale a channel), None; or a dict with the name as ``type``
            and arguments of the torch class, e.g. ``dict(type='group', num_groups=8)``.
        spatial_dims (int): Number of spatial axes.
        channels (int): Number of channels.

    Raises:
        ValueError: The name is unknown, or the channels cannot be divided into the groups.
    """
    if norm is None:
        return nn.Identity()
    options: dict[str, Any] = {'type': norm} if isinstance(norm, str) else dict(norm)
    name = options.pop('type')
    if name == 'instance':
        return _INSTANCE_NORM[spatial_dims](channels, **{'affine': True, **options})
    if name == 'batch':
        return _BATCH_NORM[spatial_dims](channels, **options)
    if name in ('group', 'layer'):
        groups = options.pop('num_groups', 32) if name == 'group' else 1
        if channels % groups:
            raise ValueError(f'{channels} channels cannot be divided into {groups} groups; set num_groups of the norm')
        return nn.GroupNorm(groups, channels, **options)
    raise ValueError(f"norm must be 'instance', 'batch', 'group', 'layer' or None, got {name!r}")


def activation(name: str, inplace: bool = True) -> nn.Module:
    """Return the activation ``'leaky_relu'`` (slope 0.01), ``'relu'``, ``'gelu'`` or ``'silu'``."""
    if name not in _ACTIVATIONS:
        raise ValueError(f'activation must be one of {", ".join(_ACTIVATIONS)}, got {name!r}')
    return _ACTIVATIONS[name](inplace)


class ConvNormAct(nn.Sequential):
    """Convolution, norm, activation.

    Args:
        spatial_dims (int): Number of spatial axes.
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        kernel (int | Sequence[int]): Odd.
        stride (int | Sequence[int]): Of the convolution.
        bias (bool): Whether the convolution has one.
        norm (str | dict | None): See :func:`normalisation`.
        act (str | None): See :func:`activation`; None for none.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        kernel: PerAxis = 3,
        stride: PerAxis = 1,
        bias: bool = True,
        norm: Norm = 'instance',
        act: str | None = 'leaky_relu',
    ) -> None:
        super().__init__()
        self.conv = convolution(spatial_dims, in_channels, out_channels, kernel, stride, bias)
        self.norm = normalisation(norm, spatial_dims, out_channels)
        self.act = nn.Identity() if act is None else activation(act)


class PlainStage(nn.Sequential):
    """Several :class:`ConvNormAct` in a row; the first changes channels and size.

    Args:
        spatial_dims (int): Number of spatial axes.
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        depth (int): Number of convolutions.
        stride (int | Sequence[int]): Of the first convolution.
        act (str): Activation.
        **options: Of :class:`ConvNormAct`.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        depth: int = 2,
        stride: PerAxis = 1,
        act: str = 'leaky_relu',
        **options: Any,
    ) -> None:
        layers = []
        for i in range(depth):
            source, step = (in_channels, stride) if i == 0 else (out_channels, 1)
            layers.append(ConvNormAct(spatial_dims, source, out_channels, stride=step, act=act, **options))
        super().__init__(*layers)


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to the input (He et al. 2016, doi:10.1109/CVPR.2016.90).

    The shortcut is the input, or its 1x1 convolution with norm where channels or size change.

    Args:
        spatial_dims (int): Number of spatial axes.
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        stride (int | Sequence[int]): Of the first convolution and the shortcut.
        bias (bool): Whether the convolutions have one.
        norm (str | dict | None): See :func:`normalisation`.
        act (str): See :func:`activation`.
        kernel (int | Sequence[int]): Odd.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        stride: PerAxis = 1,
        bias: bool = True,
        norm: Norm = 'instance',
        act: str = 'leaky_relu',
        kernel: PerAxis = 3,
    ) -> None:
        super().__init__()
        shared: dict[str, Any] = dict(bias=bias, norm=norm)
        self.conv1 = ConvNormAct(
            spatial_dims, in_channels, out_channels, kernel=kernel, stride=stride, act=act, **shared
        )
        self.conv2 = ConvNormAct(spatial_dims, out_channels, out_channels, kernel=kernel, act=None, **shared)
        same = in_channels == out_channels and set(per_axis(stride, spatial_dims)) == {1}
        self.shortcut: nn.Module = (
            nn.Identity()
            if same
            else ConvNormAct(spatial_dims, in_channels, out_channels, kernel=1, stride=stride, act=None, **shared)
        )
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape (N, C, *S) to (N, out_channels, *S / stride)."""
        return self.act(self.conv2(self.conv1(x)) + self.shortcut(x))


class ResidualStage(nn.Sequential):
    """Several :class:`ResidualBlock` in a row; arguments as for :class:`PlainStage`, ``depth`` counts blocks."""

    #: built with the axes, the channels before and behind, ``stride`` and the options
    block: Callable[..., nn.Module] = ResidualBlock

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        depth: int = 1,
        stride: PerAxis = 1,
        **options: Any,
    ) -> None:
        blocks = []
        for i in range(depth):
            source, step = (in_channels, stride) if i == 0 else (out_channels, 1)
            blocks.append(self.block(spatial_dims, source, out_channels, stride=step, **options))
        super().__init__(*blocks)


class Upsample(nn.Module):
    """Multiply the size by ``factor`` and change the channels.

    Args:
        spatial_dims (int): Number of spatial axes.
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        factor (int | Sequence[int]): Along each axis.
        mode (str): ``'transposed'`` convolution, or ``'linear'`` interpolation (half-pixel) after a 1x1 convolution.
        kernel (int | None): Of the transposed convolution along axes that grow; None for the factor.
        bias (bool): Of the convolution.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        factor: PerAxis = 2,
        *,
        mode: str = 'transposed',
        kernel: int | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.factor = per_axis(factor, spatial_dims)
        self.mode = mode
        if mode == 'transposed':
            kernels = tuple(s if kernel is None or s == 1 else kernel for s in self.factor)
            padding = tuple((k - s + 1) // 2 for k, s in zip(kernels, self.factor, strict=True))
            # what makes the output exactly ``factor`` times as long
            rest = tuple(s - k + 2 * p for k, s, p in zip(kernels, self.factor, padding, strict=True))
            self.conv = _CONV_TRANSPOSED[spatial_dims](
                in_channels, out_channels, kernels, self.factor, padding, rest, bias=bias
            )
        elif mode == 'linear':
            self.conv = convolution(spatial_dims, in_channels, out_channels, 1, bias=bias)
        else:
            raise ValueError(f"upsampling must be 'transposed' or 'linear', got {mode!r}")

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape (N, C, *S) to (N, out_channels, *S * factor)."""
        x = self.conv(x)
        if self.mode == 'transposed':
            return x
        return resize(x, [n * f for n, f in zip(x.shape[2:], self.factor, strict=True)])


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Interpolate (N, C, *S) linearly to another size, half-pixel centres, without antialiasing."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    mode = {1: 'linear', 2: 'bilinear', 3: 'trilinear'}[x.ndim - 2]
    return torch.nn.functional.interpolate(x, tuple(size), mode=mode, align_corners=False)
