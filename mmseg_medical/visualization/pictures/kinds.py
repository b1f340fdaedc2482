"""Every kind of picture, from a source of cases to files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mmseg_medical.errors import ConfigError
from mmseg_medical.visualization.pictures.choosing import PLANES, densest_choice, random_choices
from mmseg_medical.visualization.pictures.dark import write_figure
from mmseg_medical.visualization.pictures.detail import detail_figure
from mmseg_medical.visualization.pictures.multiplanar import multiplanar_figure
from mmseg_medical.visualization.pictures.rendering import chosen_renderer, scene_figure
from mmseg_medical.visualization.pictures.scene import agreement_scene, surface_scene
from mmseg_medical.visualization.pictures.scene_page import write_scene_page
from mmseg_medical.visualization.pictures.sheets import grid_figure, overview_figure, triplet_figure
from mmseg_medical.visualization.pictures.sources import CaseSource, chosen_ids
from mmseg_medical.visualization.pictures.surfaces import Smoothing
from mmseg_medical.visualization.pictures.training_curves import curves_figure, read_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_curves(options: argparse.Namespace) -> list[Path]:
    """Write the curves of trainings; ``options`` are those of :mod:`.arguments`."""
    _check_suffix(options.out, '.png', '--out')
    figure = curves_figure(read_runs(options.work_dirs), options.metrics, options.title)
    return [write_figure(figure, options.out)]


def draw_cases(options: argparse.Namespace, source: CaseSource) -> list[Path]:
    """Write a picture of cases.

    Args:
        options (Namespace): Of :mod:`.arguments`.
        source (CaseSource): The cases.

    Returns:
        list[Path]: What was written.

    Raises:
        ConfigError: An option cannot be used.
        DataError: A case lacks what is drawn, see :mod:`.sources`.
    """
    _check_suffix(options.out, '.png', '--out')
    ids = chosen_ids(source, options.cases)
    if options.kind in ('surfaces', 'agreement'):
        return _draw_in_space(options, source, ids[0])
    return [write_figure(_flat_figure(options, source, ids), options.out)]


def _flat_figure(options: argparse.Namespace, source: CaseSource, ids: list[str]) -> Figure:
    if options.kind == 'multiplanar':
        named = {axis: getattr(options, plane) for axis, plane in enumerate(PLANES)}
        slices = {axis: indices for axis, indices in named.items() if indices}
        case = source.load(ids[0])
        return multiplanar_figure(case, slices, options.of, options.number, title=options.title)
    axis = PLANES.index(options.plane)
    if options.kind == 'detail':
        choice = densest_choice(source.load(ids[0]), axis, options.of, options.slice)
        return detail_figure(choice, axis, options.of, title=options.title)
    if options.kind == 'triplets':
        drawn = random_choices(source, ids, options.number, options.seed, axis, 'truth')
        # of each case once, at the slice that shows most of it
        cases = list({choice.case.case_id: choice.case for choice in drawn}.values())
        return triplet_figure([densest_choice(case, axis, 'truth') for case in cases], axis, title=options.title)
    choices = random_choices(source, ids, options.number, options.seed, axis, options.of)
    draw = grid_figure if options.kind == 'grid' else overview_figure
    return draw(choices, axis, options.of, options.columns, title=options.title)


def _draw_in_space(options: argparse.Namespace, source: CaseSource, case_id: str) -> list[Path]:
    if options.html:
        _check_suffix(options.html, '.html', '--html')
    renderer = chosen_renderer(options.renderer)  # before the work: it may be missing
    smoothing = Smoothing(options.sigma, options.iterations)
    case = source.load(case_id)
    if options.kind == 'surfaces':
        scene = surface_scene(case, smoothing, options.of, options.shell)
    else:
        scene = agreement_scene(case, smoothing, options.structure)
    title = options.title or case_id
    written = [write_figure(scene_figure(scene, renderer, title), options.out)]
    if options.html:
        written.append(write_scene_page(scene, options.html, title))
    return written


def _check_suffix(name: str, suffix: str, option: str) -> None:
    if not name.lower().endswith(suffix):
        raise ConfigError(f'{option} must end in {suffix}, got {name!r}')
