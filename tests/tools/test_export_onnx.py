from __future__ import annotations

from pathlib import Path

import pytest
from command import run
from phantom_config import write

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp('phantoms'))


def test_help():
    text = run('export_onnx.py', '--help').stdout
    assert 'usage:' in text
    assert '--form' in text


@pytest.mark.parametrize('options', [[], ['--shape', 33, 49, '--form', 'grid_sample', '--raw']])
def test_export(config, options, tmp_path):
    out = tmp_path / 'a folder' / 'net.onnx'
    done = run('export_onnx.py', config, '--out', out, *options)
    assert '100.0000% of pixels decided alike' in done.stdout
    assert 'Warning' not in done.stderr
    model = onnx.load(out)
    sides = [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
    assert sides == ([1, 3, 33, 49] if options else [1, 3, 64, 96])
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told['config'] == 'narrow.py'
    assert told['checkpoint'] == 'none: random'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--form', 'gridsample'], 'Did you mean grid_sample'),
        (['--form', 'grid_sample', '--dynamic'], 'cannot be dynamic'),
        (['--tolerance', '0'], 'is not written'),
        (['--cfg-options', 'model.data_preprocessor.size=None'], 'give --shape H W'),
    ],
)
def test_mistakes_end_in_one_message(config, options, message, tmp_path):
    done = run('export_onnx.py', config, '--out', tmp_path / 'net.onnx', *options, fails=True)
    assert done.stderr.count('error:') == 1
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
