from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from mmseg_medical.datasets.fundus_lesions import FundusLesionDataset, MergedPart
from mmseg_medical.registry import DATASETS

_PARTS = ('train', 'valid', 'test')


def label_folder_name(part: str) -> str:
    """Folder of the masks; the official archive names that of the validation images differently."""
    return 'segmentation label' if part == 'valid' else 'label'


@DATASETS.register_module()
class DDRDataset(FundusLesionDataset):
    """DDR ("OIA-DDR"), lesion segmentation part: 383 training, 149 validation and 225 test images of various sizes.

    Every image has all four masks; a lesion it does not have is an all-black mask.

    Li et al., Diagnostic Assessment of Deep Learning Algorithms for Diabetic Retinopathy Screening, Information
    Sciences 2019, doi:10.1016/j.ins.2019.06.011.

    ``data_root`` contains the folder ``lesion_segmentation``, or is it. Splits: 'trainval' (the 532 images that the
    published class counts were taken on), 'train', 'valid', 'test'. The other arguments are those of
    :class:`~mmseg_medical.datasets.fundus_lesions.FundusLesionDataset`.
    """

    STORES_EMPTY_MASKS = True
    SPLITS: ClassVar = {'trainval': ('train', 'valid'), **{part: (part,) for part in _PARTS}}
    MERGED: ClassVar = {
        part: MergedPart(f'img_dir/{part}', f'ann_dir/{part}_four', f'splits/{part}.txt') for part in _PARTS
    }

    def _top(self, root: Path) -> Path:
        return root / 'lesion_segmentation' if (root / 'lesion_segmentation').is_dir() else root

    def is_official(self, root: Path) -> bool:
        """Whether any part has an ``image`` folder."""
        return any((self._top(root) / part / 'image').is_dir() for part in _PARTS)

    def image_folder(self, root: Path, part: str) -> Path:
        """``<part>/image``."""
        return self._top(root) / part / 'image'

    def mask_folder(self, root: Path, part: str, lesion: str) -> Path:
        """``<part>/label/<lesion>``, and what the validation part calls it."""
        folder = self._top(root) / part
        official = folder / label_folder_name(part)
        return (official if official.is_dir() else folder / 'label') / lesion  # some copies have put the name right

    def case_of_mask(self, stem: str, lesion: str) -> str | None:
        """The masks are named like their images."""
        return stem
