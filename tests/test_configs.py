"""Every config loads, its network builds and learns from one batch of phantoms that its own pipeline read."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_configs
import torch
from mmengine.dataset import pseudo_collate

from mmseg_medical import apis

ROOT = Path(__file__).parents[1]
# the spaces of sweeps are no configs
CONFIGS = sorted(path for path in (ROOT / 'configs').rglob('*.py') if 'spaces' not in path.parts)
LEAVES = [path for path in CONFIGS if '_base_' not in path.parts]
SIZES = (small_configs.PHOTOGRAPH, small_configs.VOLUME, small_configs.SLICE, small_configs.NODULE)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope='module')
def roots(tmp_path_factory) -> dict[str, str]:
    return small_configs.write_roots(tmp_path_factory.mktemp('data'))


def test_there_are_configs_to_test():
    assert ROOT / 'configs' / 'hacdr' / 'idrid.py' in LEAVES
    assert len(LEAVES) > 5


# a print takes a second, and ablations, which the next test loads, differ from others in a line or two
@pytest.mark.parametrize('path', [path for path in CONFIGS if 'ablations' not in path.parts], ids=name)
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


def skip_what_mmpretrain_has(cfg):
    if cfg.model.backbone.type == 'mmpretrain_backbone':
        pytest.importorskip('mmpretrain')
        pytest.importorskip('torchvision')


@pytest.mark.parametrize('path', LEAVES, ids=name)
def test_one_step_of_learning(path, roots, monkeypatch):
    monkeypatch.chdir(ROOT)
    cfg = apis.load_config(path)
    small_configs.shrink(cfg, roots)
    skip_what_mmpretrain_has(cfg)
    dataset = apis.build_dataset(cfg, 'train')
    model = apis.build_model(cfg)
    apis._init_quietly(model)
    model.train()
    batch = model.data_preprocessor(pseudo_collate([dataset[0], dataset[1]]), training=True)
    assert batch['inputs'].shape[2:] in SIZES
    loss, _ = model.parse_losses(model(**batch, mode='loss'))
    assert torch.isfinite(loss)
    assert loss > 0
    loss.backward()
    without = [key for key, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None]
    assert not without or cfg.get('find_unused_parameters'), f'no gradient reaches {without}'
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


# every network and every data set of slices, not every loss
PREDICTING = [
    *(ROOT / 'configs' / 'baselines').glob('*.py'),
    *(ROOT / 'configs' / 'hdc_hrnet').glob('*.py'),
    *(ROOT / 'configs' / 'hdc_hrnet' / 'ablations').glob('[hipr]*.py'),
    ROOT / 'configs' / 'hdc_hrnet' / 'ablations' / 'backbone_hrnet.py',
    *(ROOT / 'configs' / 'hippocampus').glob('unet2d*.py'),
]


@pytest.mark.parametrize('path', sorted(PREDICTING), ids=name)
def test_predicts_a_slice_of_any_size(path, roots, monkeypatch):
    monkeypatch.chdir(ROOT)
    cfg = apis.load_config(path)
    small_configs.shrink(cfg, roots)
    skip_what_mmpretrain_has(cfg)
    dataset = apis.build_dataset(cfg, 'test')
    model = apis.build_model(cfg).eval()
    with torch.no_grad():
        (sample,) = model.test_step(pseudo_collate([dataset[3]]))
    # labels are those of the file
    assert sample.pred_sem_seg.data.shape == sample.gt_sem_seg.data.shape
    assert 0 <= sample.pred_sem_seg.data.min() <= sample.pred_sem_seg.data.max() < len(dataset.metainfo['classes'])
