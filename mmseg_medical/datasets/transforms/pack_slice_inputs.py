from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg_medical.datasets.transforms.pack_volume_inputs import META_KEYS as VOLUME_KEYS
from mmseg_medical.datasets.transforms.pack_volume_inputs import PackVolumeInputs
from mmseg_medical.registry import TRANSFORMS
from mmseg_medical.structures import VolumeData

META_KEYS = (*VOLUME_KEYS, 'volume_id', 'slice_index', 'num_slices', 'patient_id', 'frame', 'orientation')


@TRANSFORMS.register_module()
class PackSliceInputs(PackVolumeInputs):
    """Make tensors of a slice that knows its volume, as ``SliceSegMetric`` puts volumes together again.

    Yields ``inputs``, float32 (C, H, W), and ``data_samples``, a ``SegDataSample`` with ``gt_sem_seg.data`` (1, H, W)
    labels or (K, H, W) masks. ``spacing_mm`` of the sample has three numbers, the distance of the slices first, then
    that of the pixels of its labels; None where the file does not say.

    Args:
        meta_keys (Sequence[str]): Keys copied into the sample's metainfo where present.
        label_dtype (str | None): Of the labels, ``'int64'`` as the losses of mmseg's heads need it; None keeps theirs.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS, label_dtype: str | None = 'int64') -> None:
        super().__init__(meta_keys)
        if label_dtype not in (None, 'int64', 'uint8'):
            raise ValueError(f"label_dtype must be None, 'int64' or 'uint8', found {label_dtype!r}")
        self.label_dtype = label_dtype

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack ``results``, which are not changed."""
        import torch

        packed = super().transform(results)
        sample = packed['data_samples']
        between, within = results.get('slice_spacing_mm'), sample.metainfo.get('spacing_mm')
        known = between is not None and within is not None
        sample.set_metainfo(dict(spacing_mm=(between, *within) if known else None))
        if 'gt_sem_seg' in sample and self.label_dtype is not None:
            sample.gt_sem_seg = VolumeData(data=sample.gt_sem_seg.data.to(getattr(torch, self.label_dtype)))
        return packed

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys}, label_dtype={self.label_dtype!r})'
