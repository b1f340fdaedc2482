"""The README's code does what it says."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from conftest import ROOT

from mmseg_medical import apis
from mmseg_medical.datasets.phantoms import write_idrid

README = (ROOT / 'README.md').read_text()
SNIPPETS = re.findall(r'```python\n(.*?)```', README, re.DOTALL)
CONFIGS = dict(re.findall(r'    # (configs/\S+\.py)\n((?:    .*\n)+)', README))


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """Write a snippet as the module its config imports, and the config beside ours."""

    def write(name: str, module: str, snippet: str):
        (tmp_path / f'{module}.py').write_text(snippet)
        monkeypatch.setattr(sys, 'path', [path for path in sys.path if path])
        monkeypatch.chdir(tmp_path)
        config = CONFIGS[name].replace('    ', '', 1).replace('\n    ', '\n')
        path = tmp_path / 'configs' / name.removeprefix('configs/')
        shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
        path.write_text(config)
        return path

    yield write
    for module in ('clinic_dataset', 'plain_pyramid'):
        sys.modules.pop(module, None)


@pytest.mark.parametrize(
    ('name', 'module', 'number'),
    [('configs/clinic.py', 'clinic_dataset', 0), ('configs/plain_pyramid.py', 'plain_pyramid', 1)],
)
def test_tools_find_the_modules(user_module, tmp_path, name, module, number):
    user_module(name, module, SNIPPETS[number])
    tool = [sys.executable, str(ROOT / 'tools' / 'print_config.py'), name]
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    done = subprocess.run(tool, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert module in done.stdout


def test_snippets_keep_to_thirty_lines():
    assert len(SNIPPETS) == len(CONFIGS) == 2
    assert all(len(snippet.strip().splitlines()) <= 30 for snippet in SNIPPETS)


def test_data_set(user_module, tmp_path):
    config = user_module('configs/clinic.py', 'clinic_dataset', SNIPPETS[0])
    write_idrid(tmp_path / 'phantoms', num_train=2, num_test=1, size=(96, 128), seed=0)
    for part in ('train', 'test'):
        official = 'a. Training Set' if part == 'train' else 'b. Testing Set'
        for path in (tmp_path / 'phantoms').rglob(f'{official}/*.jpg'):
            (tmp_path / 'clinic' / part / 'images').mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / 'clinic' / part / 'images')
        for lesion in ('EX', 'MA', 'SE', 'HE'):
            folder = tmp_path / 'clinic' / part / 'masks' / lesion
            folder.mkdir(parents=True)
            for path in (tmp_path / 'phantoms').rglob(f'{official}/*/*_{lesion}.tif'):
                shutil.copy(path, folder / f'{path.stem.removesuffix(f"_{lesion}")}.tif')
    cfg = apis.load_config(config)
    from mmengine.registry import init_default_scope

    from mmseg_medical.registry import DATASETS

    init_default_scope('mmseg_medical')
    for loader, cases in ((cfg.train_dataloader, 2), (cfg.test_dataloader, 1)):
        dataset = DATASETS.build(dict(loader.dataset, data_root=str(tmp_path / 'clinic')))
        assert len(dataset) == cases
        sample = dataset[0]
        assert sample['inputs'].dtype == torch.uint8
        assert sample['data_samples'].gt_sem_seg.data.unique().numel() > 1


def test_backbone(user_module):
    config = user_module('configs/plain_pyramid.py', 'plain_pyramid', SNIPPETS[1])
    model = apis.init_model(config)
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 64, 96), mode='tensor').shape == (1, 5, 16, 24)
