"""Head of any rank whose logits are a function of a voxel's place in its case and of its feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.geometry import Frame
from mmseg_medical.models.decode_heads.volume_head import VolumeHead
from mmseg_medical.registry import MODELS


@MODELS.register_module()
class ImplicitVolumeHead(VolumeHead):
    """An implicit head on the finest map of a backbone; coordinates are those of the voxel within its case.

    Patches, windows and padded images therefore have the coordinates that their voxels have in the whole file,
    whatever else is in the batch. The head can be asked between voxels too, see :class:`~mmseg_medical.geometry.Frame`.

    Args:
        in_channels (int): Channels of the finest map.
        num_classes (int): See :class:`VolumeHead`.
        implicit (dict | None): Registered implicit head, built with ``in_channels``, ``num_classes`` and
            ``spatial_dims`` unless it says otherwise; None for ``dict(type='SirenHead')``.
        **options: Of :class:`VolumeHead`; with ``projection`` the implicit head gets that many channels.
    """

    def __init__(self, in_channels: int, num_classes: int, *, implicit: dict | None = None, **options: Any) -> None:
        super().__init__(in_channels, num_classes, **options)
        del self.classifiers  # parameters that would never get a gradient
        given = {'type': 'SirenHead'} if implicit is None else implicit
        features = options.get('projection') or in_channels
        # heads that exist in the plane alone know no such argument
        dims = {} if self.spatial_dims == 2 else {'spatial_dims': self.spatial_dims}
        self.implicit = MODELS.build({'in_channels': features, 'num_classes': num_classes, **dims, **given})

    def frame_of(self, size: Sequence[int], meta: Mapping[str, Any], scale: Sequence[int] = ()) -> Frame:
        """Find where an image lies in its case, from its affine and the grid of its file.

        Images without geometry, and slices of a file with more axes, are their case as they are prepared. What is
        mirrored is the patient: a patch that was mirrored after it was cut lies where the mirrored case has it. Other
        turns of a patch leave its frame as it is.

        Args:
            size (Sequence[int]): Of the image, without what a batch pads.
            meta (Mapping): Metainfo of the sample: ``native_grid``, ``affine``, ``augmentations``.
            scale (Sequence[int]): Points that are asked for along each axis of a voxel.

        Raises:
            DataError: A patch was cut from an image without geometry, so that nobody knows where it was.
        """
        native, affine, records = meta.get('native_grid'), meta.get('affine'), meta.get('augmentations') or ()
        if native is not None and affine is not None and native.affine is not None and native.rank == len(size):
            steps = meta.get('grid_steps')
            prepared = steps[-1].target if steps else native
            return _mirrored(Frame.within(native, affine, scale), prepared.size, records)
        if any(record.get('type') == 'RandomPatch' for record in records):
            raise data_error(
                str(meta.get('img_path') or meta.get('case_id', 'image')),
                expected='an affine, to know which part of the case a patch is',
                found='a file without geometry',
                remedy='Take RandomPatch out of the pipeline, or store the image in a format with geometry.',
            )
        return Frame.whole(size, scale)

    def forward(self, inputs: Sequence[Tensor], frames: Sequence[Frame] | None = None) -> tuple[Tensor]:
        """Logits of the finest map.

        Args:
            inputs (Sequence[Tensor]): Maps of the backbone, the finest (N, C, *S) last.
            frames (Sequence[Frame] | None): Of each image; None: each is a case of its own.

        Returns:
            tuple[Tensor]: shape (N, K, *S), S times the scale of the frames.
        """
        x = self.projected(inputs[-1])
        frames = [Frame.whole(x.shape[2:])] * len(x) if frames is None else frames
        size = [n * s for n, s in zip(x.shape[2:], frames[0].scale, strict=True)]
        return (self.implicit(x, size, frames=frames),)

    def logits_of(self, inputs: Sequence[Tensor], batch_data_samples: Sequence[SegDataSample]) -> tuple[Tensor, ...]:
        """See the base class."""
        size = inputs[-1].shape[2:]
        metas = [sample.metainfo for sample in batch_data_samples]
        return self(inputs, [self.frame_of(meta.get('img_shape', size), meta) for meta in metas])


def _mirrored(frame: Frame, size: Sequence[int], records: Sequence[Mapping[str, Any]]) -> Frame:
    """Frame of an image in the case that was mirrored with it.

    Args:
        frame (Frame): Of the image by its affine, which follows patches and not flips.
        size (Sequence[int]): Of the image before it was augmented.
        records (Sequence[Mapping]): Its ``augmentations``.
    """
    starts = [record['start'] for record in records if record.get('type') == 'RandomPatch']
    frame = frame.at([-sum(along) for along in zip(*starts, strict=True)] if starts else [0] * len(size))
    for record in records:
        if record.get('type') == 'RandomPatch':
            frame, size = frame.at(record['start']), record['size']
        elif record.get('type') == 'RandomFlipVolume':
            frame = frame.mirrored(record['axes'], size)
    return frame
