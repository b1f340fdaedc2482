"""Predicted slices become volumes again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.logging import print_log
from mmseg.structures import SegDataSample

from mmseg_medical.datasets.slices.files import read_grid
from mmseg_medical.geometry import Grid, Reorient
from mmseg_medical.structures import VolumeData

_FIELDS = ('pred_sem_seg', 'gt_sem_seg')
_KEPT = ('img_path', 'frame', 'patient_id')


@dataclass
class _Volume:
    """Slices of one volume that have arrived: field to number of the slice to array (D, I, J)."""

    meta: dict[str, Any]
    grid: Grid | None
    slices: dict[str, dict[int, np.ndarray]] = field(default_factory=dict)


class SliceAssembler:
    """Puts the slices of volumes together, in any order and from any process; a volume is let go when it is whole.

    Slices are samples with ``volume_id``, ``slice_index`` and ``num_slices``; other samples pass through.
    """

    def __init__(self) -> None:
        self._volumes: dict[str, _Volume] = {}
        self._done: set[str] = set()

    def clear(self) -> None:
        """Forget everything."""
        self._volumes, self._done = {}, set()

    def whole(self, samples: Iterable[Any]) -> Iterator[Any]:
        """Take a batch; yield what is whole now.

        Args:
            samples (Iterable): With ``pred_sem_seg`` and perhaps ``gt_sem_seg``.

        Yields:
            SegDataSample: Other samples as they are; volumes with arrays (D, I, J, K) on the grid of the file, with
            ``case_id``, ``img_path``, ``frame`` and ``native_grid``.
        """
        for sample in samples:
            meta = sample.metainfo
            if meta.get('volume_id') is None or meta.get('num_slices') is None:
                yield sample
                continue
            name = str(meta['volume_id'])
            if name in self._done:
                continue  # repeated by the sampler
            volume = self._volumes.setdefault(name, _started(meta))
            for key in _FIELDS:
                if key in sample:
                    array = sample.get(key).data.cpu().numpy()
                    volume.slices.setdefault(key, {})[int(meta['slice_index'])] = array
            if len(volume.slices.get('pred_sem_seg', ())) == meta['num_slices']:
                self._done.add(name)
                yield _finished(name, self._volumes.pop(name))

    def rest(self) -> Iterator[SegDataSample]:
        """Share out, at the end, the volumes whose slices several processes have; those that lack some are named."""
        gathered: dict[str, _Volume] = {}
        ranks = all_gather_object((self._volumes, self._done))
        done = set().union(*(names for _, names in ranks))
        for volumes, _ in ranks:
            for name, volume in volumes.items():
                into = gathered.setdefault(name, _Volume(volume.meta, volume.grid))
                for key, slices in volume.slices.items():
                    into.slices.setdefault(key, {}).update(slices)
        self.clear()
        whole = [
            name
            for name, volume in sorted(gathered.items())
            if name not in done and len(volume.slices.get('pred_sem_seg', ())) == volume.meta['num_slices']
        ]
        lacking = sorted(gathered.keys() - done - set(whole))
        if lacking and get_rank() == 0:
            print_log(f'Volumes with slices that were not predicted: {", ".join(lacking)}', 'current', logging.WARNING)
        for name in whole[get_rank() :: get_world_size()]:
            yield _finished(name, gathered[name])


def _started(meta: dict[str, Any]) -> _Volume:
    grid: Grid | None = meta.get('native_grid')
    if grid is not None:
        affine = grid.affine
        if affine is not None:
            affine = np.array(affine)
            affine[:3, 3] -= affine[:3, 2] * meta['slice_index']
        grid = Grid((*grid.size, meta['num_slices']), affine, grid.name)
    kept = {key: meta[key] for key in (*_KEPT, 'num_slices', 'orientation') if meta.get(key) is not None}
    return _Volume(kept, grid)


def _finished(name: str, volume: _Volume) -> SegDataSample:
    meta, grid, back = volume.meta, volume.grid, None
    if meta.get('orientation') is not None and grid is not None and grid.affine is not None:
        back = Reorient.plan(read_grid(meta['img_path'])[0], meta['orientation'])
        grid = back.source
    kept = {key: value for key, value in meta.items() if key in _KEPT}
    sample = SegDataSample(metainfo=dict(kept, case_id=name, native_grid=grid))
    for key, slices in volume.slices.items():
        if len(slices) < meta['num_slices']:
            continue  # some slices have no truth
        array = np.stack([slices[index] for index in range(meta['num_slices'])], axis=-1)
        array = array if back is None else back.invert(array, 'nearest')
        sample.set_data({key: VolumeData(data=torch.as_tensor(np.ascontiguousarray(array)))})
    return sample
