from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.slices.counts import labelled_times
from mmseg_medical.datasets.slices.dataset import SliceDataset
from mmseg_medical.datasets.slices.files import first_file, read_grid
from mmseg_medical.registry import DATASETS

#: parts of the release and their folders
PARTS = {'train': ('Training/Labeled', 'Training'), 'val': ('Validation',), 'test': ('Testing',)}
_ENDS = ('.nii.gz', '.nii')


@DATASETS.register_module()
class MnMsDataset(SliceDataset):
    """Multi-Centre, Multi-Vendor and Multi-Disease cardiac segmentation: short-axis cine MRI, four axes a file.

    Classes: background, LV (left ventricle), MYO (left myocardium), RV (right ventricle); note that ACDC counts them
    the other way. Volumes are ``<id>_tTT``: the times (from 0) whose labels have more than one value, as a rule
    end-diastole and end-systole. Finding them reads every label file once; ``cache_dir`` keeps what was found.

    Campello et al., Multi-Centre, Multi-Vendor and Multi-Disease Cardiac Segmentation, IEEE TMI 2021,
    doi:10.1109/TMI.2021.3090082.

    ``data_root`` contains ``Training/Labeled``, ``Validation`` and ``Testing`` (also below ``OpenDataset``), or the
    folders of subjects of the training part. Splits: 'train', 'val', 'test'. The other arguments are those of
    :class:`~mmseg_medical.datasets.slices.SliceDataset`.
    """

    METAINFO: ClassVar[dict] = dict(
        classes=('background', 'LV', 'MYO', 'RV'),
        palette=[(0, 0, 0), (220, 60, 50), (90, 190, 90), (60, 150, 230)],
    )
    SPLITS: ClassVar[tuple[str, ...]] = tuple(PARTS)

    def find_volumes(self, part: str) -> Iterator[dict]:
        """Labelled times of each subject; a subject without any is an error."""
        for folder in self._subjects(part):
            image, mask = (
                first_file([folder / f'{folder.name}{name}{end}' for end in _ENDS], what)
                for name, what in (('_sa', 'the short-axis series'), ('_sa_gt', 'its labels'))
            )
            times = self._times(image, mask)
            for time in times:
                yield dict(
                    case_id=f'{folder.name}_t{time:02d}',
                    patient_id=folder.name,
                    frame=time,
                    img_path=str(image),
                    seg_map_path=str(mask),
                )

    def _times(self, image: Path, mask: Path) -> list[int]:
        (_, of_image), (_, of_mask) = read_grid(image), read_grid(mask)
        if of_image != of_mask or of_image is None:
            raise data_error(
                mask,
                expected=f'a series of four axes with as many times as {image.name}',
                found=' and '.join(f'{n} times' if n else 'three axes' for n in (of_image, of_mask)),
                remedy='Unpack the release again; single volumes with ED and ES are a set like ACDC (ACDCDataset).',
            )
        times = labelled_times(mask, self.cache_dir)
        if not times:
            raise data_error(
                mask,
                expected='labels at some time',
                found=f'one value at each of {of_mask} times',
                remedy='Leave the subject out by split_file of the dataset, or take the labelled release.',
            )
        return times

    def _subjects(self, part: str) -> list[Path]:
        root = Path(self.data_root)
        tried = [base / name for base in (root, root / 'OpenDataset') for name in PARTS[part]]
        folder = next((path for path in tried if path.is_dir()), None)
        if folder is None and part == 'train' and any(root.glob('*/*_sa.nii*')):
            folder = root
        if folder is None:
            raise data_error(
                root,
                expected=f'the folder {" or ".join(PARTS[part])}',
                found='none' if root.is_dir() else 'no such folder',
                remedy='Set data_root of the dataset; docs/slices.md shows the tree.',
            )
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith('.'))
