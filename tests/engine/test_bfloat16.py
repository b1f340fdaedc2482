"""Training in bfloat16 on the CPU, through the runner; compiled and checkpointed networks by config."""

from __future__ import annotations

import pytest
import torch

from mmseg_medical import apis
from mmseg_medical.datasets.phantoms import write_decathlon
from mmseg_medical.engine import BFloat16OptimWrapper
from mmseg_medical.errors import ConfigError

CONFIG = 'configs/rare_unet/unet3d_hippocampus_cpu.py'


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_decathlon(tmp_path_factory.mktemp('msd'), num_cases=4, size=(17, 16, 18))


def small(root, **options):
    cfg = apis.load_config(CONFIG)
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.num_workers, loader.persistent_workers = 0, False
        loader.dataset.update(data_root=str(root), split='train', split_file=None)
    cfg.allow_shared_images = True
    cfg.model.backbone.channels, cfg.model.decode_head.in_channels = (4, 8), 4
    for step in cfg.train_dataloader.dataset.pipeline:
        if step['type'] == 'RandomPatch':
            step['patch_size'] = (16, 16, 16)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.log_level = 'ERROR'
    for key, value in options.items():
        cfg[key] = value
    return cfg


def test_the_forward_pass_alone_is_rounded():
    layer = torch.nn.Conv3d(1, 2, 1)
    wrapper = BFloat16OptimWrapper(optimizer=torch.optim.SGD(layer.parameters(), lr=0.1))
    with wrapper.optim_context(layer):
        out = layer(torch.ones(1, 1, 2, 2, 2))
    assert out.dtype == torch.bfloat16
    before = layer.weight.detach().clone()
    wrapper.update_params(out.float().sum())
    assert layer.weight.dtype == torch.float32
    assert not torch.equal(layer.weight, before)
    assert layer(torch.ones(1, 1, 2, 2, 2)).dtype == torch.float32


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(compile=dict(backend='eager')),
        dict(activation_checkpointing=['backbone.encoders.0', 'backbone.decoders.0']),
    ],
    ids=['plain', 'compiled', 'checkpointed'],
)
def test_trains_and_tests(root, tmp_path, options):
    cfg = small(root, **options)
    runner = apis.train(cfg, work_dir=tmp_path)
    assert isinstance(runner.optim_wrapper, BFloat16OptimWrapper)
    assert (tmp_path / 'best_dice_iter_2.pth').is_file()
    assert all(torch.isfinite(p).all() for p in runner.model.parameters())
    if options:
        return
    out = tmp_path / 'test'
    scores = apis.test(cfg, tmp_path / 'iter_2.pth', out=out, show_dir=tmp_path / 'show', tta=True)
    assert 0 <= scores['dice'] <= 1
    assert 'hd95.Anterior' in scores
    assert len(list((out / 'predictions').glob('*.nii.gz'))) == 4
    assert len(list((tmp_path / 'show').glob('*.png'))) == 4
    assert 'hippocampus_001' in (out / 'report.html').read_text()


def test_float16_asks_for_a_gpu(root, tmp_path):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    with pytest.raises(ConfigError, match='On the CPU bfloat16 works'):
        apis.train(small(root, optim_wrapper=dict(type='AmpOptimWrapper')), work_dir=tmp_path)
