from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.slices.dataset import SliceDataset
from mmseg_medical.datasets.slices.files import first_file
from mmseg_medical.registry import DATASETS

#: parts of the release and their folders
PARTS = {'train': 'training', 'test': 'testing'}
PHASES = ('ED', 'ES')


@DATASETS.register_module()
class ACDCDataset(SliceDataset):
    """Automated Cardiac Diagnosis Challenge: short-axis cine MRI of 150 patients, end-diastole and end-systole.

    Classes: background, RV (right ventricle), MYO (left myocardium), LV (left ventricle). Volumes are
    ``patientNNN_ED`` and ``patientNNN_ES``; ``Info.cfg`` says which frames these are.

    Bernard et al., Deep Learning Techniques for Automatic MRI Cardiac Multi-Structures Segmentation and Diagnosis,
    IEEE TMI 2018, doi:10.1109/TMI.2018.2837502.

    ``data_root`` contains ``training`` and ``testing`` (also below ``database``), or the folders of patients of the
    training part. Splits: 'train', 'test'. The other arguments are those of
    :class:`~mmseg_medical.datasets.slices.SliceDataset`.
    """

    METAINFO: ClassVar[dict] = dict(
        classes=('background', 'RV', 'MYO', 'LV'),
        palette=[(0, 0, 0), (60, 150, 230), (90, 190, 90), (220, 60, 50)],
    )
    SPLITS: ClassVar[tuple[str, ...]] = tuple(PARTS)

    def find_volumes(self, part: str) -> Iterator[dict]:
        """End-diastole and end-systole of each patient."""
        for folder in sorted(self._folder(part).glob('patient*')):
            if not folder.is_dir():
                continue
            frames = read_info(folder / 'Info.cfg')
            for phase in PHASES:
                stem = f'{folder.name}_frame{frames[phase]:02d}'
                image, mask = (
                    first_file((folder / f'{stem}{end}.nii.gz', folder / f'{stem}{end}.nii'), f'the {what} of {phase}')
                    for end, what in (('', 'image'), ('_gt', 'mask'))
                )
                yield dict(
                    case_id=f'{folder.name}_{phase}',
                    patient_id=folder.name,
                    img_path=str(image),
                    seg_map_path=str(mask),
                )

    def _folder(self, part: str) -> Path:
        root = Path(self.data_root)
        for folder in (root / PARTS[part], root / 'database' / PARTS[part]):
            if folder.is_dir():
                return folder
        if part == 'train' and root.is_dir() and any(root.glob('patient*')):
            return root
        raise data_error(
            root,
            expected=f'the folder {PARTS[part]}',
            found='none' if root.is_dir() else 'no such folder',
            remedy='Set data_root of the dataset; docs/slices.md shows the tree.',
        )


def read_info(path: Path) -> dict[str, int]:
    """Read the frames of end-diastole and end-systole, counted from 1.

    Args:
        path (Path): ``Info.cfg`` of a patient: lines of a name, a colon and a value.

    Raises:
        DataError: It is missing, or has no ED or ES.
    """
    try:
        lines = path.read_text(errors='replace').splitlines()
    except OSError as error:
        raise data_error(
            path, expected='a readable file', found=error.strerror or str(error), remedy='Unpack the release again.'
        ) from error
    pairs = {name.strip(): value.strip() for name, _, value in (line.partition(':') for line in lines)}
    for phase in PHASES:
        if not pairs.get(phase, '').isdigit():
            raise data_error(
                path,
                expected=f'a line "{phase}: <frame>"',
                found=f'"{phase}: {pairs[phase]}"' if phase in pairs else f'only {", ".join(pairs) or "an empty file"}',
                remedy='Add the number of the frame, as it stands in the file names.',
            )
    return {phase: int(pairs[phase]) for phase in PHASES}
