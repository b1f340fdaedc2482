"""Pictures of what a data set's pipeline yields."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmseg_medical.visualization.overlay import side_by_side
from mmseg_medical.visualization.palette import class_colors


def browse(dataset: Any, output_dir: str | Path, number: int, max_side: int = 900) -> list[Path]:
    """Write samples as the network gets them: image, and image with labels.

    Args:
        dataset (Dataset): Yields ``inputs`` (3, H, W) in BGR and ``data_samples`` with ``gt_sem_seg``.
        output_dir (str | Path): Folder for ``<number>_<case_id>.png``.
        number (int): How many; beyond the data set's size its images come again, with other random draws.
        max_side (int): Longer side of a panel at most, in pixels.

    Returns:
        list[Path]: The files.
    """
    classes = tuple(dataset.metainfo['classes'])
    colors = class_colors(classes, dataset.metainfo.get('palette'))
    Path(output_dir).mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(number):
        packed = dataset[index % len(dataset)]
        image, sample = _first_view(packed)
        case = sample.get('case_id') or Path(sample.get('img_path', f'sample_{index}')).stem
        truth = sample.gt_sem_seg.data.numpy()
        empty = np.full(truth.shape, 255, np.uint8)
        size = f'{image.shape[0]} x {image.shape[1]}'
        sheet = side_by_side(
            image, {f'Image, {size}': empty, 'Labels': truth}, classes, colors, max_side, title=f'{case}'
        )
        paths.append(Path(output_dir, f'{index:04d}_{case}.png'))
        Image.fromarray(sheet).save(paths[-1])
    return paths


def _first_view(packed: dict[str, Any]) -> tuple[np.ndarray, Any]:
    """The RGB image and the sample; of several test-time views the first."""
    inputs, sample = packed['inputs'], packed['data_samples']
    if isinstance(inputs, Sequence):
        inputs, sample = inputs[0], sample[0]
    picture = inputs.numpy()[::-1].transpose(1, 2, 0)
    if picture.dtype != np.uint8:  # normalised in the pipeline
        low, high = float(picture.min()), float(picture.max())
        picture = ((picture - low) / max(high - low, 1e-12) * 255).round().astype(np.uint8)
    return np.ascontiguousarray(picture), sample
