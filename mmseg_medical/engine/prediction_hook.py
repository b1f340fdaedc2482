"""Predictions as image files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.hooks import Hook

from mmseg_medical.engine.slice_assembler import SliceAssembler
from mmseg_medical.files import atomic_write
from mmseg_medical.geometry import Grid, Volume, write_volume
from mmseg_medical.registry import HOOKS


@HOOKS.register_module()
class PredictionHook(Hook):
    """Write each test image's prediction on the grid of its file.

    Slices become volumes again, one at a time as far as one process has all slices of one. A volume's labels become
    ``<case>.nii.gz`` (without an affine ``<case>.npy``), its multi-label masks one
    ``<case>_<class>.nii.gz`` a class with 1 for the structure. Of photographs, one label per pixel becomes
    ``<case>.png``, 8 bit, the value is the class index; multi-label predictions become one ``<case>_<class>.png`` a
    class with 255 for the lesion.

    Args:
        out_dir: Folder, created if need be.
    """

    def __init__(self, out_dir: str) -> None:
        self.out_dir = Path(out_dir)
        self._assembler = SliceAssembler()

    def before_test_epoch(self, runner: Any) -> None:
        """Forget the last test."""
        self._assembler.clear()

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Write the predictions of a batch."""
        for sample in self._assembler.whole(outputs or []):
            self._write_sample(runner, sample)

    def after_test_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Write the volumes whose slices several processes have."""
        for sample in self._assembler.rest():
            self._write_sample(runner, sample)

    def _write_sample(self, runner: Any, sample: Any) -> None:
        classes = runner.test_dataloader.dataset.metainfo['classes']
        case = sample.metainfo.get('case_id') or Path(sample.metainfo['img_path']).stem
        prediction = sample.pred_sem_seg.data.cpu().numpy()
        if prediction.ndim == 4:
            self._write_volumes(case, prediction, classes, sample.metainfo.get('native_grid'))
        elif len(prediction) == 1:
            self._write(f'{case}.png', prediction[0].astype(np.uint8))
        else:
            for name, mask in zip(classes, prediction, strict=True):
                self._write(f'{case}_{name}.png', (mask > 0).astype(np.uint8) * 255)

    def _write_volumes(self, case: str, prediction: np.ndarray, classes: Sequence[str], grid: Grid | None) -> None:
        affine = None if grid is None else grid.affine
        suffix = '.npy' if affine is None else '.nii.gz'
        for name, labels in zip(classes, prediction, strict=False) if len(prediction) > 1 else [('', prediction[0])]:
            stem = f'{case}_{name}' if name else case
            write_volume(Volume(labels, affine, stem), self.out_dir / f'{stem}{suffix}')

    def _write(self, name: str, picture: np.ndarray) -> None:
        # ranks may write the same image at the same time: the sampler repeats one to fill up the last batch
        with atomic_write(self.out_dir / name, 'wb') as file:
            file.write(cv2.imencode('.png', picture)[1].tobytes())
