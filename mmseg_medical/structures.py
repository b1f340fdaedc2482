"""What data samples hold of volumes."""

from __future__ import annotations

from typing import Any

from mmengine.structures import BaseDataElement, PixelData


class VolumeData(PixelData):
    """mmengine's ``PixelData`` for any number of axes: ``data`` of shape (C, *S).

    mmengine's own refuses more than three. Being one, it goes into every field of a ``SegDataSample``.

    >>> import torch
    >>> VolumeData(data=torch.zeros(1, 4, 5, 6)).shape
    (4, 5, 6)
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in ('_metainfo_fields', '_data_fields') and self.shape and value.shape[1:] != self.shape:
            raise ValueError(f'{name} must have the spatial size {self.shape} of data, got {tuple(value.shape)}')
        BaseDataElement.__setattr__(self, name, value)

    def __getitem__(self, item: Any) -> VolumeData:
        """Cut every array; ``item`` indexes the spatial axes."""
        spatial = item if isinstance(item, tuple) else (item,)
        cut = type(self)(metainfo=self.metainfo)
        for name, value in self.items():
            cut.set_field(value[(slice(None), *spatial)], name)
        return cut

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Size of the spatial axes, None without data."""
        values = self.values()
        return tuple(values[0].shape[1:]) if values else None
