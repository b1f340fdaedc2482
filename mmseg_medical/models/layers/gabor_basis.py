"""Layers of functions of position: Gabor basis, sine layers, feature-wise modulation."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GaborBasis(nn.Module):
    """Learned waves under a Gaussian window across their direction.

    With the projection p of a point on a unit direction, the values are exp(-p^2 / (2 s^2 + 1e-8)) times cosine and
    sine of 2 pi f p + phase, where s and f are kept positive: s = abs(width) + 0.01, f = abs(frequency) + 0.1.
    Frequencies start log-spaced between 1 and 10, widths evenly spaced between 0.1 and 2, directions and phases
    random.

    Args:
        functions (int): F, number of waves.
    """

    def __init__(self, functions: int = 64) -> None:
        super().__init__()
        angles, phases = torch.rand(2, functions) * 2 * math.pi
        self.directions = nn.Parameter(torch.stack((angles.cos(), angles.sin()), dim=1))
        self.frequencies = nn.Parameter(torch.logspace(0, 1, functions))
        self.widths = nn.Parameter(torch.linspace(0.1, 2.0, functions))
        self.phases = nn.Parameter(phases)

    def forward(self, coordinates: Tensor) -> Tensor:
        """Map (..., 2), order (x, y), to (..., 2 F): all cosines, then all sines."""
        direction = F.normalize(self.directions, dim=1)
        # not a matrix product, which autocast would do in half precision
        projection = coordinates[..., :1] * direction[:, 0] + coordinates[..., 1:] * direction[:, 1]
        window = torch.exp(-projection.square() / (2 * (self.widths.abs() + 0.01).square() + 1e-8))
        phase = 2 * math.pi * (self.frequencies.abs() + 0.1) * projection + self.phases
        return torch.cat((window * phase.cos(), window * phase.sin()), dim=-1)


class SineLayer(nn.Linear):
    """Linear layer with the activation sin(30 x) (Sitzmann et al. 2020, SIREN, arXiv:2006.09661).

    Args:
        in_features (int): Inputs.
        out_features (int): Outputs.
        first (bool): Whether it is the first of its network, which spreads its weights over +-1 / inputs instead of
            +-sqrt(6 / inputs) / 30.
    """

    OMEGA = 30.0

    def __init__(self, in_features: int, out_features: int, first: bool = False) -> None:
        super().__init__(in_features, out_features)
        bound = 1 / in_features if first else math.sqrt(6 / in_features) / self.OMEGA
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features), values between -1 and 1."""
        return self.activate(super().forward(input))

    @classmethod
    def activate(cls, preactivation: Tensor) -> Tensor:
        """Sine of 30 times the result of the linear part."""
        return torch.sin(cls.OMEGA * preactivation)


class FeatureModulation(nn.Module):
    """Scale and shift that a feature predicts (Perez et al. 2018, FiLM, arXiv:1709.07871).

    Args:
        features (int): Of the conditioning feature.
        channels (int): That are scaled and shifted.
        init (str): ``'identity'``: every scale is 1 and every shift 0 at first; ``'released'``: as in HDC-HRNet's
            code, which sets the first ``channels // features + 1`` columns of the scale's weight to 1 and leaves the
            rest random.
    """

    def __init__(self, features: int, channels: int, init: str = 'identity') -> None:
        super().__init__()
        self.scale = nn.Linear(features, channels)
        self.shift = nn.Linear(features, channels)
        with torch.no_grad():
            if init == 'identity':
                for layer, bias in ((self.scale, 1.0), (self.shift, 0.0)):
                    layer.weight.zero_()
                    layer.bias.fill_(bias)
            else:
                self.scale.weight[:, : channels // features + 1] = 1.0

    def affine(self) -> tuple[Tensor, Tensor]:
        """Weight (2 C, F) and bias (2 C,) that give scale and shift, joined."""
        return torch.cat((self.scale.weight, self.shift.weight)), torch.cat((self.scale.bias, self.shift.bias))

    def forward(self, feature: Tensor) -> Tensor:
        """Map a feature (..., F) to scale and shift, joined: (..., 2 C)."""
        return F.linear(feature, *self.affine())

    @staticmethod
    def modulate(x: Tensor, scale_and_shift: Tensor) -> Tensor:
        """Apply the result of :meth:`forward` to ``x`` (..., C)."""
        scale, shift = scale_and_shift.chunk(2, dim=-1)
        return x * scale + shift
