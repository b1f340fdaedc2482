"""Pictures with much in them: many classes, long names, thin slices. Nothing is cut, nothing lies on something else."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from picture_cases import Cases, volume_case

from mmseg_medical.geometry import Volume
from mmseg_medical.visualization.pictures import rendering
from mmseg_medical.visualization.pictures.case import PictureCase, Structures
from mmseg_medical.visualization.pictures.choosing import Choice, densest_choice, random_choices
from mmseg_medical.visualization.pictures.dark import fitted
from mmseg_medical.visualization.pictures.detail import detail_figure, facts
from mmseg_medical.visualization.pictures.multiplanar import multiplanar_figure
from mmseg_medical.visualization.pictures.planes import cut
from mmseg_medical.visualization.pictures.scene import agreement_scene
from mmseg_medical.visualization.pictures.sheets import grid_figure, overview_figure, triplet_figure
from mmseg_medical.visualization.pictures.surfaces import Smoothing

LONG = '1.3.6.1.4.1.14519.5.2.1.6279.6001.105756658031515062000744821260'


def crowded(classes: int, name: str = 'case') -> PictureCase:
    """One voxel column of each class, from the second on; a dozen in each slice."""
    truth = np.zeros((1, 14, 14, max(3, classes // 12 + 1)), np.uint8)
    for k in range(1, classes + 1):
        truth[0, 1 + k % 12, 1:5, (k - 1) // 12] = k
    structures = Structures.of(('background', *(f'structure {k}' for k in range(1, classes + 1))))
    return PictureCase(name, Volume(np.ones(truth.shape[1:], np.float32), np.eye(4), name), structures, truth, truth)


def boxes(figure):
    """Legend, note and lowest edge of the panels, in pixels of the figure."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    legend = figure.legends[0].get_window_extent(renderer)
    note = figure.texts[-1].get_window_extent(renderer)
    return legend, note, min(axes.get_tightbbox(renderer).y0 for axes in figure.axes)


@pytest.mark.parametrize('classes', [2, 7, 13, 60])
@pytest.mark.parametrize('kind', ['grid', 'overview', 'triplets', 'multiplanar'])
def test_legend_lies_between_panels_and_note(kind, classes):
    case = crowded(classes)
    choices = random_choices(Cases(case), ['case'], 2, 0, 2)
    figure = {
        'grid': lambda: grid_figure(choices, 2, columns=1, side=40),
        'overview': lambda: overview_figure(choices, 2, columns=2, side=40),
        'triplets': lambda: triplet_figure(choices[:1], 2, side=40),
        'multiplanar': lambda: multiplanar_figure(case, count=1, side=40),
    }[kind]()
    legend, note, panels = boxes(figure)
    assert note.y0 >= 0
    assert note.y1 <= legend.y0
    assert legend.y1 <= panels
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.x1
    assert note.x0 >= 0


def test_legend_of_many_classes_names_those_in_the_picture():
    case = crowded(60)
    figure = grid_figure([Choice(case, 1)], 2)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [f'structure {k}' for k in range(13, 25)]
    everything = multiplanar_figure(case, {2: [0], 1: [2], 0: [2]})
    assert len(everything.legends[0].get_texts()) == 31
    assert everything.legends[0].get_texts()[-1].get_text() == 'and 30 more'


def test_few_classes_keep_their_legend_in_slices_without_them():
    case = volume_case()
    figure = overview_figure([Choice(case, 3)], 2)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['front', 'back']


def test_colours_do_not_come_back():
    colors = Structures.of(('background', *map(str, range(60)))).colors[1:]
    assert len(set(colors)) == 60


def test_names_are_as_wide_as_their_panel():
    case = replace(crowded(2), case_id=LONG)
    figure = overview_figure([Choice(case, 0)] * 3, 2, columns=3, title=f'{LONG} {LONG}')
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    places = [axes.title.get_window_extent(renderer) for axes in figure.axes]
    assert all(left.x1 <= right.x0 for left, right in pairwise(places))
    assert figure.axes[0].get_title().endswith('axial 0')
    assert '…' in figure.axes[0].get_title()
    head = figure.texts[0].get_window_extent(renderer)
    assert head.x0 >= 0
    assert head.x1 <= figure.bbox.x1
    assert fitted('short', 1, 9) == 'short'


def test_detail_of_many_classes():
    case = crowded(60)
    choice = densest_choice(case, 2)
    figure = detail_figure(choice, 2, side=40)
    figure.canvas.draw()
    bar = figure.axes[-1]
    places = [label.get_window_extent() for label in bar.get_yticklabels()]
    assert len(places) == 12
    assert all(upper.y0 >= lower.y1 - 1 for upper, lower in pairwise(places))
    rows = facts(choice, cut(choice, 2, 40), case.truth)
    assert rows[-1] == ('…', '52 more classes')


def test_the_largest_classes_are_counted_first():
    case = crowded(60)
    case.truth[0, 1 + 50 % 12, :, (50 - 1) // 12] = 50
    choice = densest_choice(case, 2)
    rows = facts(choice, cut(choice, 2, 40), case.truth)
    assert 'structure 50' in dict(rows)
    case.truth[...] = 0
    case.truth[0, 3, 3, 0] = 7
    few = facts(choice, cut(choice, 2, 40), case.truth)
    assert few[-2:] == [('structure 7', f'1 voxel, {100 / case.truth.size:.3g} %'), ('…', '59 more classes')]


def test_three_names_stand_side_by_side():
    case = volume_case()
    figure = rendering.scene_figure(agreement_scene(case, Smoothing(iterations=0)), 'matplotlib')
    legend, _, _ = boxes(figure)
    assert legend.height < 0.35 * figure.dpi
    assert legend.x1 <= figure.bbox.x1


def test_long_names_end_before_their_numbers():
    case = volume_case()
    structures = Structures.of(('background', 'A very long name of a structure in the brain', 'back'))
    figure = detail_figure(densest_choice(replace(case, structures=structures), 2), 2)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    panel = next(axes for axes in figure.axes if axes.texts)
    names = [text for text in panel.texts if text.get_position()[0] < 0.2]
    numbers = [text for text in panel.texts if text.get_position()[0] > 0.2]
    for name, number in zip(names, numbers, strict=True):
        if name.get_text():
            assert name.get_window_extent(renderer).x1 <= number.get_window_extent(renderer).x0


def headings(figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def test_dice_says_which_structure_has_none():
    case = volume_case(shift=0)
    case.truth[case.truth == 1] = 0
    case.pred[case.pred == 1] = 0
    assert headings(triplet_figure([densest_choice(case, 2)], 2))[-1] == 'prediction · Dice – / 1.000'
    assert headings(triplet_figure([densest_choice(crowded(7), 2)], 2))[-1] == 'prediction · mean Dice 1.000'


def note_of(figure) -> str:
    return figure.texts[-1].get_text()


def test_multiplanar_says_what_is_drawn():
    case = volume_case()
    assert 'White line: prediction.' in note_of(multiplanar_figure(case, count=1))
    assert note_of(multiplanar_figure(case, which='pred', count=1)).endswith('Prediction.')
    assert note_of(multiplanar_figure(case, which='truth', count=1)).endswith('Truth.')


@pytest.mark.parametrize(('degrees', 'said'), [(0, ''), (30, '30° oblique')])
def test_oblique_files_are_called_so(degrees, said):
    case = volume_case()
    turn, cos, sin = np.eye(4), np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[:2, :2] = [[cos, -sin], [sin, cos]]
    image = Volume(case.image.array, turn @ case.image.affine, 'a')
    note = note_of(multiplanar_figure(replace(case, image=image), count=1))
    assert said in note
    assert ('oblique' in note) == bool(said)


def test_letters_stay_off_slices_of_one_voxel():
    case = volume_case()
    flat = replace(
        case,
        image=Volume(case.image.array[:, :, 4:5], np.eye(4), 'a'),
        truth=case.truth[..., 4:5],
        pred=case.pred[..., 4:5],
    )
    axial, coronal, sagittal = multiplanar_figure(flat, count=1).axes
    assert [text.get_text() for text in axial.texts] == list('LRPA')
    assert [text.get_text() for text in coronal.texts] == list('LR')
    assert [text.get_text() for text in sagittal.texts] == list('PA')
    assert [label.get_text() for label in coronal.get_yticklabels()] == ['1']
