"""Overlays, curves and the report of a run."""

from mmseg_medical.visualization.curves import precision_recall_figure, read_scalars, training_figures
from mmseg_medical.visualization.overlay import draw_segmentation, shrink_image, side_by_side
from mmseg_medical.visualization.palette import class_colors
from mmseg_medical.visualization.report import Example, Report, render_report, select_examples

__all__ = [
    'Example',
    'Report',
    'class_colors',
    'draw_segmentation',
    'precision_recall_figure',
    'read_scalars',
    'render_report',
    'select_examples',
    'shrink_image',
    'side_by_side',
    'training_figures',
]
