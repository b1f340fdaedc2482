"""The command line that shows how much of each class training samples contain."""

import json
import runpy
import sys

import numpy as np
import pytest
from mmengine.dataset import BaseDataset

from mmseg_medical.datasets.samplers import seed_sample
from mmseg_medical.registry import DATASETS

TOOL = 'tools/analysis_tools/class_exposure.py'
CONFIG = """
default_scope = 'mmseg_medical'
randomness = dict(seed=3)
train_dataloader = dict(dataset=dict(type='BallsInBoxes', pipeline=[
    dict(type='LoadVolume'), dict(type='LoadVolumeAnnotations'),
    dict(type='RandomPatch', patch_size=(8, 8, 8), foreground_prob=0.5), dict(type='PackVolumeInputs')]))
"""


@DATASETS.register_module(force=True)
class BallsInBoxes(BaseDataset):
    METAINFO = dict(classes=('background', 'box', 'ball'))  # noqa: RUF012 - mmengine's way

    def load_data_list(self):
        label = np.zeros((20, 20, 20), np.uint8)
        label[2:14, 2:14, 2:14] = 1
        label[17:19, 17:19, 17:19] = 2
        return [dict(volume=np.zeros(label.shape), label_volume=label, case_id=str(k)) for k in range(3)]

    def prepare_data(self, idx):
        seed_sample(idx)
        return super().prepare_data(idx)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(CONFIG)

    def run_tool(*arguments):
        monkeypatch.setattr(sys, 'argv', [TOOL, str(config), *map(str, arguments)])
        runpy.run_path(TOOL, run_name='__main__')
        return capsys.readouterr().out

    return run_tool


def test_table_and_file(run, tmp_path):
    printed = run('--samples', 40, '--out', tmp_path / 'out.json')
    found = json.loads((tmp_path / 'out.json').read_text())
    assert found['classes'] == ['background', 'box', 'ball']
    assert found['samples'] == 40
    assert sum(found['asked']) + found['asked_for_none'] == 40
    for text in ('40 samples of 3 cases', 'ball', f'drawn anywhere: {found["asked_for_none"]} of 40'):
        assert text in printed


def test_number_of_samples(run, capsys):
    with pytest.raises(SystemExit, match=r'^2$'):
        run('--samples', 0)
    assert '--samples must be positive' in capsys.readouterr().err
