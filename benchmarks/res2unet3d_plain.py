"""3D-Res2UNet as it was published: what the benchmark measures ours against; names of weights are the originals."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SE(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = channels // reduction
        self.pool = nn.AdaptiveAvgPool3d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, D, H, W) to the same shape."""
        weights = self.fc(self.pool(x).flatten(1))
        return x * weights[:, :, None, None, None]


class Res2Block(nn.Module):
    """Bottleneck of four parts."""

    def __init__(self, in_channels: int, out_channels: int, scale: int = 4) -> None:
        super().__init__()
        width = out_channels // scale
        self.width = width
        self.conv1 = nn.Conv3d(in_channels, out_channels, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(out_channels)
        self.convs = nn.ModuleList(nn.Conv3d(width, width, 3, padding=1, bias=False) for _ in range(scale - 1))
        self.bns = nn.ModuleList(nn.BatchNorm3d(width) for _ in range(scale - 1))
        self.conv3 = nn.Conv3d(out_channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(out_channels)
        self.se = SE(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv3d(in_channels, out_channels, 1, bias=False), nn.BatchNorm3d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, a, D, H, W) to (N, b, D, H, W)."""
        first, *rest = torch.split(self.relu(self.bn1(self.conv1(x))), self.width, dim=1)
        parts = [first]
        for i, (part, conv, bn) in enumerate(zip(rest, self.convs, self.bns, strict=True)):
            parts.append(self.relu(bn(conv(part + parts[-1] if i else part))))
        out = self.se(self.bn3(self.conv3(torch.cat(parts, dim=1))))
        out += self.shortcut(x)
        return self.relu(out)


class Down(nn.Module):
    """Block and pooling."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.block = Res2Block(in_channels, out_channels)
        self.pool = nn.MaxPool3d(2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, a, D, H, W) to the skip (N, b, D, H, W) and its half."""
        skip = self.block(x)
        return skip, self.pool(skip)


class Up(nn.Module):
    """Transposed convolution, union with the skip, block."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose3d(in_channels, out_channels, 2, stride=2)
        self.block = Res2Block(in_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Join (N, a, D, H, W) and the skip (N, b, 2D, 2H, 2W)."""
        return self.block(torch.cat([self.up(x), skip], dim=1))


class PlainRes2UNet3D(nn.Module):
    """Four halvings, 32 to 512 channels; images (N, 1, D, H, W) to logits (N, K, D, H, W)."""

    def __init__(self, num_classes: int = 2, base: int = 32) -> None:
        super().__init__()
        self.enc1 = Down(1, base)
        self.enc2 = Down(base, 2 * base)
        self.enc3 = Down(2 * base, 4 * base)
        self.enc4 = Down(4 * base, 8 * base)
        self.bottleneck = Res2Block(8 * base, 16 * base)
        self.dec4 = Up(16 * base, 8 * base)
        self.dec3 = Up(8 * base, 4 * base)
        self.dec2 = Up(4 * base, 2 * base)
        self.dec1 = Up(2 * base, base)
        self.final = nn.Conv3d(base, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits; every axis a multiple of 16."""
        skip1, x = self.enc1(x)
        skip2, x = self.enc2(x)
        skip3, x = self.enc3(x)
        skip4, x = self.enc4(x)
        x = self.bottleneck(x)
        x = self.dec4(x, skip4)
        x = self.dec3(x, skip3)
        x = self.dec2(x, skip2)
        x = self.dec1(x, skip1)
        return self.final(x)
