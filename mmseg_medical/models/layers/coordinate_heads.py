"""Implicit heads on a point's coordinates and feature, joined: a perceptron, and sine layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Frame
from mmseg_medical.models.layers.gabor_basis import SineLayer
from mmseg_medical.models.layers.pointwise_head import PointwiseHead


class _OnCoordinates(PointwiseHead):
    """Base: a linear layer on [x, y(, z), feature], coordinates first, and what follows it.

    Grid and features have one field of view. Computed in the precision of the weights also under autocast: in half
    precision neighbouring voxels would share a coordinate, and sine layers multiply the error by 30.
    """

    align_corners = False
    first: nn.Linear
    rest: nn.Module
    activate: Callable[[Tensor], Tensor]

    def forward(
        self,
        features: Tensor | Sequence[Tensor],
        size: Sequence[int] | None = None,
        energy: Tensor | None = None,
        frames: Sequence[Frame] | None = None,
    ) -> Tensor:
        """See :meth:`PointwiseHead.forward`; these heads know no energy.

        Raises:
            ConfigError: An energy is given, or see there.
        """
        if energy is not None:
            raise ConfigError(f'{type(self).__name__} is not gated by an energy; EnergyGatedGaborHead is')
        device = self.first.weight.device.type
        with torch.autocast('cpu' if device == 'meta' else device, enabled=False):
            return super().forward(features, size, None, frames)

    def prepare(self, maps: list[Tensor]) -> list[Tensor]:
        """Give features the type of the weights."""
        return [x.to(self.first.weight.dtype) for x in maps]

    def projection(self) -> tuple[Tensor, Tensor]:
        """First layer as far as it reads the feature."""
        return self.first.weight[:, self.spatial_dims :], self.first.bias

    def decode(self, coordinates: Tensor, projected: Tensor, energy: Tensor | None) -> Tensor:
        """Logits of points; arguments as in :meth:`PointwiseHead.decode`."""
        weight = self.first.weight[:, : self.spatial_dims]
        hidden = projected.to(weight.dtype) + F.linear(coordinates.to(weight.dtype), weight)
        return self.rest(self.activate(hidden))


class CoordinateHead(_OnCoordinates):
    """Perceptron of one hidden layer with leaky ReLU (slope 0.01) on coordinates and feature.

    The "INR" head of the 2D hippocampus networks, 2,371 parameters with the defaults on 32 channels in 2D.

    Args:
        in_channels (int): F of the features.
        num_classes (int): K of the logits.
        hidden (int): Width of the hidden layer.
        spatial_dims (int): Number R of axes, 2 or 3.
        chunk_points (int): See :class:`PointwiseHead`.

    Raises:
        ConfigError: An argument is less than 1, or there are other axes.
    """

    def __init__(
        self, in_channels: int, num_classes: int, hidden: int = 64, spatial_dims: int = 2, chunk_points: int = 8192
    ) -> None:
        super().__init__(in_channels, num_classes, chunk_points, spatial_dims)
        if hidden < 1:
            raise ConfigError(f'hidden of CoordinateHead must be at least 1, got {hidden}')
        self.first = nn.Linear(spatial_dims + in_channels, hidden)
        self.activate = nn.LeakyReLU(0.01)
        self.rest = nn.Linear(hidden, num_classes)


class SirenHead(_OnCoordinates):
    """Sine layers on coordinates and feature (Sitzmann et al. 2020, SIREN, arXiv:2006.09661).

    Features should be bounded, such as a 1x1 convolution of normed maps: the first layer multiplies them by 30. The
    defaults are those of the default 3D hippocampus network, 9,283 parameters on 8 channels in 3D.

    Args:
        in_channels (int): F of the features.
        num_classes (int): K of the logits.
        hidden (int): Width of the sine layers.
        layers (int): Number of sine layers; a linear one follows.
        spatial_dims (int): Number R of axes, 2 or 3.
        chunk_points (int): See :class:`PointwiseHead`.

    Raises:
        ConfigError: An argument is less than 1, or there are other axes.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        hidden: int = 64,
        layers: int = 3,
        spatial_dims: int = 2,
        chunk_points: int = 8192,
    ) -> None:
        super().__init__(in_channels, num_classes, chunk_points, spatial_dims)
        if hidden < 1 or layers < 1:
            raise ConfigError(f'hidden and layers of SirenHead must be at least 1, got {hidden} and {layers}')
        self.first = SineLayer(spatial_dims + in_channels, hidden, first=True)
        self.activate = SineLayer.activate
        self.rest = nn.Sequential(
            *(SineLayer(hidden, hidden) for _ in range(layers - 1)), nn.Linear(hidden, num_classes)
        )
