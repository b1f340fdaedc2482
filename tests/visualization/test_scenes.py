"""Surfaces as PNG and as a page."""

from __future__ import annotations

import base64
import importlib.util
import itertools
import json
import re
import subprocess

import numpy as np
import pytest
from picture_cases import photograph_case, volume_case

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.errors import ConfigError
from mmseg_medical.visualization.canvas import png
from mmseg_medical.visualization.pictures import rendering
from mmseg_medical.visualization.pictures.case import PictureCase
from mmseg_medical.visualization.pictures.pyvista_process import camera_scale
from mmseg_medical.visualization.pictures.scene import VIEW, agreement_scene, surface_scene
from mmseg_medical.visualization.pictures.scene_page import scene_page
from mmseg_medical.visualization.pictures.surfaces import Smoothing

SMOOTHING = Smoothing(iterations=5)


def find_none(name, *rest):
    return None if name == 'pyvista' else _find(name, *rest)


_find = importlib.util.find_spec


def test_truth_and_prediction_are_smoothed_alike():
    scene = surface_scene(volume_case(shift=0), SMOOTHING)
    assert list(scene.panels) == ['Truth', 'Prediction']
    for ours, theirs in zip(*scene.panels.values(), strict=True):
        np.testing.assert_array_equal(ours.mesh.vertices, theirs.mesh.vertices)
        np.testing.assert_array_equal(ours.mesh.faces, theirs.mesh.faces)
    assert 'Truth and prediction smoothed alike: Gaussian 0.5 voxel' in scene.note
    low, high = scene.bounds
    np.testing.assert_allclose(low, [3.5, 5, 4.5], atol=0.7)
    np.testing.assert_allclose(high, [9.5, 21, 22.5], atol=0.7)


def test_what_is_correct_and_what_is_not():
    scene = agreement_scene(volume_case(shift=1), SMOOTHING)
    (parts,) = scene.panels.values()
    assert [part.name for part in parts] == [
        'correct: 240 voxels', 'false positive: 48 voxels', 'false negative: 48 voxels',
    ]  # fmt: skip
    correct, positive, negative = (part.mesh.vertices[:, 0].mean() for part in parts)
    assert negative < correct < positive
    one = agreement_scene(volume_case(shift=1), SMOOTHING, 'front')
    assert next(iter(one.panels.values()))[0].name == 'correct: 120 voxels'
    with pytest.raises(ConfigError, match='Did you mean front'):
        agreement_scene(volume_case(), SMOOTHING, 'frnt')
    single = volume_case(shift=0)
    single.truth[0, 0, 0, 0] = 1
    assert agreement_scene(single, SMOOTHING).entries()[-1][0] == 'false negative: 1 voxel'


def test_what_cannot_be_shown():
    with pytest.raises(ConfigError, match='two axes'):
        surface_scene(photograph_case(), SMOOTHING)
    case = volume_case()
    empty = PictureCase('e', case.image, case.structures, np.zeros_like(case.truth))
    with pytest.raises(DataError, match='background everywhere'):
        surface_scene(empty, SMOOTHING)
    with pytest.raises(DataError, match='prediction'):
        agreement_scene(empty, SMOOTHING)


def test_the_shell_is_translucent_and_in_each_panel():
    scene = surface_scene(volume_case(), SMOOTHING, enclosed=True)
    assert [parts[-1].opacity < 0.5 for parts in scene.panels.values()] == [True, True]


def test_matplotlib_stands_in(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', find_none)
    scene = surface_scene(volume_case(), SMOOTHING)
    assert rendering.chosen_renderer() == 'matplotlib'
    truth, prediction = rendering.render_with_matplotlib(scene, (300, 260))
    assert truth.shape == (260, 300, 3)
    assert len(np.unique(truth.reshape(-1, 3), axis=0)) > 50
    assert (truth != prediction).any()
    with pytest.raises(ImportError, match=r'mmseg-medical\[pictures\]'):
        rendering.chosen_renderer('pyvista')
    with pytest.raises(ConfigError, match='renderer must be one of'):
        rendering.chosen_renderer('povray')


def test_a_machine_that_cannot_render(monkeypatch):
    def crash(command, **options):
        return subprocess.CompletedProcess(command, -11, '', '\x1b[33mlibOSMesa not found\x1b[0m')

    monkeypatch.setattr(subprocess, 'run', crash)
    with pytest.raises(ConfigError, match=r'exit code -11; last line: libOSMesa not found\).*--renderer matplotlib'):
        rendering.render_with_pyvista(surface_scene(volume_case(), SMOOTHING))


def test_pyvista(monkeypatch):
    pytest.importorskip('pyvista')
    monkeypatch.delenv('DISPLAY', raising=False)
    pictures = rendering.render_with_pyvista(surface_scene(volume_case(), SMOOTHING), (200, 160))
    assert [picture.shape for picture in pictures] == [(160, 200, 3)] * 2
    cyan = (pictures[0][..., 2].astype(int) - pictures[0][..., 0]) > 80
    assert 50 < cyan.sum() < 160 * 200 / 2


def test_size_of_the_figure(monkeypatch):
    blank = [np.zeros((78, 90, 3), np.uint8)] * 2
    monkeypatch.setattr(rendering, 'render_with_matplotlib', lambda scene: blank)
    written = png(rendering.scene_figure(surface_scene(volume_case(), SMOOTHING), 'matplotlib', 'x'))
    width = int.from_bytes(written[16:20], 'big')
    assert width == pytest.approx(2 * 5.4 * 144, abs=1)


def test_the_page_needs_nothing_else():
    scene = surface_scene(volume_case(), SMOOTHING)
    page = scene_page(scene, 'case </script> <b>')
    assert not re.search(r'(?:src|href)\s*=|https?:|@import|url\(|fetch\(|import\(', page)
    assert page.count('</script>') == 2
    assert 'case &lt;/script&gt;' in page
    data = json.loads(re.search(r'id="scene">(.*?)</script>', page, re.DOTALL)[1])
    assert [[part['name'] for part in parts] for parts in data['panels']] == [['front', 'back']] * 2
    packed, mesh = data['panels'][0][1], scene.panels['Truth'][1].mesh
    low, high = np.array(data['low']), np.array(data['high'])
    steps = np.frombuffer(base64.b64decode(packed['vertices']), '<u2').reshape(-1, 3)
    np.testing.assert_allclose(low + steps / 65535 * (high - low), mesh.vertices, atol=1e-3)
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(packed['faces']), '<u4').reshape(-1, 3), mesh.faces)


@pytest.mark.parametrize('extent', [(1, 1, 1), (40, 3, 3), (2, 60, 1), (1, 1, 90)])
def test_the_box_and_the_numbers_around_it_fit_into_the_picture(extent):
    size, view = [900, 780], np.array(VIEW)
    high = np.array(extent, float)
    half = camera_scale(-high, high, view, size)
    toward = view / np.linalg.norm(view)
    right = np.cross([0, 0, 1], toward)
    right /= np.linalg.norm(right)
    corners = high * np.array(list(itertools.product((-1, 1), repeat=3)))
    across, upwards = np.abs(corners @ right).max(), np.abs(corners @ np.cross(toward, right)).max()
    shares = across / half * size[1] / size[0], upwards / half
    assert max(shares) == pytest.approx(1 / 1.22)
