"""The layout that HDC-HRNet's release trains from: one npy file a volume, resized slices; written and checked.

``<root>/<part>/volumes/<id>.npy`` (H, W, D) float32, of several modalities (H, W, D, C); ``masks/<id>.npy`` (H, W, D)
uint8; ``metadata.json`` with ``dataset``, ``num_classes``, ``class_names``, ``total_volumes``, ``volume_info``. The
place in space is lost: data sets here read the official trees, this is for code that needs the layout.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import Compose
from torch.utils.data import DataLoader, Dataset

from mmseg_medical.datasets.errors import DataError, data_error
from mmseg_medical.datasets.slices.dataset import SliceDataset
from mmseg_medical.datasets.slices.files import read_grid
from mmseg_medical.datasets.transforms import LoadCase, LoadCaseAnnotations
from mmseg_medical.files import atomic_write
from mmseg_medical.geometry import Volume, read_volume, write_volume
from mmseg_medical.registry import TRANSFORMS

SIZE = (224, 224)
_MOST_LISTED = 20


def write_preprocessed(
    dataset: SliceDataset,
    folder: str | Path,
    normalize: dict[str, Any],
    name: str,
    size: Sequence[int] = SIZE,
    jobs: int = 0,
    track: Callable[[Iterable, int], Iterable] | None = None,
) -> dict[str, Any]:
    """Write one part of a data set.

    Args:
        dataset (SliceDataset): Its pipeline is not used.
        folder (str | Path): ``<root>/<part>``, which must not hold anything yet.
        normalize (dict): Transform of the intensities of a volume.
        name (str): Of the data set, for ``metadata.json``.
        size (Sequence[int]): Rows and columns of the slices.
        jobs (int): Processes beside this one; 0 works in this one.
        track (Callable, optional): ``(results, number)`` to the same results, to show a progress bar.

    Returns:
        dict: What is in ``metadata.json``.

    Raises:
        DataError: The folder holds something, or volumes are faulty; it lists them, all others are written, but no
            ``metadata.json``.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise data_error(
            folder,
            expected='a folder that holds nothing yet',
            found=f'{sum(1 for _ in folder.iterdir())} files or folders',
            remedy='Remove it or name another one: what is left of an earlier run would be in no metadata.',
        )
    work = _Job(dataset.volumes, folder, normalize, tuple(int(n) for n in size), len(dataset.metainfo['classes']))
    loader = DataLoader(work, batch_size=None, num_workers=min(jobs, len(work)), collate_fn=_same)
    info: dict[str, dict[str, int]] = {}
    faults = []
    for case, slices, fault in track(loader, len(work)) if track else loader:
        if fault is None:
            info[case] = {'num_slices': slices}
        else:
            faults.append(f'case {case}: {fault}')
    if faults:
        raise DataError(
            f'{len(faults)} of {len(work)} volumes cannot be converted:\n' + '\n'.join(faults[:_MOST_LISTED])
        )
    metadata = dict(
        dataset=name,
        num_classes=len(dataset.metainfo['classes']),
        class_names=list(dataset.metainfo['classes']),
        total_volumes=len(info),
        volume_info=info,
    )
    with atomic_write(folder / 'metadata.json') as file:
        file.write(json.dumps(metadata, indent=1) + '\n')
    return metadata


def check_preprocessed(folder: str | Path, track: Callable[[Iterable], Iterable] = iter) -> int:
    """Compare a written part with its ``metadata.json``.

    Args:
        folder (str | Path): ``<root>/<part>``.
        track (Callable): Wraps the loop over the volumes.

    Returns:
        int: Number of volumes.

    Raises:
        DataError: Files are missing or not listed, damaged, of another size, not finite, or have labels that are no
            class; it lists them.
    """
    folder = Path(folder)
    info, classes = read_metadata(
        folder, 'volume_info and num_classes', lambda found: (dict(found['volume_info']), int(found['num_classes']))
    )
    faults = []
    for kind in ('volumes', 'masks'):
        there = {path.stem for path in (folder / kind).glob('*.npy')}
        faults += [f'{kind}/{case}.npy is listed and missing' for case in sorted(set(info) - there)]
        faults += [f'{kind}/{case}.npy is not listed' for case in sorted(there - set(info))]
    for case in track(sorted(info)):
        if all((folder / kind / f'{case}.npy').is_file() for kind in ('volumes', 'masks')):
            faults += _faults(folder, case, int(info[case]['num_slices']), classes)
    if faults:
        raise DataError(f'{folder}: {len(faults)} faults:\n' + '\n'.join(faults[:_MOST_LISTED]))
    return len(info)


def read_metadata(folder: Path, keys: str, parse: Callable[[Any], tuple]) -> tuple:
    """Read the ``metadata.json`` of a converted data set.

    Args:
        folder (Path): where it lies.
        keys (str): what it has, for messages.
        parse (Callable): takes this out of its content.

    Raises:
        DataError: the file is missing or damaged, or lacks the keys.
    """
    try:
        return parse(json.loads((folder / 'metadata.json').read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise data_error(
            folder / 'metadata.json',
            expected=f'a JSON file with {keys}',
            found=str(error),
            remedy='Convert the data set again.',
        ) from error


def resize_slices(array: np.ndarray, size: Sequence[int], order: int) -> np.ndarray:
    """Resize the first axes as scikit-image does with reflected edges: smooth where pixels are lost, interpolate.

    Args:
        array (np.ndarray): shape (H, W, ...).
        size (Sequence[int]): Of the first axes: rows and columns, or those of a whole volume.
        order (int): 1 for images (smoothed by sigma (old / new - 1) / 2), 0 for labels.
    """
    from scipy import ndimage

    factors = [old / new for old, new in zip(array.shape, size, strict=False)]
    rest = array.ndim - len(size)
    if order:
        array = ndimage.gaussian_filter(array, [max(0.0, (f - 1) / 2) for f in factors] + [0.0] * rest, mode='mirror')
    zoom = [new / old for old, new in zip(array.shape, size, strict=False)] + [1.0] * rest
    return ndimage.zoom(array, zoom, order=order, mode='mirror', grid_mode=True)


class _Job(Dataset):
    """Converts the volume of an index; errors of data come back as text, so that the others go on."""

    def __init__(
        self, volumes: list[dict], folder: Path, normalize: dict[str, Any], size: tuple[int, ...], classes: int
    ) -> None:
        self.volumes, self.folder, self.size = volumes, folder, size
        self.steps = Compose([LoadCase(), LoadCaseAnnotations(num_classes=classes), TRANSFORMS.build(normalize)])

    def __len__(self) -> int:
        return len(self.volumes)

    def __getitem__(self, index: int) -> tuple[str, int, str | None]:
        entry = self.volumes[index]
        case = entry['case_id']
        try:
            grid, _ = read_grid(entry['img_path'])
            results = self.steps(dict(entry))
        except DataError as error:
            return case, 0, str(error)
        image = np.moveaxis(results['img'], 0, -1)  # the channels of several modalities come last
        image = resize_slices(image if image.shape[-1] > 1 else image[..., 0], self.size, order=1)
        labels = resize_slices(results['gt_seg_map'], self.size, order=0)
        for kind, array in (('volumes', image.astype(np.float32)), ('masks', labels.astype(np.uint8))):
            volume = Volume(array, None, case, has_channels=array.ndim == 4)
            write_volume(volume, self.folder / kind / f'{case}.npy')
        return case, grid.size[2], None


def _faults(folder: Path, case: str, slices: int, classes: int) -> list[str]:
    try:
        volume, mask = (read_volume(folder / kind / f'{case}.npy').array for kind in ('volumes', 'masks'))
    except (OSError, ValueError) as error:
        return [str(error)]
    faults = []
    if volume.shape[:3] != mask.shape or mask.shape[2] != slices:
        faults.append(f'{case}: volume {volume.shape} and mask {mask.shape}, listed with {slices} slices')
    if not np.isfinite(volume).all():
        faults.append(f'{case}: values that are not finite')
    if mask.min() < 0 or mask.max() >= classes:
        faults.append(f'{case}: labels {int(mask.min())}..{int(mask.max())}, there are {classes} classes')
    return faults


def _same(item: Any) -> Any:
    return item
