"""Classification of a map's uncertain pixels anew."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmseg_medical.models.layers.aligned import sample_aligned


def uncertain_pixels(logits: Tensor, number: int) -> Tensor:
    """Flat indices (N, number) of the pixels of (N, K, H, W) whose largest probability is smallest, these first."""
    return logits.softmax(1).amax(1).flatten(1).topk(number, dim=1, largest=False).indices


def other_pixels(chosen: Tensor, total: int, number: int) -> Tensor:
    """Draw ``number`` of ``total`` pixels, none of them twice and none of ``chosen`` (N, P)."""
    keys = torch.rand(len(chosen), total, device=chosen.device)
    return keys.scatter_(1, chosen, -1.0).topk(number, dim=1).indices


class PointRefinement(nn.Module):
    """Multi-layer perceptron on features and logits of uncertain pixels, whose logits it replaces.

    After PointRend (Kirillov et al., CVPR 2020, doi:10.1109/CVPR42600.2020.00982) as HDC-HRNet was released: on the map
    itself, in one step. In training, three quarters of the points are the most uncertain ones, the rest is drawn; in
    evaluation there are at most a quarter as many as pixels.

    Args:
        in_channels (int): F of the features.
        num_classes (int): K.
        num_points (int): Pixels that are classified anew, all of them if the map has fewer.
        hidden_channels (int): Of the perceptron.
        repeat_points (bool): In training the drawn pixels may repeat themselves and the uncertain ones, as in the
            release; gradients then count once for every time.
    """

    uncertain_share = 0.75

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        num_points: int = 1024,
        hidden_channels: int = 128,
        repeat_points: bool = False,
    ) -> None:
        super().__init__()
        self.num_points = num_points
        self.repeat_points = repeat_points
        self.mlp = nn.Sequential(
            nn.Conv1d(in_channels + num_classes, hidden_channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv1d(hidden_channels, hidden_channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv1d(hidden_channels, num_classes, 1),
        )

    def forward(self, logits: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Replace the logits of some pixels.

        Args:
            logits (Tensor): shape (N, K, H, W).
            maps (Sequence[Tensor]): each (N, C_i, h_i, w_i), F channels in all; the features are those of the maps
                enlarged to the first and joined, sampled bilinearly with aligned corners.

        Returns:
            Tensor: shape (N, K, H, W), dtype of ``logits``, which stay as they are.
        """
        index = self.choose(logits.detach())
        if not index.shape[1]:
            return logits
        features = sample_aligned(maps, index, logits.shape[2:])
        columns = index[:, None].expand(-1, logits.shape[1], -1)
        flat = logits.flatten(2)
        points = self.mlp(torch.cat((features, flat.gather(2, columns).to(features.dtype)), dim=1))
        return flat.scatter(2, columns, points.to(logits.dtype)).view_as(logits)

    def choose(self, logits: Tensor) -> Tensor:
        """Return flat indices (N, P) of the pixels of ``logits`` (N, K, H, W) that are classified anew."""
        pixels = logits.shape[2] * logits.shape[3]
        if not self.training:
            return uncertain_pixels(logits, min(self.num_points, pixels // 4))
        number = min(self.num_points, pixels)
        uncertain = uncertain_pixels(logits, int(self.uncertain_share * number))
        rest = number - uncertain.shape[1]
        if self.repeat_points:
            drawn = torch.randint(pixels, (len(logits), rest), device=logits.device)
        else:
            drawn = other_pixels(uncertain, pixels, rest)
        return torch.cat((uncertain, drawn), dim=1)
