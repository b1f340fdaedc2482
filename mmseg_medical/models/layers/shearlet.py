"""Shearlet implicit head: oriented, sheared wave packets whose shape is controlled by the feature of each point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_medical.models.layers.pointwise_head import PointwiseHead

ANGLES = 8
FREQUENCIES = 4


class ShearletBasis(nn.Module):
    """Gaussian-windowed waves at eight angles, scaled and sheared differently at every point.

    A point (x, y), rotated by an angle to (x', y'), gives exp(-((q sx)^2 + (y' sy)^2) / 2) cos(2 pi f q) with
    q = x' + shear y'.
    """

    base_angles: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer('base_angles', torch.arange(ANGLES) * (math.pi / ANGLES))

    def forward(self, coordinates: Tensor, shape: Sequence[Tensor], multipliers: Tensor) -> Tensor:
        """Evaluate the basis.

        Args:
            coordinates (Tensor): Shape (P, 2) or (N, P, 2), order (x, y).
            shape (Sequence[Tensor]): Frequency, sx, sy and shear, each of shape (N, P, 1) or one that is broadcast.
            multipliers (Tensor): Of the frequency, shape (M,).

        Returns:
            Tensor: Shape (N, P, 8 M), the angles of the first multiplier first.

        Example:
            >>> shape = torch.tensor([1.0, 1.0, 2.0, 0.5]).reshape(4, 1, 1, 1)
            >>> values = ShearletBasis()(torch.tensor([[0.5, -0.25]]), shape, torch.ones(1))
            >>> values.shape, round(values[0, 0, 0].item(), 5)
            (torch.Size([1, 1, 8]), -0.58165)
        """
        frequency, scale_x, scale_y, shear = shape
        angles = self.base_angles.to(coordinates.dtype)
        x, y = coordinates[..., :1], coordinates[..., 1:]
        across = x * angles.cos() - y * angles.sin()
        along = x * angles.sin() + y * angles.cos()
        sheared = across + shear * along
        envelope = torch.exp(-0.5 * ((sheared * scale_x).square() + (along * scale_y).square()))
        phase = 2 * math.pi * frequency * sheared
        waves = torch.cos(multipliers[:, None] * phase[..., None, :])
        return (envelope[..., None, :] * waves).flatten(-2)


class ShearletController(nn.Module):
    """Multilayer perceptron that gives every point frequency, two scales and shear; equal everywhere at first.

    Args:
        in_channels (int): F of the features.
        hidden (int): Width.
    """

    def __init__(self, in_channels: int, hidden: int) -> None:
        super().__init__()
        last = nn.Linear(hidden, 4)
        self.net = nn.Sequential(
            nn.Linear(in_channels, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), last
        )  # fmt: skip
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([1.0, 1.0, 1.0, 0.0]))

    def shape_of(self, projected: Tensor) -> tuple[Tensor, ...]:
        """Map the first layer's result (N, P, hidden) to frequency, sx, sy and shear, each (N, P, 1)."""
        raw = self.net[1:](projected)
        # autocast's half precision is too coarse for the phase of the waves
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
        return *(F.softplus(raw[..., :3]) + 0.1).split(1, dim=-1), 2 * raw[..., 3:].tanh()


class ShearletHead(PointwiseHead):
    """Implicit head of HDC-HRNet: encoded coordinates, shearlet basis and feature of each point, decoded together.

    The defaults are the released configuration, 643,084 parameters for 720 channels and 4 classes; 643,085 with the
    scalar that mixes its logits with another head's, which that head has (``implicit_fusion``).

    An ``energy`` given to :meth:`forward` multiplies all three inputs of the decoder.

    Args:
        in_channels (int): F of the features.
        num_classes (int): K of the logits.
        hidden (int): Width of all layers.
        chunk_points (int): See :class:`PointwiseHead`.

    Raises:
        ConfigError: An argument is less than 1.
    """

    def __init__(self, in_channels: int, num_classes: int, hidden: int = 256, chunk_points: int = 8192) -> None:
        super().__init__(in_channels, num_classes, chunk_points)
        self.controller = ShearletController(in_channels, hidden)
        self.freq_scales = nn.Parameter(torch.linspace(0.5, 4.0, FREQUENCIES))
        self.shearlet_basis = ShearletBasis()
        self.coord_encoder = nn.Sequential(nn.Linear(2, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        waves = ANGLES * FREQUENCIES
        self.decoder = nn.Sequential(
            nn.Linear(hidden + waves + in_channels, hidden), nn.SiLU(),
            nn.Linear(hidden, hidden), nn.SiLU(),
            nn.Linear(hidden, num_classes),
        )  # fmt: skip
        self._parts = hidden, waves, in_channels

    def projection(self) -> tuple[Tensor, Tensor]:
        """First layer of the controller, and the decoder's as far as it reads features, without bias."""
        first = cast(nn.Linear, self.controller.net[0])
        weight = torch.cat((first.weight, self._decoder_weights()[2]))
        return weight, torch.cat((first.bias, torch.zeros_like(first.bias)))

    def decode(self, coordinates: Tensor, projected: Tensor, energy: Tensor | None) -> Tensor:
        """Logits of points; arguments as in :meth:`PointwiseHead.decode`."""
        # the decoder's input is never joined: its first layer is a sum over parts, and the encoded coordinates are
        # the same for all images
        of_coordinates, of_waves, _ = self._decoder_weights()
        control, hidden = projected.chunk(2, dim=-1)
        dtype = of_waves.dtype
        encoded = F.linear(self.coord_encoder(coordinates.to(dtype)), of_coordinates)
        shape = self.controller.shape_of(control.to(dtype))
        waves = self.shearlet_basis(coordinates, shape, self.freq_scales)
        hidden = hidden + encoded + F.linear(waves.to(dtype), of_waves)
        if energy is not None:
            hidden = hidden * energy
        return self.decoder[1:]((hidden + cast(nn.Linear, self.decoder[0]).bias).to(dtype))

    def _decoder_weights(self) -> tuple[Tensor, ...]:
        return cast(nn.Linear, self.decoder[0]).weight.split(self._parts, dim=1)
