from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from mmseg_medical.datasets.fundus_lesions import FundusLesionDataset, MergedPart
from mmseg_medical.registry import DATASETS

PARTS = {'train': 'a. Training Set', 'test': 'b. Testing Set'}
MASK_FOLDERS = {'MA': '1. Microaneurysms', 'HE': '2. Haemorrhages', 'EX': '3. Hard Exudates', 'SE': '4. Soft Exudates'}
IMAGES = '1. Original Images'
MASKS = '2. All Segmentation Groundtruths'


@DATASETS.register_module()
class IDRiDDataset(FundusLesionDataset):
    """Indian Diabetic Retinopathy Image Dataset, segmentation part: 54 training and 27 test images of 4288 x 2848.

    A lesion that an image does not have is a file that is not there. There is no official validation set; see
    ``configs/hacdr/splits`` for a fixed one out of the training images.

    Porwal et al., IDRiD: Diabetic Retinopathy - Segmentation and Grading Challenge, Medical Image Analysis 2020,
    doi:10.1016/j.media.2019.101561.

    ``data_root`` contains the folder ``A. Segmentation``, or is it. Splits: 'train', 'test'. The other arguments are
    those of :class:`~mmseg_medical.datasets.fundus_lesions.FundusLesionDataset`.
    """

    SPLITS: ClassVar = {'train': ('train',), 'test': ('test',)}
    # both splits share their folders in the release's configuration; only the lists tell them apart
    MERGED: ClassVar = {
        part: MergedPart('img_dir/train_idrid', 'ann_dir/train_idrid', f'splits/{part}_idrid.txt')
        for part in ('train', 'test')
    }

    def _top(self, root: Path) -> Path:
        return root if (root / IMAGES).is_dir() else root / 'A. Segmentation'

    def is_official(self, root: Path) -> bool:
        """Whether there are ``1. Original Images``."""
        return (self._top(root) / IMAGES).is_dir()

    def image_folder(self, root: Path, part: str) -> Path:
        """``1. Original Images/<part>``."""
        return self._top(root) / IMAGES / PARTS[part]

    def mask_folder(self, root: Path, part: str, lesion: str) -> Path:
        """``2. All Segmentation Groundtruths/<part>/<lesion>``."""
        return self._top(root) / MASKS / PARTS[part] / MASK_FOLDERS[lesion]

    def case_of_mask(self, stem: str, lesion: str) -> str | None:
        """``IDRiD_01`` of ``IDRiD_01_EX``."""
        return stem.removesuffix(f'_{lesion}') if stem.endswith(f'_{lesion}') else None
