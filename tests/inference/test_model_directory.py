"""Model directories: what they keep, that they are checked, and that reading one runs nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from tiny_volume_model import image, work_dir

from mmseg_medical.errors import CheckpointError, ConfigError
from mmseg_medical.inference import Predictor, export_model_directory, load_model_directory
from mmseg_medical.inference.loading import load_from_checkpoints
from mmseg_medical.inference.model_card import CardFacts, metrics_text
from mmseg_medical.inference.stored_config import check_safe, decode, encode, portable

pytest.importorskip('safetensors')


@pytest.fixture(scope='module')
def work(tmp_path_factory) -> Path:
    return work_dir(tmp_path_factory.mktemp('m') / 'work', networks=2)


def export(work: Path, out: Path, networks: int = 1, **options) -> Path:
    files = [work / f'epoch_{number}.pth' for number in range(1, networks + 1)]
    return export_model_directory(load_from_checkpoints(work / 'tiny.py', files), out, **options)


@pytest.mark.parametrize('networks', [1, 2])
def test_it_predicts_what_config_and_checkpoints_do(networks, work, tmp_path):
    folder = export(work, tmp_path / 'model', networks)
    files = [work / f'epoch_{number}.pth' for number in range(1, networks + 1)]
    given = Predictor(work / 'tiny.py', files).predict(image(), probabilities=True)
    found = Predictor(folder).predict(image(), probabilities=True)
    np.testing.assert_array_equal(found.probabilities.array, given.probabilities.array)
    assert found.names == ('background', 'Anterior', 'Posterior')
    assert not list(tmp_path.glob('.*'))


def test_half_precision_is_smaller_and_near(work, tmp_path):
    full, half = export(work, tmp_path / 'full'), export(work, tmp_path / 'half', half=True)
    sizes = [(folder / 'weights.safetensors').stat().st_size for folder in (full, half)]
    assert sizes[1] < 0.8 * sizes[0]
    modes = {file.stat().st_mode for file in half.iterdir()}
    assert len(modes) == 1  # who may read the config may read the weights
    values = [Predictor(folder).predict(image(), probabilities=True).probabilities.array for folder in (full, half)]
    np.testing.assert_allclose(values[0], values[1], atol=0.01)
    ((_, weights),) = load_model_directory(half).weights
    assert {value.dtype for value in weights.values() if value.ndim == 1} == {torch.float32}


def test_what_it_says_of_itself(work, tmp_path):
    folder = export(work, tmp_path / 'model', card=CardFacts(licence='CC0', metrics='| a |'))
    facts = json.loads((folder / 'model.json').read_text())
    assert facts['labels'] == {'0': 'background', '1': 'Anterior', '2': 'Posterior'}
    assert [step['type'] for step in facts['preprocessing']] == [
        *('LoadVolume', 'ReorientVolume', 'NormalizeIntensity', 'PackVolumeInputs'),
    ]
    assert set(facts['sha256']) == {'config.json', 'weights.safetensors'}
    card = (folder / 'README.md').read_text()
    assert '| licence | CC0 |' in card
    assert '| iterations | not stated |' in card
    assert 'MSDDataset, Task04_Hippocampus' in card
    assert 'Intended use: not stated.' in card
    assert '/somewhere' not in (folder / 'config.json').read_text()


def test_tampered_weights_and_missing_files(work, tmp_path):
    folder = export(work, tmp_path / 'model')
    path = folder / 'weights.safetensors'
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match='not the file that was exported'):
        Predictor(folder)
    path.unlink()
    with pytest.raises(CheckpointError, match=r'weights\.safetensors is missing'):
        Predictor(folder)


def _change(folder: Path, name: str, change) -> None:
    """Change a JSON file of a model directory as an attacker would, checksum included."""
    contents = json.loads((folder / name).read_text())
    change(contents)
    (folder / name).write_text(json.dumps(contents))
    if name != 'model.json':
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        _change(folder, 'model.json', lambda facts: facts['sha256'].update({name: digest}))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda facts: facts.pop('weights'), 'damaged'),
        (lambda facts: facts.update(weights=['../w.safetensors']), 'damaged'),
        (lambda facts: facts.update(format='mmseg_medical.model/9'), 'update mmseg-medical'),
        (lambda facts: facts.update(format='other'), 'damaged'),
    ],
)
def test_damaged_descriptions(change, message, work, tmp_path):
    folder = export(work, tmp_path / 'model')
    _change(folder, 'model.json', change)
    with pytest.raises((CheckpointError, ConfigError), match=message):
        Predictor(folder)


def test_weights_that_are_no_safetensors(work, tmp_path):
    folder = export(work, tmp_path / 'model')
    path = folder / 'weights.safetensors'
    path.write_bytes(b'nothing')
    digest = hashlib.sha256(b'nothing').hexdigest()
    _change(folder, 'model.json', lambda facts: facts['sha256'].update({path.name: digest}))
    with pytest.raises(CheckpointError, match='as safetensors'):
        Predictor(folder)


@pytest.mark.parametrize(
    'change',
    [
        lambda config: config['model'].update(backbone={'type': 'os.system', 'command': 'touch {marker}'}),
        lambda config: config['model'].update(backbone={'type': 'mmengine.load', 'file': 'x.pkl'}),
        lambda config: config['model'].update(_scope_='evil'),
        lambda config: config['model'].update(pretrained='weights.pth'),
        lambda config: config.update(custom_imports={'imports': ['evil']}),
        lambda config: config.update(default_scope='evil'),
        lambda config: config['test_dataloader']['dataset']['pipeline'].append({'type': 'builtins.exec'}),
        lambda config: config['model']['test_cfg'].update(extra=[{'type': 'antigravity'}]),
    ],
)
def test_a_config_that_would_run_code_is_refused(change, work, tmp_path):
    folder = export(work, tmp_path / 'model')
    _change(folder, 'config.json', change)
    with pytest.raises(ConfigError, match='could run code'):
        Predictor(folder)


def test_every_config_of_the_house_passes_its_own_check():
    for path in ('configs/rare_unet/unet3d_hippocampus_cpu.py', 'configs/rare_unet/hippocampus.py'):
        check_safe(decode(encode(portable(Config.fromfile(path).to_dict()))))


def test_json_keeps_tuples_and_keys():
    config = {'a': (1, (2.5, None)), 'b': {1: 'x', 2: [True]}, 'tuple': [{'items': 3}], 'c': {'tuple': (1,)}}
    assert decode(json.loads(json.dumps(encode(config)))) == config
    with pytest.raises(ConfigError, match=r'model\.type of the config'):
        encode({'model': {'type': torch.nn.Linear}})


def test_places_of_this_machine_stay_here():
    config = {'data_root': '/data', 'a': {'split_file': 'x.json', 'file': '/home/me/b.json'}, 'work_dir': 'w'}
    assert portable(config) == {'a': {'file': 'b.json'}}


def test_a_folder_in_use_is_not_written_over(work, tmp_path):
    folder = export(work, tmp_path / 'model')
    with pytest.raises(ConfigError, match='--overwrite'):
        export(work, folder)
    export(work, folder, networks=2, overwrite=True)
    assert (folder / 'weights_2.safetensors').is_file()
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'precious').touch()
    with pytest.raises(ConfigError, match='does not exist'):
        export(work, tmp_path / 'other', overwrite=True)
    with pytest.raises(ConfigError, match='no model directory'):
        Predictor(tmp_path / 'nowhere')
    with pytest.raises(ConfigError, match='no checkpoint'):
        Predictor(folder, work / 'epoch_1.pth')


def test_metrics_of_the_card(tmp_path):
    path = tmp_path / 'metrics.json'
    assert metrics_text(path) == ''
    path.write_text(json.dumps({'summary': {'Anterior': {'dice': {'mean': 0.89123}, 'hd95': {'mean': None}}}}))
    assert metrics_text(path).splitlines()[-1] == '| Anterior | dice | 0.8912 |'
    path.write_text(json.dumps({'metrics': {'AUPR.EX': 61.25, 'mAUPR': None}}))
    assert metrics_text(path).splitlines()[2:] == ['| all | AUPR.EX | 61.25 |']
