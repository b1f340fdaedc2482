from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.slices.dataset import SliceDataset
from mmseg_medical.datasets.slices.files import first_file
from mmseg_medical.geometry import file_stem
from mmseg_medical.registry import DATASETS

ORGANS = (
    *('spleen', 'right kidney', 'left kidney', 'gallbladder', 'oesophagus', 'liver', 'stomach', 'aorta'),
    *('inferior vena cava', 'portal vein', 'pancreas', 'right adrenal gland', 'left adrenal gland'),
)
#: images and labels of each part
FOLDERS = {'train': ('synapse_train', 'synapse_train_label'), 'test': ('synapse_test', 'synapse_test_label')}


@DATASETS.register_module()
class SynapseDataset(SliceDataset):
    """Synapse multi-organ CT of the abdomen (BTCV challenge, "Beyond the Cranial Vault"), 13 organs.

    Landman et al., MICCAI 2015, doi:10.7303/syn3193805.

    ``data_root`` contains ``synapse_train`` and ``synapse_train_label`` (``X.nii.gz`` and ``X_seg.nii.gz``, or the same
    name; of ``img0001`` also ``label0001``), and ``synapse_test``, whose labels are used where there are any in
    ``synapse_test_label``. Splits: 'train', 'test'. The other arguments are those of
    :class:`~mmseg_medical.datasets.slices.SliceDataset`.
    """

    METAINFO: ClassVar[dict] = dict(
        classes=('background', *ORGANS),
        palette=[
            *((0, 0, 0), (220, 60, 50), (60, 150, 230), (250, 190, 60), (90, 190, 90), (170, 100, 210), (60, 200, 200)),
            *((240, 130, 60), (230, 110, 170), (150, 150, 60), (120, 120, 240), (160, 220, 120), (200, 160, 120)),
            (110, 160, 160),
        ],
    )
    SPLITS: ClassVar[tuple[str, ...]] = tuple(FOLDERS)

    def find_volumes(self, part: str) -> Iterator[dict]:
        """One volume an image; in training an image without labels is an error."""
        images, labels = (Path(self.data_root) / name for name in FOLDERS[part])
        if not images.is_dir():
            raise data_error(
                images,
                expected='a folder of images',
                found='no such folder',
                remedy='Set data_root of the dataset; docs/slices.md shows the tree.',
            )
        for path in sorted(images.iterdir()):
            stem = file_stem(path)
            if stem is None or stem.startswith('.') or not path.is_file():
                continue
            ends = [path.name[len(stem) :], '.nii.gz', '.nii']
            names = [f'{stem}_seg', stem, *([stem.replace('img', 'label', 1)] if stem.startswith('img') else [])]
            candidates = [labels / f'{name}{end}' for end in dict.fromkeys(ends) for name in names]
            mask = first_file(candidates, 'the labels') if part == 'train' or labels.is_dir() else None
            yield dict(
                case_id=stem, patient_id=stem, img_path=str(path), seg_map_path=None if mask is None else str(mask)
            )
