import io

import numpy as np
import pytest
from case_tables import shifted, table, undefined
from PIL import Image

from mmseg_medical.evaluation.compare import compare_tables
from mmseg_medical.visualization.canvas import label, new_panels, number, spread
from mmseg_medical.visualization.comparison_figures import comparison_figures, difference_figure, method_figure
from mmseg_medical.visualization.distributions import MARKERS, Row, draw_rows, state_handles
from mmseg_medical.visualization.evaluation_figures import (
    axis_label,
    bland_altman_figure,
    box_figure,
    evaluation_figures,
    file_name,
)

LONG = 'a name of a class that has more letters than any axis has room for, $10 among them'


def pixels(png: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(png))
    assert image.format == 'PNG'
    return np.asarray(image.convert('RGB')).astype(int)


def shows(png: bytes, color: str) -> bool:
    """Whether a colour is seen, edges of dots aside."""
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(pixels(png) - wanted).max(axis=-1) <= 24).sum()) > 5


def texts(axes):
    return [text.get_text() for text in axes.texts]


def row(values, states=None, color=None):
    values = np.array(values, float)
    return Row(0, 1, values, np.zeros(len(values), np.int8) if states is None else np.array(states), color)


def panel():
    return new_panels(1, 5, 3)[1][0]


def dots(axes):
    """Number of dots by their positions on the horizontal axis."""
    return sorted(float(x) for collection in axes.collections for x in _offsets(collection))


def _offsets(collection):
    from matplotlib.collections import PathCollection

    return collection.get_offsets()[:, 0] if isinstance(collection, PathCollection) else []


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize(
    ('num_cases', 'classes'),
    [
        (1, ('a',)),
        (1, ('a', LONG)),
        (2, ('a', 'b', 'c', 'd')),
        (5, ('a',)),
        (300, tuple(f'organ {k}' for k in range(14))),
    ],
)
def test_every_table_has_figures(num_cases, classes):
    of = table(num_cases, classes)
    for png in (box_figure(of, 'hd95'), bland_altman_figure(of)):
        height, width, _ = pixels(png).shape
        assert width >= 900
        assert height >= 200


@pytest.mark.filterwarnings('error')
def test_names_and_what_they_show():
    figures = evaluation_figures(table(8))
    drawn = ['dice', 'hd95', 'nsd@1mm', 'relative_volume_error']
    assert list(figures) == [f'{kind}_{m}' for m in drawn for kind in ('box', 'violin')] + ['bland_altman']
    missed, false_alarm = '#d55e00', '#cc79a7'
    assert shows(figures['box_dice'], missed)
    assert shows(figures['box_dice'], false_alarm)
    assert shows(figures['violin_dice'], missed)
    assert shows(figures['box_relative_volume_error'], missed)
    assert not shows(figures['box_relative_volume_error'], false_alarm)
    assert not shows(box_figure(table(3), 'dice'), missed)


def test_same_pictures_in_every_run():
    assert box_figure(table(8), 'dice') == box_figure(table(8), 'dice')


@pytest.mark.filterwarnings('error')
def test_undefined_columns():
    of = undefined(undefined(table(5), 'a'), 'b')
    assert all(figures for figures in evaluation_figures(of).values())
    axes = panel()
    draw_rows(axes, [row([np.nan, np.nan])], violins=False, score=True)
    assert texts(axes) == ['no defined value']
    assert axes.get_xlim() == pytest.approx((-0.02, 1.03))


def test_axis_labels():
    of = table(3)
    assert axis_label(of, 'dice') == 'dice, higher is better'
    assert axis_label(of, 'hd95') == 'hd95 in mm, lower is better'
    assert axis_label(of, 'relative_volume_error') == 'relative_volume_error, 0 is best'
    assert file_name('box', 'nsd@1.5mm', 'a/b c') == 'box_nsd@1.5mm_a_b_c'


def test_dots_stand_at_the_values():
    axes = panel()
    draw_rows(axes, [row([0.25, 0.5, 1.0, np.nan], [0, 1, 2, 3])], violins=False, score=True)
    assert dots(axes) == [0.25, 0.5, 1.0]
    assert len(axes.patches) == 0  # no box of three cases


def test_box():
    axes = panel()
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 30.0]
    draw_rows(axes, [row(values)], violins=False, score=False)
    (box,) = axes.patches
    assert (box.get_x(), box.get_x() + box.get_width()) == (2.25, 4.75)
    segments = [s for c in axes.collections for s in getattr(c, 'get_segments', list)()]
    ends = {float(x) for segment in segments for x in segment[:, 0]}
    assert ends == {1.0, 2.25, 3.5, 4.75, 5.0}  # 30 is beyond 4.75 + 1.5 * 2.5
    assert dots(axes) == values


def test_violins_show_what_is_not_valid():
    axes = panel()
    draw_rows(axes, [row([0.5, 0.6, 0.7, 0.8, 0.0], [0, 0, 0, 0, 1])], violins=True, score=True)
    assert dots(axes) == [0.0]
    axes = panel()
    draw_rows(axes, [row([0.5] * 6)], violins=True, score=True)  # no density without spread
    assert dots(axes) == []


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('violins', [False, True])
def test_infinite_distances_stand_at_the_edge(violins):
    axes = panel()
    draw_rows(axes, [row([1.0, 2.0, 3.0, 4.0, np.inf], [0, 0, 0, 0, 1])], violins, score=False)
    assert texts(axes) == ['∞']
    assert dots(axes)[-1] == pytest.approx(4.32)
    assert all(tick <= 4 for tick in axes.get_xticks())
    axes = panel()
    draw_rows(axes, [row([np.inf, np.inf], [1, 2])], violins, score=False)
    assert len(dots(axes)) == 2


def test_penalties_do_not_press_the_rest_to_zero():
    axes = panel()
    draw_rows(axes, [row([1.0, 2.0, 3.0, 2.0, 300.0])], violins=False, score=False)
    assert axes.get_xscale() == 'symlog'
    axes = panel()
    draw_rows(axes, [row([1.0, 2.0, 3.0, 2.0, 60.0])], violins=False, score=False)
    assert axes.get_xscale() == 'linear'  # 30 times the median is the bound
    axes = panel()
    spread(np.array([0.0, 0.02, 0.03, 9.0]), 'y', axes)
    assert axes.get_yscale() == 'symlog'
    assert axes.yaxis.get_transform().linthresh == pytest.approx(0.01)
    assert axes.yaxis.get_major_formatter()(-0.1, 0) == '−0.1'


def test_states_in_the_legend():
    handles = state_handles(np.array([0, 0, 1, 3]))
    assert [handle.get_label() for handle in handles] == ['valid (2)', 'missed (1)', 'rightly empty (1)']
    handles = state_handles(np.array([0, 2]), colored=False)
    assert [(handle.get_label(), handle.get_marker()) for handle in handles] == [
        ('false alarm', MARKERS['false_alarm'])
    ]


def test_bland_altman_numbers(monkeypatch):
    from mmseg_medical.visualization import evaluation_figures as module

    of = table(4, ('a',))
    of.values[:, 0, 3:5] = [[1e3, 2e3], [3e3, 0], [0, 0], [5e3, 3e3]]
    figures = []
    monkeypatch.setattr(module, 'png', lambda figure: figures.append(figure) or b'')
    bland_altman_figure(of)
    (axes,) = figures[0].axes
    # differences -1, 3 and 2 mL: mean 4 / 3, standard deviation sqrt(13 / 3); the empty case is left out
    assert axes.get_title() == 'a\nbias 1.33, limits −2.75 to 5.41 mL, n = 3'
    assert dots(axes) == [1.5, 1.5, 4.0]
    assert figures[0].get_supylabel() == 'prediction - target in mL'
    bland_altman_figure(table(1, ('a',)))
    assert figures[1].axes[0].get_title().endswith(' mL, one case has no limits')
    bland_altman_figure(undefined(table(4), 'b'))
    assert texts(figures[2].axes[1]) == ['both masks are empty\nin every case']


def test_no_volumes():
    of = table(2)
    without = type(of)(of.case_ids, of.classes, ('dice',), of.values[..., :1], of.states, {})
    assert list(evaluation_figures(without)) == ['box_dice', 'violin_dice']
    with pytest.raises(ValueError, match='volume_mm3 and target_volume_mm3 are missing, the table holds dice'):
        bland_altman_figure(without)


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('num_cases', [1, 2, 8])
@pytest.mark.parametrize('infinite', [False, True])
def test_comparison(num_cases, infinite):
    of = table(num_cases, ('a', LONG), infinite=infinite)
    tables = {'ours': of, 'the others with $ and more letters than fit': shifted(of, -0.05), 'third': of}
    if num_cases == 8:  # the second method finds what the first one missed
        values = of.values.copy()
        values[0, :, 1] = 2.0
        tables['third'] = type(of)(of.case_ids, of.classes, of.metrics, values, of.states, of.conventions)
    figures = comparison_figures(compare_tables(tables))
    assert list(figures)[:4] == [
        'box_dice',
        'difference_dice_1_ours_the_others_with___and_more_letters_than_',
        'difference_dice_2_ours_third',
        'difference_dice_3_the_others_with___and_more_letters_than__third',
    ]
    assert len(figures) == 3 * 4
    blue, orange = '#0072b2', '#d55e00'
    better = figures['difference_dice_1_ours_the_others_with___and_more_letters_than_']
    assert shows(better, blue)  # legend and cases
    if num_cases == 8:
        worse = figures['difference_hd95_2_ours_third']
        assert shows(worse, orange)


def test_differences_are_sorted_and_coloured_by_the_better_side(monkeypatch):
    from mmseg_medical.visualization import comparison_figures as module

    of = table(3, ('a',))
    values = of.values.copy()
    values[:, 0, 1] = of.values[:, 0, 1] + [-1, 0, 2]
    other = type(of)(of.case_ids, of.classes, of.metrics, values, of.states, of.conventions)
    figures = []
    monkeypatch.setattr(module, 'png', lambda figure: figures.append(figure) or b'')
    comparison = compare_tables({'x': of, 'y': other})
    difference_figure(comparison, 'hd95')
    (axes,) = figures[0].axes
    (scatter,) = [c for c in axes.collections if len(_offsets(c))]
    np.testing.assert_allclose(scatter.get_offsets(), [[1, -2], [2, 0], [3, 1]], atol=1e-12)
    colors = [tuple(np.round(255 * c[:3]).astype(int)) for c in scatter.get_facecolors()]
    assert colors == [(0, 114, 178), (154, 160, 166), (213, 94, 0)]  # lower distances are better
    title = axes.get_title().splitlines()
    assert title[1].startswith('mean −0.333 [')
    assert title[1].endswith('], n = 3')
    assert title[2] == 'Holm: Wilcoxon p = 1.000, permutation p = 1.000'
    assert figures[0].get_supylabel() == 'difference of hd95 in mm'
    method_figure(comparison, 'hd95')
    assert figures[1].axes[0].get_xlabel() == 'hd95 in mm, lower is better'


def test_nothing_to_compare_and_infinite_differences(monkeypatch):
    from mmseg_medical.visualization import comparison_figures as module

    figures = []
    monkeypatch.setattr(module, 'png', lambda figure: figures.append(figure) or b'')
    of = table(5, ('a', 'b'), infinite=True)
    other = undefined(of, 'b')
    other.values[0, 0, 1] = 1.0
    difference_figure(compare_tables({'x': of, 'y': other}), 'hd95')
    first, second = figures[0].axes
    assert texts(first) == ['∞']
    assert 'mean ∞, n = 4\nHolm: Wilcoxon p = 1.000, permutation p undefined' in first.get_title()
    assert texts(second) == ['no case in which\nboth have a value']


def test_labels_and_numbers():
    assert label('short') == 'short'
    assert label('two lines of words', 10) == 'two lines\nof words'
    assert label('three lines of many words', 10) == 'three\nlines of…'
    assert label('x' * 30, 10, 1) == 'x' * 9 + '…'
    assert label('$a') == r'\$a'
    assert [number(v) for v in (-0.01234, 12345.6, -np.inf, 0)] == ['−0.0123', '12,346', '−∞', '0']


def test_pyplot_is_left_alone():
    import matplotlib
    import matplotlib.pyplot as plt

    before, style = plt.get_fignums(), dict(matplotlib.rcParams)
    box_figure(table(2), 'dice')
    assert plt.get_fignums() == before
    assert dict(matplotlib.rcParams) == style
