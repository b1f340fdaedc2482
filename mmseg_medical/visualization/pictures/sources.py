"""Where the cases of pictures come from: a data set of this project, or files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mmseg_medical.datasets.errors import DataError, data_error
from mmseg_medical.datasets.image_io import decode_image, read_bytes
from mmseg_medical.datasets.transforms.load_case import LoadCase
from mmseg_medical.datasets.transforms.load_case_annotations import LoadCaseAnnotations
from mmseg_medical.datasets.transforms.load_lesion_annotations import LoadLesionAnnotations
from mmseg_medical.datasets.transforms.load_volume import LoadVolume
from mmseg_medical.datasets.transforms.load_volume_annotations import LoadVolumeAnnotations
from mmseg_medical.errors import did_you_mean
from mmseg_medical.evaluation.natural_order import natural_key
from mmseg_medical.geometry import Volume, file_stem, grid_difference, read_volume, reorient
from mmseg_medical.visualization.pictures.case import PictureCase, Structures, in_anatomical_order
from mmseg_medical.visualization.pictures.segmentation_files import SegmentationFiles

_PHOTOGRAPHS = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff')


class CaseSource(Protocol):
    """Cases by their names."""

    case_ids: list[str]

    def load(self, case_id: str) -> PictureCase:
        """Read one; see :func:`chosen_ids` for unknown names."""
        ...


class DatasetCases:
    """The cases of a data set, on the grid of their files, with the labels as they are stored.

    Args:
        dataset (CaseDataset): Its pipeline is not used; of slices the whole volume is drawn.
        pred (Path | None): Folder of predictions.
    """

    def __init__(self, dataset: Any, pred: Path | None = None) -> None:
        meta = dataset.metainfo
        self.structures = Structures.of(tuple(meta['classes']), meta.get('palette'))
        listed = getattr(dataset, 'volumes', None) or map(dataset.get_data_info, range(len(dataset)))
        self._entries: dict[str, dict] = {entry['case_id']: entry for entry in listed}
        self.case_ids = list(self._entries)
        self._pred = None if pred is None else SegmentationFiles(pred, self.structures, 'prediction')

    def load(self, case_id: str) -> PictureCase:
        """Read image, labels and prediction of a case."""
        entry = dict(self._entries[case_id])
        image, truth = _photograph(entry) if _is_photograph(entry) else _volume(entry)
        return _with_prediction(PictureCase(case_id, image, self.structures, truth), self._pred)


class FileCases:
    """Cases in files that are paired by their names.

    Args:
        images (Path): A file, or a folder of files.
        labels (Path | None): Label maps, or ``<case>_<class>`` masks, likewise.
        pred (Path | None): Predictions, likewise.
        classes (Sequence[str]): Names of the labels 1, 2, ...; none are needed for label maps.
    """

    def __init__(self, images: Path, labels: Path | None, pred: Path | None, classes: Sequence[str] = ()) -> None:
        self._images = _image_files(images)
        self.case_ids = list(self._images)
        self._names = tuple(classes)
        structures = Structures.of(('background', *classes)) if classes else None
        only = self.case_ids[0] if len(self.case_ids) == 1 else None
        self._labels = None if labels is None else SegmentationFiles(labels, structures, 'label map', only)
        self._pred = None if pred is None else SegmentationFiles(pred, structures, 'prediction', only)
        self._structures = structures

    def load(self, case_id: str) -> PictureCase:
        """Read image, labels and prediction of a case."""
        path = self._images[case_id]
        image = _read_photograph(path) if path.name.lower().endswith(_PHOTOGRAPHS) else _first_channel(_read(path))
        found = [files.read(case_id) for files in (self._labels, self._pred) if files is not None]
        top = max((int(one.array.max()) for one in found), default=1)
        structures = self._structures or Structures.of(('background', *(f'label {k}' for k in range(1, top + 1))))
        case = PictureCase(case_id, image, structures)
        if self._labels is not None:
            case = PictureCase(case_id, image, structures, _on_grid(image, self._labels, case_id))
        return _with_prediction(case, self._pred)


def chosen_ids(source: CaseSource, wanted: Sequence[str]) -> list[str]:
    """Return the cases that are asked for, or all.

    Raises:
        DataError: There is no case of a name.
    """
    for name in wanted:
        if name not in source.case_ids:
            raise data_error(
                f'case {name}',
                expected=f'one of the {len(source.case_ids)} cases',
                found='no such name.' + did_you_mean(name, source.case_ids),
                remedy='Correct --cases, or choose another --split.',
            )
    return list(wanted) or source.case_ids


def _is_photograph(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry['img_path'], str) and entry['img_path'].lower().endswith(_PHOTOGRAPHS)


def _photograph(entry: dict) -> tuple[Volume, np.ndarray | None]:
    image = _read_photograph(Path(entry['img_path']))
    if not entry.get('lesion_masks') and not entry.get('seg_map_path'):
        return image, None
    given = {**entry, 'ori_shape': image.size, 'cache_dir': None}  # a picture writes nothing beside the data
    truth = LoadLesionAnnotations(grid='native').transform(given)['gt_seg_map']
    return image, np.moveaxis(truth, -1, 0) if truth.ndim == 3 else truth[None]


def _volume(entry: dict) -> tuple[Volume, np.ndarray | None]:
    slices = 'volume_id' in entry or 'modality_paths' in entry or 'frame' in entry
    loaded = (LoadCase() if slices else LoadVolume()).transform(entry)
    image = Volume(loaded['img'][0], loaded['affine'], str(loaded['native_grid'].name))
    if entry.get('seg_map_path') is None:
        return image, None
    truth = (LoadCaseAnnotations() if slices else LoadVolumeAnnotations()).transform(loaded)['gt_seg_map']
    return image, truth if truth.ndim > image.rank else truth[None]


def _with_prediction(case: PictureCase, files: SegmentationFiles | None) -> PictureCase:
    pred = None if files is None else _on_grid(case.image, files, case.case_id)
    return in_anatomical_order(PictureCase(case.case_id, case.image, case.structures, case.truth, pred))


def _on_grid(image: Volume, files: SegmentationFiles, case_id: str) -> np.ndarray:
    """Read a segmentation as (1 or K, *S), its axes turned to those of the image."""
    read = files.read(case_id)
    turned = read
    if image.affine is not None and read.affine is not None and image.rank == read.rank == 3:
        here, there = reorient(Volume(np.empty(image.size, bool), image.affine, image.source)), reorient(read)
        turned = there
        difference = grid_difference(there, here)
    else:
        difference = grid_difference(read, Volume(np.empty(image.size, bool), image.affine, image.source))
    if difference is not None:
        raise data_error(
            read.name,
            expected=f'the grid of its image {image.name}',
            found=difference,
            remedy='Take both from one run, or resample the segmentation (geometry.resample_like).',
        )
    if turned is not read:
        from mmseg_medical.geometry import axis_directions

        turned = reorient(turned, axis_directions(image.grid))
    array = turned.array
    return np.moveaxis(array, -1, 0) if turned.has_channels else array[None]


def _image_files(path: Path) -> dict[str, Path]:
    if not path.exists():
        raise data_error(path, expected='an image or a folder of images', found='nothing', remedy='Correct --images.')
    files = [path] if path.is_file() else sorted(path.iterdir(), key=lambda file: natural_key(file.name))
    found: dict[str, Path] = {}
    for file in files:
        stem = file.stem if file.suffix.lower() in ('.jpg', '.jpeg') else file_stem(file)
        if stem and file.is_file() and not file.name.startswith('.'):
            if stem in found:
                raise data_error(
                    file, expected='one image a name', found=f'{found[stem].name} too', remedy='Remove one of them.'
                )
            found[stem] = file
    if not found:
        raise data_error(path, expected='images', found='none that can be read', remedy='Correct --images.')
    return found


def _read_photograph(path: Path) -> Volume:
    picture = np.ascontiguousarray(decode_image(read_bytes(path), path)[:, :, ::-1])
    return Volume(picture, None, str(path), has_channels=True)


def _read(path: Path) -> Volume:
    try:
        return read_volume(path)
    except (OSError, ValueError) as error:
        raise DataError(str(error)) from error


def _first_channel(volume: Volume) -> Volume:
    return Volume(volume.array[..., 0], volume.affine, volume.source) if volume.has_channels else volume
