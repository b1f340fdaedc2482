from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from mmseg_medical.datasets.decathlon import SPLITS, MSDDataset
from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.slices.counts import slice_counts
from mmseg_medical.datasets.slices.dataset import SliceDataset
from mmseg_medical.datasets.slices.planes import PLANES, checked_planes
from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import DATASETS


@DATASETS.register_module()
class MSDSliceDataset(SliceDataset):
    """One task of the Decathlon, slice by slice, across one or several planes.

    Volumes are turned to the plane without interpolation, see :data:`~mmseg_medical.datasets.slices.planes.PLANES`;
    slices are those of the file. With several planes a volume comes once for each, which trains a network on all of
    them. A test scores each volume once and so takes one plane; ``Predictor(..., planes=...)`` averages several.

    Args:
        data_root (str): Folder of the tasks, or of this one.
        split (str): ``'train'`` or ``'test'`` of the release, or a part of ``split_file``.
        task (str): Its folder; a task of one modality.
        planes (str | Sequence[str]): Of ``'axial'``, ``'coronal'`` and ``'sagittal'``.
        foreground_slices (int | None): Take only slices with foreground, of each volume and plane at most so many,
            drawn without replacement; where there are fewer, all of them. None takes all slices, empty ones too. The
            draw follows from the seed, the case and the plane, whatever else is in the set.
        seed (int): Of that draw.
        **options: Of :class:`~mmseg_medical.datasets.slices.SliceDataset`, but for ``orientation``.

    Raises:
        ConfigError: A plane is not known, a test asks for several planes or leaves slices out, or ``orientation`` is
            given.
        DataError: The task has several modalities, or as the base class and
            :class:`~mmseg_medical.datasets.MSDDataset` raise.
    """

    SPLITS: ClassVar[tuple[str, ...]] = SPLITS

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        *,
        task: str = 'Task04_Hippocampus',
        planes: str | Sequence[str],
        foreground_slices: int | None = None,
        seed: int = 42,
        **options: Any,
    ) -> None:
        if options.get('orientation') is not None:
            raise ConfigError(f'the order of axes is that of planes, found orientation={options["orientation"]!r}')
        self.planes = checked_planes(planes)
        if foreground_slices is not None and foreground_slices < 1:
            raise ConfigError(f'foreground_slices must be positive or None, found {foreground_slices}')
        if options.get('test_mode') and (len(self.planes) > 1 or foreground_slices is not None):
            raise ConfigError(
                'a test scores each volume once, whole: one plane and foreground_slices=None, found '
                f'planes={list(self.planes)}, foreground_slices={foreground_slices}. Predictor(..., planes=...) and '
                'tools/predict.py --planes average several planes.'
            )
        self.task, self.foreground_slices, self.seed = task, foreground_slices, seed
        listing = MSDDataset(data_root, task, lazy_init=True)
        modalities = list(listing.release['modality'].values())
        if len(modalities) != 1:
            raise data_error(
                listing.folder / 'dataset.json',
                expected='one modality, whose files have three axes',
                found=', '.join(map(str, modalities)),
                remedy='Take a task of one modality, or MSDDataset, which reads several.',
            )
        metainfo = {**listing.metainfo, **(options.pop('metainfo', None) or {})}
        super().__init__(data_root, split, metainfo=metainfo, **options)

    @property
    def description(self) -> str:
        """Data set, task, split and planes, for messages."""
        return f'{super().description} of {self.task}, {", ".join(self.planes)}'

    def load_data_list(self) -> list[dict]:
        """List one entry a slice.

        Raises:
            DataError: See the class; or no slice is left.
        """
        entries = super().load_data_list()
        if not entries:
            raise data_error(
                self.description,
                expected='slices with foreground',
                found=f'none in {len(self._volumes)} volumes',
                remedy='Check the labels, or set foreground_slices of the dataset to None.',
            )
        return entries

    def find_volumes(self, part: str) -> Iterator[dict]:
        """One volume a case that ``dataset.json`` lists."""
        for entry in MSDDataset(self.data_root, self.task, part, lazy_init=True).load_data_list():
            yield {**entry, 'patient_id': entry['case_id']}

    def orders_of_axes(self) -> Sequence[str | None]:
        """See the base class."""
        return [PLANES[plane] for plane in self.planes]

    def chosen_slices(self, volume: dict, number: int) -> Sequence[int]:
        """See the base class."""
        if self.foreground_slices is None:
            return range(number)
        counts = slice_counts(volume, len(self.metainfo['classes']), self.cache_dir)
        shown = np.flatnonzero(counts[:, 1:].any(axis=1))
        if len(shown) > self.foreground_slices:
            drawn = zlib.crc32(f'{volume["case_id"]} {volume["orientation"]}'.encode())
            shown = np.random.default_rng((self.seed, drawn)).choice(shown, self.foreground_slices, replace=False)
        return sorted(int(index) for index in shown)
