from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.slices.dataset import SliceDataset
from mmseg_medical.datasets.slices.files import first_file
from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.registry import DATASETS

MODALITIES = ('t1', 't1ce', 't2', 'flair')
#: what BraTS is scored by, as ``regions`` of the metrics: whole tumour, tumour core, enhancing tumour
REGIONS = {'WT': [1, 2, 3], 'TC': [1, 3], 'ET': [3]}
#: value in the files -> class
LABEL_MAP = {0: 0, 1: 1, 2: 2, 4: 3}
_PARTS = {
    'train': ('BraTS2021_Training_Data', 'training', 'train'),
    'val': ('BraTS2021_ValidationData', 'BraTS2021_Validation_Data', 'validation', 'val'),
}
_ENDS = ('.nii.gz', '.nii')


@DATASETS.register_module()
class BraTSDataset(SliceDataset):
    """Brain Tumour Segmentation 2021: MRI of 1251 labelled heads in four modalities, skulls removed, 1 mm.

    Classes: background, necrotic core (NCR), oedema (ED), enhancing tumour (4 in the files). The challenge scores
    the regions WT, TC and ET: ``regions=dict(WT=[1, 2, 3], TC=[1, 3], ET=[3])`` of the metrics. Files of one case may
    have their axes in other directions; ``LoadCase`` turns them to those of the first.

    Baid et al., The RSNA-ASNR-MICCAI BraTS 2021 Benchmark, arXiv:2107.02314.

    ``data_root`` contains the folders of cases, or ``BraTS2021_Training_Data`` and ``BraTS2021_ValidationData`` with
    them. Splits: 'train', and 'val', whose labels are not published. The other arguments are those of
    :class:`~mmseg_medical.datasets.slices.SliceDataset`.

    Args:
        data_root (str): Folder of the data set.
        split (str): A part of the release, or of ``split_file``.
        modalities (Sequence[str]): Channels, in this order; ``('t1ce', 't2', 'flair')`` for networks of three.
        **kwargs: As above.
    """

    METAINFO: ClassVar[dict] = dict(
        classes=('background', 'necrotic core', 'oedema', 'enhancing tumour'),
        palette=[(0, 0, 0), (220, 60, 50), (90, 190, 90), (250, 190, 60)],
    )
    SPLITS: ClassVar[tuple[str, ...]] = tuple(_PARTS)

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        *,
        modalities: Sequence[str] = MODALITIES,
        pipeline: Sequence[dict | Callable] = (),
        **kwargs: Any,
    ) -> None:
        unknown = [name for name in modalities if name not in MODALITIES]
        if unknown or not modalities:
            raise ConfigError(
                f'modalities of BraTSDataset must be among {", ".join(MODALITIES)}, found {", ".join(modalities)}'
                + ''.join(did_you_mean(name, MODALITIES) for name in unknown)
            )
        self.modalities = tuple(modalities)
        super().__init__(data_root, split, pipeline=pipeline, **kwargs)

    def find_volumes(self, part: str) -> Iterator[dict]:
        """One volume a case; a case that lacks a modality, or in training its labels, is an error."""
        for folder in self._cases(part):
            images = [
                str(first_file([folder / f'{folder.name}_{name}{end}' for end in _ENDS], f'the modality {name}'))
                for name in self.modalities
            ]
            masks = [folder / f'{folder.name}_seg{end}' for end in _ENDS]
            labelled = part == 'train' or any(path.is_file() for path in masks)
            yield dict(
                case_id=folder.name,
                patient_id=folder.name,
                img_path=images[0],
                modality_paths=images,
                modalities=list(self.modalities),
                seg_map_path=str(first_file(masks, 'the labels')) if labelled else None,
                label_map=LABEL_MAP,
            )

    def _cases(self, part: str) -> list[Path]:
        root = Path(self.data_root)
        folder = next((root / name for name in _PARTS[part] if (root / name).is_dir()), root)
        if folder == root and part != 'train':
            folder = root / _PARTS[part][0]
        if not folder.is_dir():
            raise data_error(
                root,
                expected=f'the folder {" or ".join(_PARTS[part])}',
                found='none' if root.is_dir() else 'no such folder',
                remedy='Set data_root of the dataset; docs/slices.md shows the tree.',
            )
        return sorted(path for path in folder.iterdir() if path.is_dir() and any(path.glob(f'{path.name}_*.nii*')))
