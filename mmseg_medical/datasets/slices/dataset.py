"""What every data set of slices does."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmseg_medical.datasets.case_dataset import CaseDataset
from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.slices.counts import slice_counts
from mmseg_medical.datasets.slices.files import read_grid
from mmseg_medical.datasets.splits import check_part, read_split
from mmseg_medical.geometry import Reorient


class SliceDataset(CaseDataset):
    """Volumes in an official folder tree, as slices across their last axis; every slice is a sample, empty ones too.

    Entries have ``case_id`` = ``volume_id`` (the volume), ``slice_index`` (0 to ``num_slices`` - 1), ``num_slices``,
    ``patient_id``, ``img_path``, ``seg_map_path`` (None without labels), and as far as the set needs them
    ``modality_paths``, ``frame``, ``label_map``, ``orientation``. ``LoadSlice`` reads them.

    Args:
        data_root (str): Folder of the data set.
        split (str): A part of the release, or of ``split_file``.
        split_file (str | None): JSON file of parts, see :mod:`mmseg_medical.datasets.splits`; it names patients, who
            stay whole, or volumes.
        fold (int | None): Which fold of ``split_file``, where it has some.
        orientation (str | None): Turn all volumes so that their axes point there, e.g. ``'LPS'``; slices are across the
            last one. None leaves them as the (first) image file has them.
        cache_dir (str | None): Folder that keeps what is counted in label files; None counts at every start.
        pipeline (Sequence[dict | Callable]): Transforms.
        metainfo (dict | None): Additions to the classes and the palette.
        test_mode (bool): As in mmengine.
        **kwargs: Further arguments of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        DataError: The tree is not that of the release, a file is missing or has the wrong number of axes, a split
            names what is not there, or a patient is in two parts of it.
    """

    #: parts of the release
    SPLITS: ClassVar[tuple[str, ...]] = ('train',)

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        *,
        split_file: str | None = None,
        fold: int | None = None,
        orientation: str | None = None,
        cache_dir: str | None = None,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        self.fold = fold
        self.orientation = orientation
        self.cache_dir = cache_dir
        self._volumes: list[dict] = []
        super().__init__(
            data_root,
            split,
            split_file=split_file,
            pipeline=pipeline,
            metainfo=metainfo,
            test_mode=test_mode,
            **kwargs,
        )

    @abstractmethod
    def find_volumes(self, part: str) -> Iterator[dict]:
        """List the volumes of a part of the release, one entry each, in a fixed order."""

    @property
    def description(self) -> str:
        """Data set and split, for messages."""
        return super().description + ('' if self.fold is None else f' of fold {self.fold}')

    @property
    def volumes(self) -> list[dict]:
        """One entry a volume of this split, without slices."""
        self.full_init()
        return [dict(volume) for volume in self._volumes]

    def class_counts(self) -> np.ndarray:
        """Pixels of each class in each slice, shape (len(self), classes), int64; ``cache_dir`` keeps them.

        Raises:
            DataError: A volume has no labels, or its labels cannot be read.
        """
        number = len(self.metainfo['classes'])
        counted: dict[str, np.ndarray] = {}
        rows = []
        for index in range(len(self)):
            entry = self.get_data_info(index)
            volume = f'{entry["volume_id"]} {entry.get("orientation")}'
            if volume not in counted:
                counted[volume] = slice_counts(entry, number, self.cache_dir)
            rows.append(counted[volume][entry['slice_index']])
        return np.stack(rows)

    def load_data_list(self) -> list[dict]:
        """List one entry a slice.

        Raises:
            DataError: See the class.
        """
        part, names = self.split, None
        if self.split_file is not None:
            part, names = read_split(self.split_file, self.split, self.fold)
        where = type(self).__name__ if self.split_file is None else f'"source" of {self.split_file}'
        check_part(part, self.SPLITS, where)
        found = list(self.find_volumes(part))
        if not found:
            raise data_error(
                self.data_root,
                expected=f'volumes of {type(self).__name__}, part {part!r}',
                found='none',
                remedy='Set data_root of the dataset; docs/slices.md shows the tree.',
            )
        if names is not None:
            self._check_patients(found)
            found = self._named(found, names)
        orders = self.orders_of_axes()
        self._volumes = [
            volume if axes is None else {**volume, 'orientation': axes} for axes in orders for volume in found
        ]
        return [slice_ for volume in self._volumes for slice_ in self._slices(volume)]

    def orders_of_axes(self) -> Sequence[str | None]:
        """Orders of axes that all volumes are turned to, one after the other; None leaves them as they are."""
        return (self.orientation,)

    def chosen_slices(self, volume: dict, number: int) -> Sequence[int]:
        """Which of the ``number`` slices of a volume are samples."""
        return range(number)

    def _slices(self, volume: dict) -> Iterator[dict]:
        grid, times = read_grid(volume['img_path'])
        if (times is None) != (volume.get('frame') is None):
            raise data_error(
                volume['img_path'],
                expected='one volume of three axes' if volume.get('frame') is None else 'a series of four axes',
                found='three axes' if times is None else f'four axes, {times} times',
                remedy='Choose the data set class that this tree is of, or unpack the release again.',
            )
        if volume.get('orientation') is not None and grid.affine is not None:
            grid = Reorient.plan(grid, volume['orientation']).target
        number = grid.size[2]
        for index in self.chosen_slices(volume, number):
            yield {**volume, 'volume_id': volume['case_id'], 'slice_index': index, 'num_slices': number}

    def _named(self, found: list[dict], names: Sequence[str]) -> list[dict]:
        wanted = set(names)
        unknown = sorted(wanted - {volume[key] for volume in found for key in ('patient_id', 'case_id')})
        if unknown:
            raise data_error(
                str(self.split_file),
                expected=f'patients or volumes that are under {self.data_root}',
                found=f'no image for {", ".join(unknown[:6])} ({len(unknown)} of {len(names)})',
                remedy='Complete the data set or correct the list.',
            )
        return [volume for volume in found if wanted & {volume['patient_id'], volume['case_id']}]

    def _check_patients(self, found: list[dict]) -> None:
        """Refuse a split that has volumes of one patient in two parts: they show the same heart or head."""
        content = json.loads(Path(str(self.split_file)).read_text())
        parts = content['folds'][self.fold] if 'folds' in content else content
        patient_of = {volume[key]: volume['patient_id'] for volume in found for key in ('case_id', 'patient_id')}
        part_of: dict[str, str] = {}
        for part, names in parts.items():
            for name in names if isinstance(names, list) else ():
                patient = str(patient_of.get(name, name))
                if part_of.setdefault(patient, part) != part:
                    raise data_error(
                        str(self.split_file),
                        expected='each patient in one part',
                        found=f'volumes of {patient} in {part_of[patient]!r} and {part!r}',
                        remedy='Divide by patient: tools/analysis_tools/make_patient_splits.py.',
                    )
