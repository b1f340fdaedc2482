"""Head of any rank: a point-wise classifier of a decoder's maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Frame
from mmseg_medical.models.layers.conv_blocks import convolution
from mmseg_medical.models.losses.deep_supervision import deep_supervision
from mmseg_medical.models.losses.voxel_loss import VoxelLoss
from mmseg_medical.registry import MODELS


@MODELS.register_module()
class VolumeHead(BaseModule):
    """1x1 convolutions on the last maps of a backbone; more than one of them learn together (deep supervision).

    The base of other heads: they say in :meth:`forward` how logits come about. With ``projection`` the finest map
    passes a 1x1 convolution first, and alone gets a classifier.

    Args:
        in_channels (int | Sequence[int]): Channels of the maps that get a classifier, the finest last, as
            :class:`MedicalUNet` returns them.
        num_classes (int): With the background; with ``multi_label`` the number of masks.
        spatial_dims (int): 2 or 3.
        projection (int | None): Channels of a 1x1 convolution in front of the classifier; None for none.
        multi_label (bool): Whether classes may overlap: sigmoid, targets (N, K, *S).
        threshold (float | Sequence[float]): Of multi-label masks, one or one a class.
        loss_decode (dict | Sequence[dict]): Losses; those of one ``loss_name`` are added.
        supervision_weights (str | Sequence[float]): Of the maps, the finest first, see
            :func:`~mmseg_medical.models.losses.deep_supervision.deep_supervision`.
        target_resize (str): How targets get the size of coarser maps, see there.
        ignore_index (int): Label of voxels that are not learnt.
        init_cfg (dict | None): As in mmengine.

    Raises:
        ConfigError: A projection with more than one map; or a loss of this package sees a sigmoid where classes exclude
            each other, or a softmax where they overlap.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        num_classes: int,
        *,
        spatial_dims: int = 3,
        projection: int | None = None,
        multi_label: bool = False,
        threshold: float | Sequence[float] = 0.5,
        loss_decode: dict | Sequence[dict] = (dict(type='DiceCELoss'),),
        supervision_weights: str | Sequence[float] = 'halving',
        target_resize: str = 'nearest-exact',
        ignore_index: int = 255,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        channels = (in_channels,) if isinstance(in_channels, int) else tuple(in_channels)
        self.num_classes = num_classes
        self.out_channels = num_classes
        self.spatial_dims = spatial_dims
        self.multi_label = multi_label
        self.threshold = threshold
        self.supervision_weights = supervision_weights
        self.target_resize = target_resize
        self.ignore_index = ignore_index
        self.loss_decode = nn.ModuleList(
            MODELS.build(dict(loss)) for loss in ([loss_decode] if isinstance(loss_decode, dict) else loss_decode)
        )
        for loss in self.loss_decode:
            if isinstance(loss, VoxelLoss) and loss.use_sigmoid != multi_label:
                raise ConfigError(
                    f'{type(loss).__name__} has use_sigmoid={loss.use_sigmoid}, the head multi_label={multi_label}: '
                    'both are True where classes may overlap or one channel is all, otherwise False'
                )
        if projection and len(channels) > 1:
            raise ConfigError(f'projection={projection} is of the finest map alone, in_channels are {channels}')
        self.projection = convolution(spatial_dims, channels[-1], projection, 1) if projection else None
        if projection:
            channels = (projection,)
        self.classifiers = nn.ModuleList(convolution(spatial_dims, c, num_classes, 1) for c in channels)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Logits of the maps, each (N, K, *S), the finest first; in evaluation mode that one alone."""
        last = len(self.classifiers) if self.training else 1
        finest_first = [self.projected(inputs[-1]), *inputs[-2::-1]]
        return tuple(
            classify(x) for classify, x in list(zip(self.classifiers[::-1], finest_first, strict=False))[:last]
        )

    def projected(self, x: Tensor) -> Tensor:
        """Map the finest map (N, C, *S) to what is classified, (N, projection, *S)."""
        return x if self.projection is None else self.projection(x)

    def frame_of(self, size: Sequence[int], meta: Mapping[str, Any], scale: Sequence[int] = ()) -> Frame | None:
        """Where an image lies in its case, for heads that ask for it; None: this one does not.

        Raises:
            ConfigError: Points between the voxels are asked for.
        """
        if any(s != 1 for s in scale):
            raise ConfigError(
                f'{type(self).__name__} knows no points between voxels; predictions at {tuple(scale)} times the '
                'resolution need an ImplicitVolumeHead'
            )
        return None

    def loss(self, inputs: Sequence[Tensor], batch_data_samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs (Sequence[Tensor]): Maps of the backbone.
            batch_data_samples (Sequence[SegDataSample]): With ``gt_sem_seg``.

        Returns:
            dict[str, Tensor]: Name to scalar.
        """
        return self.loss_by_logits(self.logits_of(inputs, batch_data_samples), self.targets(batch_data_samples))

    def logits_of(self, inputs: Sequence[Tensor], batch_data_samples: Sequence[SegDataSample]) -> tuple[Tensor, ...]:
        """Logits of a batch to learn from, the finest first."""
        return self(inputs)

    def loss_by_logits(self, logits: Sequence[Tensor], target: Tensor) -> dict[str, Tensor]:
        """Losses of logits, the finest first, against targets (N, *S) or (N, K, *S)."""
        losses: dict[str, Tensor] = {}
        for term in self.loss_decode:

            def one(scores: Tensor, truth: Tensor, term: nn.Module = term) -> Tensor:
                return term(scores, truth, ignore_index=self.ignore_index)

            value = deep_supervision(
                one, logits, target, weights=self.supervision_weights, target_resize=self.target_resize
            )
            name = str(term.loss_name)
            losses[name] = losses[name] + value if name in losses else value
        return losses

    def targets(self, batch_data_samples: Sequence[SegDataSample]) -> Tensor:
        """Stack the truth: int64 labels (N, *S), or masks (N, K, *S) with ``multi_label``.

        Raises:
            ValueError: There are not as many masks as classes.
        """
        truth = torch.stack([sample.gt_sem_seg.data for sample in batch_data_samples])
        wanted = self.num_classes if self.multi_label else 1
        if truth.shape[1] != wanted:
            kind = f'{wanted} masks' if self.multi_label else 'one label map'
            raise ValueError(
                f'the head expects {kind} a case, the data set gives {truth.shape[1]}; multi_label of the head and '
                'regions of LoadVolumeAnnotations belong together, and num_classes is the number of masks'
            )
        return truth if self.multi_label else truth[:, 0].long()

    def extra_repr(self) -> str:
        """Say what no module shows."""
        settings: dict[str, Any] = dict(multi_label=self.multi_label, supervision_weights=self.supervision_weights)
        return ', '.join(f'{key}={value!r}' for key, value in settings.items())
