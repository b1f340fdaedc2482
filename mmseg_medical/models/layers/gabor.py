"""Implicit heads on a Gabor basis: feature beside the basis, or feature and energy as gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Frame
from mmseg_medical.models.layers.aligned import resize_aligned
from mmseg_medical.models.layers.gabor_basis import FeatureModulation, GaborBasis, SineLayer
from mmseg_medical.models.layers.monogenic import MonogenicEnergy
from mmseg_medical.models.layers.pointwise_head import PointwiseHead
from mmseg_medical.models.layers.stream_classifier import StreamClassifier


class GaborDecoder(nn.Module):
    """Gabor basis and feature, joined, through sine layers and a linear one.

    Args:
        features (int): D of the feature of a point.
        num_classes (int): K.
        hidden (int): Width of the sine layers.
        functions (int): Of the basis.
        layers (int): Number of layers, the linear one counted.
    """

    def __init__(self, features: int, num_classes: int, hidden: int = 256, functions: int = 64, layers: int = 4):
        super().__init__()
        self.basis = GaborBasis(functions)
        self.first = SineLayer(2 * functions + features, hidden, first=True)
        self.rest = nn.Sequential(
            *(SineLayer(hidden, hidden) for _ in range(layers - 2)),
            nn.Linear(hidden, num_classes),
        )
        self._parts = 2 * functions, features

    def projection(self) -> tuple[Tensor, Tensor]:
        """Weight (hidden, D) and bias of the first layer as far as it reads the feature."""
        return self.first.weight.split(self._parts, dim=1)[1], self.first.bias

    def forward(self, coordinates: Tensor, projected: Tensor) -> Tensor:
        """Logits (N, P, K) of points (P, 2) and their projected features (N, P, hidden)."""
        weight = self.first.weight.split(self._parts, dim=1)[0]
        of_basis = F.linear(self.basis(coordinates).to(weight.dtype), weight)
        hidden = SineLayer.activate(of_basis + projected.to(weight.dtype))
        return self.rest(hidden)


class ModulatedGaborDecoder(nn.Module):
    """Gabor basis through sine layers that the feature scales and shifts; the energy gates the logits.

    Args:
        features (int): D of the feature of a point.
        num_classes (int): K.
        hidden (int): Width of the sine layers.
        functions (int): Of the basis.
        film_init (str): See :class:`FeatureModulation`.
    """

    def __init__(self, features: int, num_classes: int, hidden: int, functions: int, film_init: str) -> None:
        super().__init__()
        self.basis = GaborBasis(functions)
        self.first = SineLayer(2 * functions, hidden, first=True)
        self.layers = nn.ModuleList(SineLayer(hidden, hidden) for _ in range(2))
        # one behind each layer, and one before the output
        self.films = nn.ModuleList(FeatureModulation(features, hidden, film_init) for _ in range(3))
        self.output = nn.Linear(hidden, num_classes)
        self.gate_scale = nn.Parameter(torch.tensor(1.0))
        self.gate_shift = nn.Parameter(torch.tensor(0.0))

    def projection(self) -> tuple[Tensor, Tensor]:
        """Weight (6 hidden, D) and bias that give the scales and shifts of all modulations."""
        weights, biases = zip(*(cast(FeatureModulation, film).affine() for film in self.films), strict=True)
        return torch.cat(weights), torch.cat(biases)

    def forward(self, coordinates: Tensor, projected: Tensor, energy: Tensor) -> Tensor:
        """Logits (N, P, K) of points (P, 2), their modulations (N, P, 6 hidden) and energies (N, P, 1)."""
        dtype = self.output.weight.dtype
        *modulations, last = projected.to(dtype).chunk(len(self.films), dim=-1)
        x = self.first(self.basis(coordinates).to(dtype))
        for layer, modulation in zip(self.layers, modulations, strict=True):
            x = FeatureModulation.modulate(layer(x), modulation)
        logits = self.output(FeatureModulation.modulate(x, last))
        return logits * torch.sigmoid(self.gate_scale * energy + self.gate_shift).to(logits.dtype)


def joined_mean(maps: Sequence[Tensor]) -> Tensor:
    """Mean (N, 1, h_0, w_0) over the channels of streams (N, C_i, h_i, w_i), enlarged to the first and joined."""
    sums = [resize_aligned(x.sum(dim=1, keepdim=True), maps[0].shape[2:]) for x in maps]
    return torch.stack(sums).sum(dim=0) / sum(x.shape[1] for x in maps)


class _GaborBase(PointwiseHead):
    default_scale = 4

    def __init__(self, in_channels: int, num_classes: int, hidden: int, chunk_points: int) -> None:
        super().__init__(in_channels, num_classes, chunk_points)
        if hidden < 32 or hidden % 32:
            raise ConfigError(f'hidden of {type(self).__name__} is normalised in 32 groups, {hidden} cannot be')
        self.stem = nn.Sequential(StreamClassifier(in_channels, hidden), nn.GroupNorm(32, hidden), nn.GELU())

    def prepare(self, maps: list[Tensor]) -> list[Tensor]:
        """Map streams (N, C_i, h_i, w_i) to one map (N, hidden, h, w)."""
        return [self.stem(maps)]


class GaborHead(_GaborBase):
    """Implicit head that decodes a Gabor basis of the position together with the feature.

    The defaults are the released configuration, e.g. 248,644 parameters for 64 channels and 4 classes. Without a
    size, the logits are 4 times as large as the features.

    Args:
        in_channels (int): F of the features.
        num_classes (int): K of the logits.
        hidden (int): Width of all layers, divisible by 32.
        functions (int): Of the basis.
        layers (int): Of the decoder, the linear one counted.
        chunk_points (int): See :class:`PointwiseHead`.

    Raises:
        ConfigError: An argument is too small, or ``hidden`` is not divisible by 32.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        hidden: int = 256,
        functions: int = 64,
        layers: int = 4,
        chunk_points: int = 8192,
    ) -> None:
        super().__init__(in_channels, num_classes, hidden, chunk_points)
        if layers < 2 or functions < 1:
            raise ConfigError(f'GaborHead needs at least 2 layers and 1 function, got {layers} and {functions}')
        self.decoder = GaborDecoder(hidden, num_classes, hidden, functions, layers)

    def projection(self) -> tuple[Tensor, Tensor]:
        """Part of the decoder's first layer that reads the feature."""
        return self.decoder.projection()

    def decode(self, coordinates: Tensor, projected: Tensor, energy: Tensor | None) -> Tensor:
        """Logits of points; this head knows no energy.

        Raises:
            ConfigError: An energy is given.
        """
        if energy is not None:
            raise ConfigError('GaborHead is not gated by an energy; EnergyGatedGaborHead is')
        return self.decoder(coordinates, projected)


class EnergyGatedGaborHead(_GaborBase):
    """Implicit head whose features modulate a network of the position, and whose logits an energy gates.

    The defaults are the released configuration but for the modulations, which start as identities; e.g. 577,862
    parameters for 64 channels and 4 classes. Without a size, the logits are 4 times as large as the features.

    Args:
        in_channels (int): F of the features.
        num_classes (int): K of the logits.
        hidden (int): Width of all layers, divisible by 32.
        functions (int): Of the basis.
        film_init (str): ``'identity'`` or ``'released'``, see :class:`FeatureModulation`.
        chunk_points (int): See :class:`PointwiseHead`.

    Raises:
        ConfigError: An argument is too small, ``hidden`` is not divisible by 32 or ``film_init`` is unknown.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        hidden: int = 256,
        functions: int = 64,
        film_init: str = 'identity',
        chunk_points: int = 8192,
    ) -> None:
        super().__init__(in_channels, num_classes, hidden, chunk_points)
        if functions < 1:
            raise ConfigError(f'EnergyGatedGaborHead needs at least 1 function, got {functions}')
        if film_init not in ('identity', 'released'):
            raise ConfigError(f"film_init must be 'identity' or 'released', got {film_init!r}")
        self.energy = MonogenicEnergy()
        self.decoder = ModulatedGaborDecoder(hidden, num_classes, hidden, functions, film_init)

    def forward(
        self,
        features: Tensor | Sequence[Tensor],
        size: Sequence[int] | None = None,
        energy: Tensor | None = None,
        frames: Sequence[Frame] | None = None,
    ) -> Tensor:
        """Evaluate the head.

        Args:
            features (Tensor | Sequence[Tensor]): See :meth:`PointwiseHead.forward`.
            size (Sequence[int] | None): See :meth:`PointwiseHead.forward`.
            energy (Tensor | None): Shape (N, 1, h', w'), 0..1, such as :class:`MonogenicEnergy` of the image. None
                takes that of the features, because a decode head does not see the image.
            frames (Sequence[Frame] | None): See :meth:`PointwiseHead.forward`.

        Returns:
            Tensor: Logits of shape (N, K, H, W), unnormalised.

        Raises:
            ConfigError: See :meth:`PointwiseHead.forward`.
        """
        if energy is None:
            energy = self.energy(joined_mean(self._checked(features)))
        return super().forward(features, size, energy, frames)

    def projection(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the decoder's scales and shifts."""
        return self.decoder.projection()

    def decode(self, coordinates: Tensor, projected: Tensor, energy: Tensor | None) -> Tensor:
        """Logits of points; arguments as in :meth:`PointwiseHead.decode`."""
        return self.decoder(coordinates, projected, energy)
