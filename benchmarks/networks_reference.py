"""HDC-HRNet, its heads and its loss as the specification writes them; parameters are those of a model of the library.

Streams are enlarged and joined before the head classifies them, points are sampled from the joined map, offsets and
masks come from a convolution each, and the terms of the loss are computed one by one.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from networks_reference_blocks import dcn
from torch import Tensor, nn

CLASSES = 4
SUPERVISION = (0.4, 0.3, 0.2, 0.1)


class ReferenceNetwork(nn.Module):
    """The formulation of the specification, with the parameters of ``model``.

    Args:
        model (nn.Module): Segmentor with ``HRNetDCN`` of ``dcn`` blocks and an ``AggregateHead`` or ``PointRendHead``.
        backend (str): Of the deformable convolution.
    """

    def __init__(self, model: nn.Module, backend: str) -> None:
        super().__init__()
        self.model = model
        self.backend = backend

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Map an image (N, C, H, W) to logits and those of each stream, all (N, K, H, W).

        As released, those of the streams are also computed in evaluation.
        """
        net: Any = self.model.backbone
        head: Any = self.model.decode_head
        x = image
        for layer in net.stem:
            x = _unit(layer, x)
        for layer in net.layer1:
            x = _bottleneck(layer, x)
        (to_first, to_second), (to_third,), (to_fourth,) = net.transitions
        streams = self._stage(net.stages[0], [_unit(to_first, x), _unit(to_second, x)])
        streams = self._stage(net.stages[1], [*streams, _unit(to_third, streams[-1])])
        streams = self._stage(net.stages[2], [*streams, _unit(to_fourth, streams[-1])])

        size = streams[0].shape[2:]
        features = torch.cat([streams[0], *(_resize(s, size) for s in streams[1:])], dim=1)
        logits = F.conv2d(features, head.conv_seg.weight, head.conv_seg.bias)
        logits = _resize(logits, image.shape[2:])
        if hasattr(head, 'points'):
            logits = _refine(head.points, features, logits, self.training)
        own = [_resize(head.classifiers[str(i)](s), image.shape[2:]) for i, s in enumerate(streams)]
        return logits, own

    def loss(self, image: Tensor, target: Tensor) -> Tensor:
        """Loss of the training scripts after their warm-up; ``target`` (N, H, W)."""
        logits, own = self(image)
        total = _loss(logits, target)
        for weight, each in zip(SUPERVISION, own, strict=True):
            total = total + weight * _loss(each, target)
        return total

    def _stage(self, stage: Any, streams: list[Tensor]) -> list[Tensor]:
        outs = []
        for branch, x in zip(stage.branches, streams, strict=True):
            for block in branch:
                x = dcn(block, x, self.backend)
            outs.append(x)
        return [self._fuse(row, j, outs) for j, row in enumerate(stage.fusion.paths)]

    @staticmethod
    def _fuse(row: Any, j: int, streams: list[Tensor]) -> Tensor:
        total = None
        for i, (path, x) in enumerate(zip(row, streams, strict=True)):
            term = x if i == j else _resize(_unit(path, x, relu=False), streams[j].shape[2:])
            total = term if total is None else total + term
        return F.relu(total)


def _unit(layer: Any, x: Tensor, relu: bool = True) -> Tensor:
    x = layer.norm(layer.conv(x))
    return F.relu(x, inplace=True) if relu else x


def _bottleneck(layer: Any, x: Tensor) -> Tensor:
    y = _unit(layer.conv3, _unit(layer.conv2, _unit(layer.conv1, x)), relu=False)
    shortcut = x if isinstance(layer.shortcut, nn.Identity) else _unit(layer.shortcut, x, relu=False)
    return F.relu(y + shortcut, inplace=True)


def _resize(x: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(x, size, mode='bilinear', align_corners=True)


def _refine(points: Any, features: Tensor, logits: Tensor, training: bool) -> Tensor:
    """Classify uncertain pixels anew; in training a quarter of them is drawn and may repeat."""
    height, width = logits.shape[2:]
    pixels = height * width
    uncertainty = -logits.detach().softmax(1).amax(1).flatten(1)
    if training:
        index = uncertainty.topk(points.num_points * 3 // 4, dim=1).indices
        drawn = torch.randint(pixels, (len(logits), points.num_points // 4), device=logits.device)
        index = torch.cat((index, drawn), dim=1)
    else:
        index = uncertainty.topk(min(points.num_points, pixels // 4), dim=1).indices
    columns, rows = (index % width).to(logits.dtype), (index // width).to(logits.dtype)
    x, y = 2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1
    grid = torch.stack((x, y), dim=-1)[:, None]
    sampled = [F.grid_sample(each, grid, align_corners=True)[:, :, 0] for each in (features, logits)]
    refined = points.mlp(torch.cat(sampled, dim=1))
    index = index[:, None].expand(-1, logits.shape[1], -1)
    return logits.flatten(2).scatter(2, index, refined).view_as(logits)


def _loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy, Dice, and half the cross entropy at edges, which as released are everywhere."""
    truth = F.one_hot(target, CLASSES).permute(0, 3, 1, 2).float()
    shares = logits.softmax(1)
    overlap, total = (shares * truth).sum((2, 3)), shares.sum((2, 3)) + truth.sum((2, 3))
    dice = (1 - (2 * overlap + 1e-5) / (total + 1e-5)).mean()
    edges = (_edges(logits.argmax(1)) | _edges(target)).float()
    at_edges = (F.cross_entropy(logits, target, reduction='none') * (1 + edges)).mean()
    return F.cross_entropy(logits, target) + dice + 0.5 * at_edges


def _edges(labels: Tensor) -> Tensor:
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=labels.device)
    kernels = torch.stack((across, across.T))[:, None]
    gradient = F.conv2d(labels[:, None].float(), kernels, padding=1)
    return (gradient.square().sum(1) + 1e-8).sqrt() > 0
