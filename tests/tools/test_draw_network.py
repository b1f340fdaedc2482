from __future__ import annotations

import runpy
import sys

import pytest
from command import ROOT, run

TOOL = 'analysis_tools/draw_network.py'


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp('draw') / 'small.py'
    path.write_text(
        f"_base_ = ['{ROOT}/configs/_base_/models/hrnet_dcn.py']\n"
        "model = dict(backbone=dict(base_channels=8, blocks=[['dcn']] * 3), "
        'decode_head=dict(in_channels=(8, 16, 32, 64)))'
    )
    return path


def test_draws_the_network_of_a_config(small, tmp_path):
    out = tmp_path / 'new' / 'network.svg'
    done = run(TOOL, small, '--out', out, '--size', 33, 20)
    assert '21 boxes, 29 arrows' in done.stdout
    text = out.read_text()
    assert 'stages.2.branches.3' in text
    assert '33 × 20' in text


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (['--out', 'x.pdf'], '--out must end in .svg or .png, found x.pdf'),
        (['--out', 'x.svg', '--size', '1', '2', '3'], 'the size of an image is 2 positive numbers, got 1 2 3'),
        (['--out', 'x.svg', '--depth', '0'], 'depth must be positive, got 0'),
        (['--out', 'x.svg', '--cfg-options', 'model.backbone.base_channels=9'], 'channels'),
    ],
)
def test_what_cannot_be_drawn_ends_in_one_line_and_no_file(small, given, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['draw_network.py', str(small), *given])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / 'tools' / TOOL), run_name='__main__')
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert 'error: ' in error
    assert message in error
    assert 'Traceback' not in error
    assert not list(tmp_path.iterdir())


def test_no_such_config(tmp_path):
    done = run(TOOL, tmp_path / 'none.py', '--out', tmp_path / 'x.svg', fails=True)
    assert 'no config file' in done.stderr
    assert not list(tmp_path.iterdir())
