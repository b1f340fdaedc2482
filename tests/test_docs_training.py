"""Every line that docs/training.md offers trains a network."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch

from mmseg_medical import apis
from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import VISBACKENDS

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / 'tests' / 'tools'))
from phantom_config import write  # noqa: E402

TEXT = (ROOT / 'docs' / 'training.md').read_text()
SNIPPETS = dict(re.findall(r'^### (.+?)\n.*?```python\n(.*?)```', TEXT, re.DOTALL | re.MULTILINE))
PACKAGES = {'TensorBoard': 'tensorboard', 'Weights & Biases': 'wandb', 'MLflow': 'mlflow'}


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp('phantoms'), num_train=2, num_test=1)


def test_every_feature_is_there():
    assert len(SNIPPETS) == TEXT.count('\n### ') >= 11
    assert all(len(ast.parse(snippet).body) == 1 for snippet in SNIPPETS.values())


@pytest.mark.parametrize('title', SNIPPETS)
def test_snippet_trains(title, config, tmp_path, monkeypatch):
    path = tmp_path / 'inherits.py'
    path.write_text(f'_base_ = {str(config)!r}\n{SNIPPETS[title]}')
    options = {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 1, 'work_dir': str(tmp_path / 'w')}
    if 'AmpOptimWrapper' in SNIPPETS[title] and not torch.cuda.is_available():
        with pytest.raises(ConfigError, match='needs a GPU'):
            apis.train(path, cfg_options=options)
        return
    package = PACKAGES.get(title)
    if package and importlib.util.find_spec(package) is None:
        for backend in apis.load_config(path).visualizer.vis_backends:
            assert VISBACKENDS.get(backend.type)
        pytest.skip(f'{package} is not installed: only the names in the snippet were looked up')
    try:
        runner = apis.train(path, cfg_options=options)
    finally:
        torch.use_deterministic_algorithms(False)
    assert runner.iter == 2
    if title == 'TensorBoard':
        assert list((tmp_path / 'w').rglob('events.out.tfevents.*'))
    if title.startswith('Exponential'):
        assert 'ema_state_dict' in torch.load(tmp_path / 'w' / 'iter_2.pth', weights_only=False)
