"""The command lines of the converters and of the class counter, and the base configurations."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg_medical.datasets import DDRDataset, IDRiDDataset
from mmseg_medical.datasets.phantoms import write_ddr, write_idrid
from mmseg_medical.registry import DATASETS

SIZE = (48, 64)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a tool in this process, as python would from the command line; gives what it printed."""

    def run_tool(path, *arguments):
        monkeypatch.syspath_prepend(str(Path(path).parent))
        monkeypatch.setattr(sys, 'argv', [path, *map(str, arguments)])
        runpy.run_path(path, run_name='__main__')
        return capsys.readouterr().out

    return run_tool


@pytest.fixture(scope='module')
def idrid(tmp_path_factory):
    return write_idrid(tmp_path_factory.mktemp('idrid'), 2, 1, SIZE)


@pytest.fixture(scope='module')
def ddr(tmp_path_factory):
    return write_ddr(tmp_path_factory.mktemp('ddr'), 1, 1, 1, SIZE)


def test_idrid_converter(run, idrid, tmp_path):
    printed = run(
        'tools/dataset_converters/idrid.py', idrid, tmp_path / 'out', '--overlap-order', 'MA', 'SE', 'HE', 'EX'
    )
    assert 'pixels that two lesions share' in printed
    assert len(IDRiDDataset(tmp_path / 'out')) == 2
    assert json.loads((tmp_path / 'out/conversion.json').read_text())['overlap_order'][-1] == 'EX'


def test_ddr_converter(run, ddr, tmp_path):
    run(
        'tools/dataset_converters/ddr.py',
        ddr,
        tmp_path / 'out',
        '--size',
        40,
        32,
        '--preprocess',
        'crop_resize_enhance',
    )
    assert json.loads((tmp_path / 'out/conversion.json').read_text())['field_of_view'] == 'crop_resize_enhance'
    assert len(DDRDataset(tmp_path / 'out', 'trainval')) == 2


def test_converter_error_is_one_message(run, tmp_path, capsys):
    with pytest.raises(SystemExit, match=r'^2$'):
        run('tools/dataset_converters/idrid.py', tmp_path / 'nowhere', tmp_path / 'out')
    assert 'error: ' in (message := capsys.readouterr().err)
    assert 'nowhere: expected the folder of IDRiDDataset' in message
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('tool', ['idrid', 'ddr'])
def test_converter_help(run, tool, capsys):
    with pytest.raises(SystemExit, match=r'^0$'):
        run(f'tools/dataset_converters/{tool}.py', '--help')
    assert '--debug' in capsys.readouterr().out


COUNT = 'tools/analysis_tools/class_statistics.py'


def test_class_statistics(run, idrid, tmp_path):
    out = tmp_path / 'a new folder' / 'counts.json'
    options = ['--cfg-options', f'data_root={idrid}']
    run(COUNT, 'configs/hacdr/idrid.py', '--scale', 32, 24, '--out', out, *options)
    found = json.loads(out.read_text())
    assert found['scale'] == [32, 24]
    assert found['dataset'] == "IDRiDDataset split 'train'"
    assert sum(found['counts']) == 2 * 32 * 24
    assert found['classes'] == ['background', 'EX', 'MA', 'SE', 'HE']
    assert [file.name for file in out.parent.iterdir()] == ['counts.json']
    run(COUNT, 'configs/hacdr/idrid.py', '--split', 'test', '--out', out, *options)
    assert sum(json.loads(out.read_text())['counts']) == SIZE[0] * SIZE[1]


def test_class_statistics_of_a_part_through_options(run, ddr):
    options = [f'data_root={ddr}', 'train_dataloader.dataset.split=valid']
    printed = run(
        COUNT, 'configs/hacdr/ddr.py', '--scale', 8, 8, '--field-of-view', 'crop_resize', '--cfg-options', *options
    )
    assert "DDRDataset split 'valid', 1 images" in printed


def test_class_statistics_of_a_data_set_of_the_user(run, idrid, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / 'my_clinic.py').write_text(
        'from mmseg_medical.datasets import IDRiDDataset\n'
        'from mmseg_medical.registry import DATASETS\n'
        '@DATASETS.register_module(force=True)\n'
        'class MyClinic(IDRiDDataset):\n'
        '    pass\n'
    )
    (tmp_path / 'config.py').write_text(
        "custom_imports = dict(imports=['my_clinic'])\n"
        f"train_dataloader = dict(dataset=dict(type='MyClinic', data_root={str(idrid)!r}))\n"
    )
    assert "MyClinic split 'train', 2 images" in run(COUNT, tmp_path / 'config.py')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['configs/hacdr/idrid.py', '--out', '{file}/counts.json'], 'counts.json cannot be written ('),
        (['configs/hacdr/idrid.py', '--out', '{folder}'], 'is a folder: name a file'),
        (['configs/hacdr/idrid.py', '--field-of-view', 'crop_resize'], 'give a scale'),
        (['configs/hacdr/demo.py', '--split', 'val'], 'the config has no val_dataloader'),
        (['{folder}/plain.py'], 'train_dataloader.dataset is a ConcatDataset; only a FundusLesionDataset'),
        (['{folder}/nothing.py'], 'no config file'),
    ],
)
def test_class_statistics_errors(run, idrid, tmp_path, capsys, arguments, message):
    (tmp_path / 'file').write_text('')
    part = dict(type='IDRiDDataset', data_root='')
    (tmp_path / 'plain.py').write_text(
        f"data_root = ''\ntrain_dataloader = dict(dataset=dict(type='ConcatDataset', datasets=[{part}]))\n"
    )
    places = dict(file=tmp_path / 'file', folder=tmp_path)
    with pytest.raises(SystemExit, match=r'^2$'):
        run(COUNT, *(word.format(**places) for word in arguments), '--cfg-options', f'data_root={idrid}')
    assert message in capsys.readouterr().err


def test_benchmark_records_how_it_was_called(idrid, tmp_path):
    # a process of its own: it binds itself to one core
    words = ['--data-root', str(idrid), '--images', '1', '--repeats', '1', '--out', str(tmp_path / 'times.json')]
    subprocess.run([sys.executable, 'benchmarks/data_loading.py', *words], check=True, capture_output=True, timeout=300)
    found = json.loads((tmp_path / 'times.json').read_text())
    assert found['arguments'] == dict(data_root=str(idrid), images=1, repeats=1, out=str(tmp_path / 'times.json'))


@pytest.mark.parametrize('target', ['multiclass', 'multilabel'])
@pytest.mark.parametrize(
    ('name', 'native', 'size'), [('idrid_960x1440', SIZE, (960, 1280)), ('ddr_1280x1280', None, (1280, 1280))]
)
def test_base_configurations(idrid, ddr, name, native, size, target):
    init_default_scope('mmseg_medical')
    cfg = Config.fromfile(f'configs/_base_/datasets/{name}.py')
    root = str(idrid if name.startswith('idrid') else ddr)
    channels = 1 if target == 'multiclass' else 4

    def first(loader, **changes):
        return DATASETS.build({**loader.dataset, 'data_root': root, 'target': target, **changes})[0]

    train = first(cfg.train_dataloader)
    assert train['data_samples'].gt_sem_seg.data.shape == (channels, *train['inputs'].shape[1:])
    assert all(found <= limit for found, limit in zip(train['inputs'].shape[1:], cfg.crop_size, strict=True))
    test = first(cfg.test_dataloader)
    assert test['inputs'].shape == (3, *size)
    assert test['data_samples'].gt_sem_seg.data.shape == (channels, *test['data_samples'].ori_shape)
    assert ('crop_box' in test['data_samples']) == name.startswith('ddr')
    tta = first(cfg.test_dataloader, pipeline=cfg.tta_pipeline)
    assert [sample.flip_direction for sample in tta['data_samples']] == [None, 'horizontal', 'vertical']
    assert (tta['inputs'][1].flip(-1) == tta['inputs'][0]).all()
    assert (tta['inputs'][2].flip(-2) == tta['inputs'][0]).all()
