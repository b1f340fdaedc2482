"""Overlays, curves and a report after testing."""

from __future__ import annotations

import datetime
import io
import logging
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, barrier, broadcast_object_list, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement
from PIL import Image

from mmseg_medical import __version__
from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.image_io import choose_reduction, decode_image, image_size, read_bytes
from mmseg_medical.engine.slice_assembler import SliceAssembler
from mmseg_medical.evaluation.metrics import MedicalSegMetric
from mmseg_medical.evaluation.summary import SegSummary
from mmseg_medical.evaluation.table import CaseTable
from mmseg_medical.files import atomic_write
from mmseg_medical.registry import HOOKS
from mmseg_medical.visualization.curves import precision_recall_figure, read_scalars, training_figures
from mmseg_medical.visualization.overlay import shrink_image, side_by_side
from mmseg_medical.visualization.palette import Color, class_colors
from mmseg_medical.visualization.report import RANKED_BY, Example, Report, render_report, select_examples
from mmseg_medical.visualization.slices import draw_slice


@HOOKS.register_module()
class SegReportHook(Hook):
    """Write ``report.html`` and curves after a test, and one overlay an image where a folder is given.

    The report shows configuration, numbers (of a :class:`MedicalSegMetric` or a metric that keeps its cases, otherwise
    the logged ones), curves, and the best, median and worst image. Training curves come from the ``scalars.json`` logs
    found in the work dir, its parent or the checkpoint's folder. Until the ranking is known, one small JPEG an image is
    kept (about 100 kB at the default size); in distributed tests every process writes the overlays of its own images.

    Args:
        output_dir (str | None): folder for ``report.html`` and ``curves/*.png``; None takes the runner's work dir.
        show_dir (str | None): folder for ``<case_id>.png``, prediction and truth side by side; None writes none.
        max_side (int): longer side of a panel of an overlay, in pixels.
        report_side (int): longer side of a panel in the report, in pixels.
        alpha (float): weight of the classes' tint, 0..1.
        title (str | None): heading of the report; None takes the config's file name.
    """

    priority = 'LOW'

    def __init__(
        self,
        output_dir: str | None = None,
        show_dir: str | None = None,
        max_side: int = 1440,
        report_side: int = 640,
        alpha: float = 0.35,
        title: str | None = None,
    ) -> None:
        for name, value in (('max_side', max_side), ('report_side', report_side)):
            if value < 16:
                raise ValueError(f'{name} must be at least 16 pixels, got {value}')
        self.output_dir = output_dir
        self.show_dir = show_dir
        self.max_side = max_side
        self.report_side = report_side
        self.alpha = alpha
        self.title = title
        self._pictures: dict[str, bytes] = {}
        self._unreadable = 0
        self._assembler = SliceAssembler()

    def before_test_epoch(self, runner: Any) -> None:
        """Forget the last test."""
        self._assembler.clear()
        self._pictures.clear()
        self._unreadable = 0

    def after_test_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[BaseDataElement] | None = None,
    ) -> None:
        """Draw the images of one batch."""
        for sample in self._assembler.whole(outputs or ()):
            self._draw(runner, sample)

    def _draw(self, runner: Any, sample: BaseDataElement) -> None:
        classes, colors = self._classes(runner)
        name = str(sample.get('case_id') or Path(str(sample.get('img_path') or '')).stem)
        if not name or 'pred_sem_seg' not in sample:
            return
        panels = {'Prediction': _array(sample.pred_sem_seg)}
        if 'gt_sem_seg' in sample:
            panels['Ground truth'] = _array(sample.gt_sem_seg)
        image = self._picture(sample, panels)
        if image is None:
            return
        options: dict[str, Any] = {'classes': classes, 'colors': colors, 'title': name, 'alpha': self.alpha}
        if self.show_dir is not None:
            sheet = side_by_side(image, panels, max_side=self.max_side, **options)
            with atomic_write(Path(self.show_dir, f'{name}.png'), 'wb') as file:
                Image.fromarray(sheet).save(file, format='PNG')
        sheet = side_by_side(image, panels, max_side=self.report_side, **options)
        self._pictures[name] = _jpeg(sheet)

    def after_test_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Rank the images and write the report."""
        for sample in self._assembler.rest():
            self._draw(runner, sample)
        if self._unreadable:
            print_log(f'{self._unreadable} images could not be read again for overlays', 'current', logging.WARNING)
        summary = _summary(runner) if is_main_process() else None
        table = _table(runner) if is_main_process() else None
        wanted: list[Any] = [self._ranking(summary, table)]
        broadcast_object_list(wanted)
        ranking: dict[str, str] = wanted[0] if wanted[0] is not None else {}
        names = set(ranking.values())
        mine = {name: picture for name, picture in self._pictures.items() if name in names}
        gathered: list[dict[str, bytes]] = all_gather_object(mine) if get_world_size() > 1 else [mine]
        self._pictures.clear()
        if is_main_process():
            pictures = {name: picture for part in gathered for name, picture in part.items()}
            self._write(runner, summary or table, metrics or {}, ranking, pictures)
        barrier()

    def _ranking(self, summary: SegSummary | None, table: CaseTable | None) -> dict[str, str]:
        """Heading -> case id of the images in the report."""
        if summary is None and table is not None and 'dice' in table.metrics:
            return {heading: table.case_ids[i] for heading, i in select_examples(table.case_scores()).items()}
        if summary is None:
            return {f'Image {i + 1}': name for i, name in enumerate(sorted(self._pictures)[:3])}
        picks = select_examples(summary.image_score())
        return {heading: summary.cases[i].case_id for heading, i in picks.items()}

    def _write(
        self,
        runner: Any,
        results: SegSummary | CaseTable | None,
        metrics: dict[str, float],
        ranking: dict[str, str],
        pictures: dict[str, bytes],
    ) -> None:
        folder = Path(self.output_dir or runner.work_dir)
        summary = results if isinstance(results, SegSummary) else None
        table = results if isinstance(results, CaseTable) else None
        classes, colors = self._classes(runner)
        named = {name: color for name, color in zip(classes, colors, strict=True) if color is not None}
        curves = {}
        if summary is not None and summary.curves:
            curves['Precision and recall'] = precision_recall_figure(summary.curves, named)
        curves.update(training_figures(_training_log(runner)))
        for title, png in curves.items():
            with atomic_write(folder / 'curves' / f'{title.lower().replace(" ", "_")}.png', 'wb') as file:
                file.write(png)
        examples = [
            Example(heading, _caption(results, name), pictures[name])
            for heading, name in ranking.items()
            if name in pictures
        ]
        number = f'{len(summary.cases)} images' if summary else f'{len(table.case_ids)} cases' if table else 'test'
        report = Report(
            title=self.title or _config_name(runner),
            subtitle=f'{_dataset_name(runner)}, {number}',
            summary=summary,
            table=table,
            metrics=metrics,
            facts=_facts(runner),
            config=runner.cfg.pretty_text,
            colors=named,
            curves=curves,
            examples=examples,
        )
        with atomic_write(folder / 'report.html') as file:
            file.write(render_report(report))
        print_log(f'Report written to {(folder / "report.html").resolve()}', logger='current')
        if results is not None and ranking:
            shown = ', '.join(f'{heading.lower()} {name}' for heading, name in ranking.items())
            print_log(f'Images in it, by the {RANKED_BY}: {shown}', logger='current')
        if self.show_dir is not None:
            print_log(f'Overlays written to {Path(self.show_dir).resolve()}', logger='current')

    @staticmethod
    def _classes(runner: Any) -> tuple[tuple[str, ...], list[Color | None]]:
        meta = getattr(runner.test_dataloader.dataset, 'metainfo', None) or {}
        classes = tuple(meta.get('classes') or ())
        if not classes:
            raise ValueError('SegReportHook needs the class names of the data set (METAINFO["classes"])')
        return classes, class_colors(classes, meta.get('palette'))

    def _picture(self, sample: BaseDataElement, panels: dict[str, np.ndarray]) -> np.ndarray | None:
        """What the masks are drawn on; of a volume a slice, and the panels become slices too."""
        if panels['Prediction'].ndim == 3:
            return self._read(str(sample.get('img_path') or ''), panels['Prediction'].shape[-2:])
        try:
            return draw_slice(sample.get('img_path'), panels, self.report_side, sample.get('frame') or 0)
        except (OSError, ValueError, ImportError):
            self._unreadable += 1
            return None

    def _read(self, img_path: str, size: tuple[int, int]) -> np.ndarray | None:
        """The photograph in RGB, decoded no larger than the overlay needs; None if it cannot be read."""
        largest = max(self.max_side if self.show_dir is not None else 0, self.report_side)
        try:
            data = read_bytes(img_path)
            native = image_size(data, img_path)
            factor = min(1.0, largest / max(native))
            wanted = round(native[0] * factor), round(native[1] * factor)
            image = decode_image(data, img_path, choose_reduction(native, wanted))
        except DataError:
            self._unreadable += 1
            return None
        if max(image.shape[:2]) > max(size):
            # a prediction below the image's resolution is drawn on its own grid
            image = shrink_image(image, max(size))
        return np.ascontiguousarray(image[..., ::-1])


def _array(field: Any) -> np.ndarray:
    data = field.data
    return (data.to(torch.uint8) if isinstance(data, torch.Tensor) else torch.as_tensor(data)).cpu().numpy()


def _jpeg(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    # full colour resolution: outlines are one pixel wide
    Image.fromarray(picture).save(buffer, format='JPEG', quality=90, subsampling=0)
    return buffer.getvalue()


def _summary(runner: Any) -> SegSummary | None:
    for metric in runner.test_evaluator.metrics:
        if isinstance(metric, MedicalSegMetric) and metric.summary is not None:
            return metric.summary
    return None


def _table(runner: Any) -> CaseTable | None:
    tables = (getattr(metric, 'table', None) for metric in runner.test_evaluator.metrics)
    return next((table for table in tables if isinstance(table, CaseTable)), None)


def _caption(summary: SegSummary | CaseTable | None, name: str) -> str:
    if isinstance(summary, CaseTable) and 'dice' in summary.metrics:
        index = summary.case_ids.index(name)
        values = {class_name: summary.column(class_name, 'dice')[index] for class_name in summary.classes}
        parts = [f'{class_name} {100 * value:.1f}' for class_name, value in values.items() if np.isfinite(value)]
        return f'{name}, mean Dice {100 * summary.case_scores()[index]:.1f} % ({", ".join(parts)})'
    if not isinstance(summary, SegSummary):
        return name
    index = next(i for i, case in enumerate(summary.cases) if case.case_id == name)
    dice = summary.case_scores['dice'][index]
    parts = [f'{summary.classes[k]} {dice[k]:.1f}' for k in summary.foreground if np.isfinite(dice[k])]
    return f'{name}, mean Dice {summary.image_score()[index]:.1f} % ({", ".join(parts)})'


def _training_log(runner: Any) -> dict[str, list[tuple[float, float]]]:
    work_dir = Path(runner.work_dir)
    folders = [work_dir, work_dir.parent]
    checkpoint = runner.cfg.get('load_from')
    if checkpoint and '://' not in str(checkpoint):
        folders.insert(0, Path(checkpoint).resolve().parent)
    for folder in folders:
        series = read_scalars(folder)
        if series:
            return series
    return {}


def _config_name(runner: Any) -> str:
    filename = getattr(runner.cfg, 'filename', None)
    return Path(filename).stem if filename else str(runner.experiment_name)


def _dataset_name(runner: Any) -> str:
    dataset = runner.test_dataloader.dataset
    root = getattr(dataset, 'data_root', None)
    return f'{type(dataset).__name__} ({root})' if root else type(dataset).__name__


def _facts(runner: Any) -> dict[str, str]:
    import mmcv
    import mmengine
    import mmseg

    device = next(runner.model.parameters(), torch.empty(0)).device
    versions = {
        'mmseg_medical': __version__,
        'mmseg': mmseg.__version__,
        'mmengine': mmengine.__version__,
        'mmcv': mmcv.__version__,
        'torch': torch.__version__,
        'Python': platform.python_version(),
    }
    processor = torch.cuda.get_device_name(device) if device.type == 'cuda' else (platform.machine() or 'CPU')
    return {
        'date': datetime.datetime.now().astimezone().strftime('%Y-%m-%d %H:%M %Z'),
        'config': str(getattr(runner.cfg, 'filename', None) or 'built in memory'),
        'checkpoint': str(runner.cfg.get('load_from') or 'none: weights as initialised'),
        'work dir': str(runner.work_dir),
        'device': f'{device.type} ({processor}), {get_world_size()} process{"es" if get_world_size() > 1 else ""}',
        'versions': ', '.join(f'{name} {version}' for name, version in versions.items()),
    }
