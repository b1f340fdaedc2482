"""tools/visualize.py as a user calls it."""

from __future__ import annotations

import importlib.util
import runpy
import sys

import numpy as np
import phantom_config
import pytest
from command import ROOT
from PIL import Image

from mmseg_medical.geometry import Volume, write_volume

pytest.importorskip('nibabel')


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the tool in this process, which spares its imports; returns exit code and what it printed."""

    def run(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, 'argv', ['visualize.py', *map(str, words)])
        code = 0
        try:
            runpy.run_path(str(ROOT / 'tools' / 'visualize.py'), run_name='__main__')
        except SystemExit as end:
            code = int(end.code or 0)
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return run


@pytest.fixture
def files(tmp_path):
    """Two cases; the prediction has its axes turned."""
    affine = np.diag([-1.0, 2.0, 1.5, 1.0])
    generator = np.random.default_rng(0)
    for case in ('case_1', 'case_2'):
        truth = np.zeros((12, 9, 7), np.uint8)
        truth[3:8, 2:7, 1:4], truth[3:8, 2:7, 4:6] = 1, 2
        image = generator.random(truth.shape).astype(np.float32)
        write_volume(Volume(image, affine), tmp_path / 'images' / f'{case}.nii.gz')
        write_volume(Volume(truth, affine), tmp_path / 'labels' / f'{case}.nii.gz')
        turned = affine.copy()
        turned[:, 0], turned[0, 3] = -affine[:, 0], -11
        write_volume(Volume(np.ascontiguousarray(truth[::-1]), turned), tmp_path / 'pred' / f'{case}.nii.gz')
    return tmp_path


def named(files, *which):
    return [word for name in which for word in (f'--{name}', files / name)]


@pytest.mark.parametrize('kind', ['grid', 'detail', 'overview', 'triplets', 'multiplanar'])
def test_kinds_on_files(kind, files, call):
    out = files / 'out' / f'{kind}.png'
    code, text = call(kind, *named(files, 'images', 'labels', 'pred'), '--out', out)
    assert code == 0, text
    assert str(out) in text
    with Image.open(out) as picture:
        assert min(picture.size) > 200
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_in_space_without_pyvista(files, call, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name, *rest: None if name == 'pyvista' else find(name, *rest)
    )
    words = [*named(files, 'images', 'labels', 'pred'), '--classes', 'front', 'back', '--iterations', 3]
    out, page = files / 'out.png', files / 'out.html'
    code, text = call('agreement', *words, '--cases', 'case_2', '--out', out, '--html', page)
    assert code == 0, text
    assert 'mmseg-medical[pictures]' in text
    assert 'correct: 125 voxels' in page.read_text()  # turned back: all of it
    assert 'false' not in page.read_text().split('id="scene"')[0]
    assert out.stat().st_size > 5000
    code, text = call('surfaces', *words, '--out', out, '--renderer', 'pyvista')
    assert code == 2
    assert "pip install 'mmseg-medical[pictures]'" in text


def test_photographs_of_a_data_set(tmp_path, call):
    config = phantom_config.write(tmp_path, 1, 2)
    options = ['--config', config, '--cfg-options', 'test_dataloader.dataset.target=multilabel']
    code, text = call('overview', *options, '--split', 'test', '--out', tmp_path / 'o.png')
    assert code == 0, text
    (tmp_path / 'pred').mkdir()
    code, text = call('triplets', *options, '--split', 'test', '--out', tmp_path / 't.png', '--pred', tmp_path / 'pred')
    assert code == 2
    assert 'expected a prediction of the case' in text
    assert not (tmp_path / 't.png').exists()
    code, text = call('surfaces', *options, '--split', 'test', '--out', tmp_path / 't.png')
    assert code == 2
    assert 'two axes' in text


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['gird'], 'Did you mean grid'),
        (['grid', '--out', 'x.png'], 'name either a data set'),
        (['grid', '--out', 'x.png', '--images', 'i', '--split', 'val'], '--split belongs to --config'),
        (['grid', '--out', 'x.png', '--images', 'i'], 'nothing to draw over'),
        (['grid', '--out', 'x.png', '--images', 'none', '--pred', 'none'], 'Correct --images'),
        (['curves', 'none', '--out', 'x.jpg'], '--out must end in .png'),
        (['curves', 'none', '--out', 'x.png'], 'no such folder'),
    ],
)
def test_refused(words, message, call):
    code, text = call(*words)
    assert code == 2
    assert message in text
    assert 'Traceback' not in text


def test_files_that_do_not_fit(files, call):
    words = ['detail', *named(files, 'images', 'pred'), '--out', files / 'x.png', '--cases', 'case_2']
    code, text = call(*words, '--classes', 'front')
    assert code == 2
    assert 'expected labels 0 to 1 (background, front), found 2' in text
    (files / 'pred' / 'case_2.nii.gz').rename(files / 'pred' / 'case_3.nii.gz')
    code, text = call(*words)
    assert code == 2
    assert 'a prediction of the case case_2' in text
    assert 'Did you mean' in text
    write_volume(Volume(np.ones((12, 9, 7), np.uint8), np.eye(4)), files / 'pred' / 'case_2.nii.gz')
    code, text = call(*words)
    assert code == 2
    assert 'the grid of its image' in text
    assert 'affines differ' in text
    assert not (files / 'x.png').exists()
