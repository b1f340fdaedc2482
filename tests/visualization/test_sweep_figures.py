from __future__ import annotations

import io
import math
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from mmseg_medical.visualization.canvas import new_panels
from mmseg_medical.visualization.sweep_figures import (
    Point,
    _draw_slice,
    history_figure,
    importance_figure,
    slices_figure,
)


def points(varied: bool = True) -> list[Point]:
    done = [
        Point(i, 0.8 + 0.01 * i, {'a.lr': 10.0**-i if varied else 1.0, 'head': 'x' if i % 2 else None}, 0.01,
              curve={1: 0.5, 2: 0.8})
        for i in range(4)
    ]  # fmt: skip
    return [*done, Point(4, status='given up', curve={1: 0.2}), Point(5, status='failed')]


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert('RGB')).astype(int)


def has(image: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((np.abs(image - color).max(axis=-1) < 4).any())


def test_history():
    image = picture(history_figure(points(), 'dice', True))
    assert has(image, (0xD5, 0x5E, 0x00))  # the best so far
    other = picture(history_figure(points(), 'dice', False))
    assert (image != other).any()
    empty = picture(history_figure([Point(0, status='failed')], 'dice', True))
    assert not has(empty, (0xD5, 0x5E, 0x00))


def test_slices_have_a_panel_for_each_parameter_that_varies():
    two, one = (picture(slices_figure(points(varied), 'dice')) for varied in (True, False))
    assert two.shape[1] == 2 * one.shape[1]
    assert slices_figure([Point(0, 0.5, {'lr': 1}), Point(1, math.nan, {'lr': 2})], 'dice') is None


def test_many_values_are_an_axis():
    wide = [Point(i, i / 20, {'lr': 2.0**-i}) for i in range(12)]
    assert picture(slices_figure(wide, 'a$b')).shape[2] == 3


def axes_of(values):
    figure, (axes,) = new_panels(1, 3.6, 3.2)
    _draw_slice(axes, [Point(k, k / 9, {'a': value}) for k, value in enumerate(values)], 'a')
    figure.canvas.draw()
    return axes


def test_draws_from_a_range_are_an_axis_however_few():
    few = axes_of([0.00178, 0.00203, 0.00443, 0.00449, 0.0796])
    assert few.get_xscale() == 'log'
    assert not few.lines  # a mean of one trial is none
    few.figure.canvas.draw()
    low, high = few.get_xlim()
    places = [
        text.get_window_extent()
        for place, text in zip(few.get_xticks(), few.get_xticklabels(), strict=True)
        if low <= place <= high
    ]
    assert len(places) >= 2
    assert all(left.x1 < right.x0 for left, right in pairwise(places))
    assert not any(text.get_text() for text in few.get_xticklabels(minor=True))
    repeated = axes_of([1e-3, 1e-3, 1e-2, 1e-2, 1e-1])
    assert [text.get_text() for text in repeated.get_xticklabels()] == ['0.001', '0.01', '0.1']
    assert len(repeated.lines) == 3


@pytest.mark.parametrize('count', [2, 5, 8])
def test_names_of_values_do_not_overlap(count):
    axes = axes_of([f'[{k}, 123456]' for k in range(8, 8 + count)] * 2)
    texts = axes.get_xticklabels()
    assert len(texts) == count
    assert [text.get_text().partition(',')[0] for text in texts] == [f'[{k}' for k in range(8, 8 + count)]
    if texts[0].get_rotation() == 0:
        places = [text.get_window_extent() for text in texts]
        assert all(left.x1 <= right.x0 for left, right in pairwise(places))
    else:
        assert count > 2


def test_importance():
    assert importance_figure({}) is None
    short, tall = (picture(importance_figure(dict.fromkeys('abcdef'[:n], 1 / n))) for n in (2, 6))
    assert tall.shape[0] > short.shape[0]
    assert has(short, (0x00, 0x72, 0xB2))


@pytest.mark.parametrize('name', ['$x', 'a' * 90])
def test_odd_names(name):
    assert importance_figure({name: 1.0}) is not None
