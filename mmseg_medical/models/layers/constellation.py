"""Constellation head: classes as fixed points of a plane, as symbols of a digital modulation."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError


def prototypes(num_classes: int, dims: int = 2, seed: int = 0) -> Tensor:
    """Unit vectors that stand for the classes.

    Args:
        num_classes (int): K.
        dims (int): In two dimensions the vectors are spread evenly, the first at angle 0; otherwise they are random.
        seed (int): Of the random ones.

    Returns:
        Tensor: Shape (K, dims), float32.

    Example:
        >>> [round(torch.dist(*prototypes(k)[:2]).item(), 4) for k in (4, 14)]
        [1.4142, 0.445]
    """
    if dims == 2:
        angles = torch.arange(num_classes, dtype=torch.float64) * (2 * math.pi / num_classes)
        return torch.stack((angles.cos(), angles.sin()), dim=1).float()
    # its own generator: the initialisation of what is built later must not depend on this
    return F.normalize(torch.randn(num_classes, dims, generator=torch.Generator().manual_seed(seed)), dim=1)


class ConstellationLayer(nn.Module):
    """Logits that fall with the squared distance to the prototype of each class.

    Args:
        in_channels (int): C of the features.
        num_classes (int): K.
        embed_dims (int): D, dimensions of the space of the prototypes; see :func:`prototypes`.
        seed (int): Of random prototypes.

    Raises:
        ConfigError: There are fewer than 2 channels, or there is no class or no dimension.
    """

    prototypes: Tensor

    def __init__(self, in_channels: int, num_classes: int, embed_dims: int = 2, seed: int = 0) -> None:
        super().__init__()
        if in_channels < 2 or num_classes < 1 or embed_dims < 1:
            raise ConfigError(
                'the constellation head needs at least 2 channels, 1 class and 1 dimension, got '
                f'{in_channels}, {num_classes} and {embed_dims}'
            )
        half = in_channels // 2
        self.embed = nn.Sequential(
            nn.Conv2d(in_channels, half, 3, padding=1, bias=False),
            nn.GroupNorm(math.gcd(half, 32), half),
            nn.SiLU(),
            nn.Conv2d(half, embed_dims, 1),
            nn.Tanh(),
        )
        self.gamma = nn.Parameter(torch.tensor(1.0))
        self.register_buffer('prototypes', prototypes(num_classes, embed_dims, seed))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Embed features and compare them with the prototypes.

        Args:
            features (Tensor): Shape (N, C, H, W).

        Returns:
            tuple[Tensor, Tensor]: Logits (N, K, H, W), at most 0, and embeddings (N, D, H, W) between -1 and 1.
        """
        embedded = self.embed(features)
        # differences, not |z|^2 - 2 zp + |p|^2, which loses small distances in half precision
        points = self.prototypes.to(embedded.dtype)[:, :, None, None]
        distances = torch.stack([(embedded - point).square().sum(dim=1) for point in points], dim=1)
        return -F.softplus(self.gamma) * distances, embedded
