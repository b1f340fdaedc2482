"""Every config loads, its network builds and learns from one batch of phantoms that its own pipeline read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.dataset import pseudo_collate

from mmseg_medical import apis
from mmseg_medical.datasets.phantoms import write_ddr, write_decathlon, write_idrid

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / 'configs').rglob('*.py'))
LEAVES = [path for path in CONFIGS if '_base_' not in path.parts]
SIZE = (64, 96)
VOLUME = (32, 64, 32)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope='module')
def roots(tmp_path_factory) -> dict[str, str]:
    """Data set class to folder; the names of the photographs are those of the real data, as far as splits need them."""
    folder = tmp_path_factory.mktemp('data')
    write_idrid(folder / 'idrid', num_train=54, num_test=2, size=(48, 72))
    write_ddr(folder / 'ddr', size=(48, 72))
    for task in ('Task01_BrainTumour', 'Task04_Hippocampus'):
        write_decathlon(folder / 'msd', task, num_cases=2, size=(18, 20, 17))
    return {
        'IDRiDDataset': str(folder / 'idrid'),
        'DDRDataset': str(folder / 'ddr'),
        'MSDDataset': str(folder / 'msd'),
    }


def shrink(node: Any, roots: dict[str, str]) -> None:
    """Small images and crops, and the phantoms' folder, wherever a config names a size or a folder."""
    if isinstance(node, dict):
        if node.get('type') in ('CropOrPadVolume', 'RandomPatch'):
            node['size' if 'size' in node else 'patch_size'] = VOLUME
        if node.get('type') == 'RAREUNet':
            node['target_size'] = VOLUME
        if node.get('type') == 'MSDDataset':  # the lists name the real cases
            node['split'], node['split_file'] = 'train', None
        photograph = node.get('type') != 'CropOrPadVolume'
        for key, small in (('scale', SIZE[::-1]), ('crop_size', SIZE), ('size', SIZE)):
            if photograph and node.get(key) is not None and not isinstance(node[key], dict):
                node[key] = small
        if node.get('type') in roots:
            node['data_root'] = roots[node['type']]
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else []:
        shrink(child, roots)


def test_there_are_configs_to_test():
    assert ROOT / 'configs' / 'hacdr' / 'idrid.py' in LEAVES
    assert len(LEAVES) > 5


@pytest.mark.parametrize('path', CONFIGS, ids=name)
def test_loads_and_prints(path):
    assert apis.load_config(path).pretty_text


@pytest.mark.parametrize('path', LEAVES, ids=name)
def test_is_a_whole_experiment(path):
    cfg = apis.load_config(path)
    assert cfg.default_scope == 'mmseg_medical'
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper'):
        assert cfg.get(key), key
    for part in ('val', 'test'):
        assert len({cfg.get(f'{part}_{key}') is None for key in ('dataloader', 'cfg', 'evaluator')}) == 1
    # what learns from all images has none to test on, and says how files are predicted
    assert cfg.test_dataloader is not None or cfg.predict_pipeline


@pytest.mark.parametrize('path', LEAVES, ids=name)
def test_one_step_of_learning(path, roots, monkeypatch):
    monkeypatch.chdir(ROOT)
    cfg = apis.load_config(path)
    for key in ('model', 'train_dataloader'):
        shrink(cfg[key], roots)
    dataset = apis.build_dataset(cfg, 'train')
    model = apis.build_model(cfg)
    apis._init_quietly(model)
    model.train()
    batch = model.data_preprocessor(pseudo_collate([dataset[0], dataset[1]]), training=True)
    assert batch['inputs'].shape[2:] in (SIZE, VOLUME)
    loss, _ = model.parse_losses(model(**batch, mode='loss'))
    assert torch.isfinite(loss)
    assert loss > 0
    loss.backward()
    without = [key for key, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None]
    assert not without or cfg.get('find_unused_parameters'), f'no gradient reaches {without}'
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
