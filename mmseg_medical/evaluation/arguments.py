"""Command-line options of the tools that evaluate folders; light, so that ``--help`` waits for nothing."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmseg_medical.evaluation.folder_evaluation import FolderOptions


def add_evaluation_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add the options that :func:`options_from` reads; ``required``: whether it needs target and number of classes."""
    parser.add_argument('--target', required=required, metavar='DIR', help='folder of the true label maps')
    parser.add_argument(
        '--num-classes', required=required, type=int, metavar='K', help='labels, the background 0 included'
    )
    parser.add_argument('--class-names', nargs='+', metavar='NAME', help='of the labels 1 to K-1, or 0 to K-1')
    parser.add_argument(
        '--regions', nargs='+', metavar='NAME=LABEL,...', help='classes made of several labels, e.g. WT=1,2,3 TC=1,3'
    )
    parser.add_argument(
        '--tolerance-mm', nargs='+', type=float, default=[1.0, 2.0], metavar='T', help='of the surface Dice (1 2)'
    )
    parser.add_argument('--surface', default='voxel', help='definition of a surface: voxel, surfel or none (voxel)')
    parser.add_argument('--pooling', default='max', help='of the percentile of HD95: max or pooled (max)')
    parser.add_argument(
        '--empty', default='strict', help='what empty masks are worth: strict, perfect, infinite or exclude (strict)'
    )
    parser.add_argument('--ignore-index', type=int, default=255, metavar='LABEL', help='target label left out (255)')
    parser.add_argument(
        '--spacing-mm', nargs='+', type=float, metavar='S', help='of each array axis, in place of the headers'
    )
    parser.add_argument(
        '--resample-prediction', action='store_true', help="bring predictions on other grids onto the target's"
    )
    parser.add_argument('--jobs', type=int, default=1, metavar='N', help='processes (1)')
    parser.add_argument('--out', metavar='DIR', help='folder for the files (PRED_evaluation, or comparison)')


def options_from(arguments: argparse.Namespace) -> FolderOptions:
    """Read the options.

    Raises:
        ValueError: a region is not of the form NAME=LABEL,..., or see
            :class:`~mmseg_medical.evaluation.options.EvaluationOptions`.
    """
    from mmseg_medical.evaluation.folder_evaluation import FolderOptions
    from mmseg_medical.evaluation.options import EvaluationOptions, classes_and_regions

    if arguments.jobs < 1:
        raise ValueError(f'--jobs must be at least 1, got {arguments.jobs}')
    regions = dict(_region(text) for text in arguments.regions or ())
    evaluation = EvaluationOptions(
        num_classes=arguments.num_classes,
        classes=classes_and_regions(arguments.num_classes, arguments.class_names, regions),
        tolerances=tuple(arguments.tolerance_mm),
        surface=None if arguments.surface == 'none' else arguments.surface,
        pooling=arguments.pooling,
        empty=arguments.empty,
        ignore_index=arguments.ignore_index,
    )
    return FolderOptions(
        evaluation,
        resample_prediction=arguments.resample_prediction,
        spacing_mm=tuple(arguments.spacing_mm) if arguments.spacing_mm else None,
        jobs=arguments.jobs,
    )


def _region(text: str) -> tuple[str, tuple[int, ...]]:
    name, equals, labels = text.partition('=')
    try:
        values = tuple(int(label) for label in labels.split(','))
    except ValueError:
        values = ()
    if not name or not equals or not values:
        raise ValueError(f'--regions: {text!r} is not of the form NAME=LABEL,LABEL,... such as WT=1,2,3')
    return name, values
