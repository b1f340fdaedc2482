"""The command lines that measure a data set, propose a config for it, and divide its cases."""

from __future__ import annotations

import json
import runpy
import sys
from contextlib import nullcontext

import cv2
import pytest
import torch
from command import ROOT, run
from mmengine.dataset import pseudo_collate

from mmseg_medical import apis
from mmseg_medical.datasets import MSDDataset
from mmseg_medical.datasets.phantoms import write_decathlon

TOOL = 'analysis_tools/fingerprint.py'
TASK = 'Task04_Hippocampus'


@pytest.fixture(scope='module')
def measured(tmp_path_factory):
    """A sound data set and what the tool wrote about it."""
    folder = tmp_path_factory.mktemp('sound')
    root = write_decathlon(folder / 'data', num_cases=5, size=(16, 20, 13), spacing_mm=(1, 1, 1.25), turned=True)
    done = run(TOOL, '--data-root', root, '--out', folder / 'out', '--jobs', 2, '--memory-gib', 2)
    return root, folder / 'out', done


def test_numbers_and_pictures(measured):
    _, out, done = measured
    assert '5 of 5 cases measured' in done.stdout
    found = json.loads((out / 'fingerprint.json').read_text())
    assert found['problems'] == []
    assert max(found['spacing_ras_mm']['max']) == 1.25
    assert set(found['classes']) == {'Anterior', 'Posterior'}
    assert found['proposal']['memory_gib'] == 2
    for name in ('sizes', 'class_volumes', 'intensities'):
        assert cv2.imread(str(out / f'{name}.png')).std() > 0


def test_the_proposed_config_learns_and_predicts(measured):
    _, out, _ = measured
    cfg = apis.load_config(out / 'proposed_config.py')
    train, val = apis.build_dataset(cfg, 'train'), apis.build_dataset(cfg, 'val')
    assert (len(train), len(val)) == (4, 1)
    model = apis.build_model(cfg).train()
    batch = model.data_preprocessor(pseudo_collate([train[0], train[1]]), training=True)
    loss, _ = model.parse_losses(model(**batch, mode='loss'))
    loss.backward()
    assert torch.isfinite(loss)
    sample = val[0]
    with torch.no_grad():
        (predicted,) = model.eval().test_step({key: [value] for key, value in sample.items()})
    assert predicted.pred_sem_seg.data.shape == predicted.gt_sem_seg.data.shape


@pytest.fixture
def call(monkeypatch, capsys):
    """Run a tool in this process: importing it anew would take most of the time."""

    def inside(tool: str, *arguments: object, code: int = 0) -> str:
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        with pytest.raises(SystemExit) if code else nullcontext() as stopped:
            runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
        assert not code or stopped.value.code == code
        return ''.join(capsys.readouterr())

    return inside


def test_a_data_set_of_a_config(measured, tmp_path, call):
    _, out, _ = measured
    text = call(TOOL, out / 'proposed_config.py', '--split', 'val', '--out', tmp_path)
    assert '1 of 1 cases measured' in text
    cfg = apis.load_config(tmp_path / 'proposed_config.py')
    assert len(apis.build_dataset(cfg, 'train')) == 4


def test_what_is_wrong_ends_with_1(tmp_path, call):
    root = write_decathlon(tmp_path / 'data', num_cases=3, size=(10, 9, 11))
    (root / TASK / 'imagesTr' / 'hippocampus_002.nii.gz').write_bytes(b'')
    text = call(TOOL, '--data-root', root, '--out', tmp_path / 'out', code=1)
    assert 'hippocampus_002: ' in text
    assert 'zero bytes' in text
    assert json.loads((tmp_path / 'out' / 'fingerprint.json').read_text())['num_measured'] == 2


def test_what_cannot_be_measured(tmp_path, call):
    assert 'give a config file or --data-root' in call(TOOL, code=2)
    assert '--memory-gib must be positive' in call(TOOL, '--data-root', tmp_path, '--memory-gib', 0, code=2)
    assert 'no such folder' in call(TOOL, '--data-root', tmp_path / 'none', code=2)
    root = write_decathlon(tmp_path, num_cases=0)
    assert 'name no img_path' in call(TOOL, '--data-root', root, '--out', tmp_path / 'out', code=2)
    assert not (tmp_path / 'out').exists()


def test_splits_are_written(measured, tmp_path, call):
    root, _, _ = measured
    tool, path = 'analysis_tools/make_splits.py', tmp_path / 'splits.json'
    assert 'fold 4: 4 train, 1 val' in call(tool, root, '--out', path)
    assert len(MSDDataset(str(root), split='val', split_file=str(path), fold=3)) == 1
    assert '3 train, 2 val' in call(tool, root, '--hold-out', 2, '--out', path)
    assert len(MSDDataset(str(root), split='train', split_file=str(path))) == 3
    assert 'cannot be divided into 6 folds' in call(tool, root, '--folds', 6, '--out', path, code=2)
