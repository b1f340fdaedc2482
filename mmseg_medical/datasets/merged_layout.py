"""Writing the merged layout: one label map an image, folders and lists as the published configurations expect."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.dataset import Compose

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.fundus_lesions import FundusLesionDataset, MergedPart
from mmseg_medical.datasets.label_cache import load_bit_map
from mmseg_medical.datasets.lesions import count_lesions, count_overlaps
from mmseg_medical.datasets.transforms import FieldOfView, LoadFundusImage, LoadLesionAnnotations

REPORT = 'conversion.json'
# colour is kept at full resolution: that of a microaneurysm is all there is of it
_JPEG_OPTIONS = [
    cv2.IMWRITE_JPEG_QUALITY,
    95,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]


def write_merged(
    parts: Mapping[str, FundusLesionDataset],
    out: str | Path,
    *,
    field_of_view: str = 'none',
    size: tuple[int, int] = (1280, 1280),
    track: Callable[[Iterable], Iterable] = iter,
) -> dict[str, Any]:
    """Write ``img_dir``, ``ann_dir`` and ``splits`` for parts of a data set, all of it or nothing.

    Images are copied byte for byte, or cut, stretched and perhaps enhanced by ``field_of_view`` and stored as JPEG of
    quality 95. Labels are single-channel PNG files. ``conversion.json`` records the overlap order and what it cost.

    Args:
        parts (Mapping[str, FundusLesionDataset]): Name of a part (a key of the class's ``MERGED``) to its data set.
        out (str or Path): Folder to be made; it must not exist yet or be empty.
        field_of_view (str): Mode of ``FieldOfView``.
        size (tuple[int, int]): Width and height for ``field_of_view``.
        track (Callable): Wraps the loop over all images, for a progress display.

    Returns:
        dict: The report: ``overlap_order``, ``field_of_view``, ``num_images``, and pixels at native size:
        ``lesion_pixels`` and ``overlap_pixels`` of pairs.

    Raises:
        DataError: a file is damaged, a name is doubled, or ``out`` holds something.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise data_error(
            out, expected='no such folder or an empty one', found='content', remedy='Choose another one or remove it.'
        )
    pipeline = Compose(
        [LoadFundusImage(reduced_decode=False), FieldOfView(field_of_view, size), LoadLesionAnnotations()]
    )
    jobs = _jobs(parts)
    bits = np.zeros(256, np.int64)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=out.parent, prefix=f'.{out.name}.', suffix='.partial'))
    try:
        for place, entry in track(jobs):
            results = pipeline(dict(entry))
            _write_image(partial / place.images, entry, results)
            _write_png(partial / place.labels / f'{entry["case_id"]}.png', results['gt_seg_map'])
            bits += load_bit_map(entry, results['ori_shape']).histogram()
        for place in dict.fromkeys(place for place, _ in jobs):
            names = [entry['case_id'] for other, entry in jobs if other == place]
            _write_text(partial / place.names, '\n'.join(names) + '\n')
        report = dict(
            overlap_order=list(next(iter(parts.values())).overlap_order),
            field_of_view=field_of_view,
            num_images={part: len(dataset) for part, dataset in parts.items()},
            lesion_pixels=count_lesions(bits),
            overlap_pixels=count_overlaps(bits),
        )
        _write_text(partial / REPORT, json.dumps(report, indent=2) + '\n')
        partial.chmod(0o755)  # mkdtemp makes it private
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return report


def _jobs(parts: Mapping[str, FundusLesionDataset]) -> list[tuple[MergedPart, dict]]:
    jobs: list[tuple[MergedPart, dict]] = []
    taken: dict[tuple[str, str], str] = {}
    for part, dataset in parts.items():
        place = dataset.MERGED[part]
        for index in range(len(dataset)):
            entry = {**dataset.get_data_info(index), 'target': 'multiclass'}
            other = taken.setdefault((place.images, entry['case_id']), entry['img_path'])
            if other != entry['img_path']:
                raise data_error(
                    entry['img_path'],
                    expected=f'one image named {entry["case_id"]} in {place.images}',
                    found=f'another one at {other}',
                    remedy='Rename or remove one of them.',
                )
            jobs.append((place, entry))
    return jobs


def _write_image(folder: Path, entry: dict, results: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if 'crop_box' not in results:
        shutil.copyfile(entry['img_path'], folder / Path(entry['img_path']).name)
        return
    _, encoded = cv2.imencode('.jpg', results['img'], _JPEG_OPTIONS)
    (folder / f'{entry["case_id"]}.jpg').write_bytes(encoded.tobytes())


def _write_png(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _, encoded = cv2.imencode('.png', labels)
    path.write_bytes(encoded.tobytes())


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
