"""Cross entropy that counts more where labels change."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import max_pool1d, max_pool2d, max_pool3d, pad

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.losses.cross_entropy import cross_entropy
from mmseg_medical.models.losses.voxel_loss import VoxelLoss
from mmseg_medical.registry import MODELS

EDGE_MODES = ('fixed', 'code')
_MAX_POOL = {1: max_pool1d, 2: max_pool2d, 3: max_pool3d}
# of labels the smallest gradient that is not 0 is 1
_SMALLEST_GRADIENT = 1e-3


def label_edges(labels: Tensor) -> Tensor:
    """Voxels at which the Sobel gradient of a label map is not 0.

    The gradient is blind at the middle of a line one voxel wide; the voxels on both its sides are found.

    Args:
        labels (Tensor): integers, shape (N, *S) with one to three axes of space; the map goes on beyond its border as
            it is at the border, which is thus no edge.

    Returns:
        Tensor: bool, shape (N, *S).
    """
    rank = labels.ndim - 1
    wide = pad(labels[:, None].float(), (1, 1) * rank, mode='replicate')[:, 0]
    squares = torch.zeros_like(labels, dtype=torch.float32)
    for along in range(1, rank + 1):
        gradient = wide
        for axis in range(1, rank + 1):
            size = labels.shape[axis]
            before, here, after = (gradient.narrow(axis, start, size) for start in range(3))
            gradient = after - before if axis == along else before + 2 * here + after
        squares += gradient.square()
    return squares > _SMALLEST_GRADIENT**2


def edge_factor(logits: Tensor, target: Tensor, kept: Tensor | None, edge_mode: str = 'fixed') -> Tensor | float:
    """Factor of the cross entropy of each voxel: 2 at edges of the prediction or of the target, 1 elsewhere.

    Args:
        logits (Tensor): shape (N, K, *S); or what has the same order, such as log-probabilities.
        target (Tensor): labels (N, *S).
        kept (Tensor | None): Voxels that count, bool (N, *S); None: all. Beside others the target has no edge.
        edge_mode (str): ``'fixed'``; or ``'code'``: 2 everywhere, because HDC-HRNet's released code asks whether
            ``sqrt(gx^2 + gy^2 + 1e-8) > 0``, which always holds.

    Returns:
        Tensor | float: shape (N, *S), without a gradient; or the number 2.
    """
    if edge_mode == 'code':
        return 2.0
    with torch.no_grad():
        edges = label_edges(target)
        if kept is not None:
            unknown = (~kept)[:, None].float()
            edges &= _MAX_POOL[target.ndim - 1](unknown, 3, stride=1, padding=1)[:, 0] == 0
        edges |= label_edges(logits.argmax(1))
        return 1 + edges.to(logits.dtype)


def check_edge_mode(edge_mode: str) -> str:
    """Return ``edge_mode``.

    Raises:
        ConfigError: It is not one of :data:`EDGE_MODES`.
    """
    if edge_mode not in EDGE_MODES:
        raise ConfigError(f'edge_mode must be one of {EDGE_MODES}, got {edge_mode!r}')
    return edge_mode


@MODELS.register_module()
class EdgeCrossEntropyLoss(VoxelLoss):
    """Cross entropy that counts twice at edges of the predicted or the true labels, see :func:`edge_factor`.

    HDC-HRNet calls it boundary-aware loss. The edges have no gradient.

    Args:
        edge_mode (str): ``'fixed'``; or ``'code'``, twice the cross entropy, as released.
        loss_name (str): See :class:`VoxelLoss`.
        **options: Of :class:`VoxelLoss`, without ``use_sigmoid``: edges are those of labels.

    Raises:
        ConfigError: An unknown ``edge_mode``, or ``use_sigmoid``.
    """

    by_voxel = True

    def __init__(
        self,
        *,
        edge_mode: str = 'fixed',
        loss_name: str = 'loss_edge',
        **options: bool | float | str | Sequence[float] | None,
    ) -> None:
        super().__init__(loss_name=loss_name, **options)  # type: ignore[arg-type]
        if self.use_sigmoid:
            raise ConfigError('EdgeCrossEntropyLoss compares labels: classes that overlap (use_sigmoid) have none')
        self.edge_mode = check_edge_mode(edge_mode)

    def terms(self, logits: Tensor, target: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """See the base class."""
        scores = logits.log_softmax(1)
        values = cross_entropy(scores, target, kept, self.weight_of_classes(scores))
        return values * edge_factor(scores, target, kept, self.edge_mode), kept
