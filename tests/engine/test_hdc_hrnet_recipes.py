"""HDC-HRNet's configs: the numbers of the recipes (specification, section 7), sizes, and a run of the longest one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from mmseg_medical import apis
from mmseg_medical.datasets.phantoms import write_acdc
from mmseg_medical.registry import OPTIMIZERS, PARAM_SCHEDULERS

ACDC = dict(
    c=48, batch=8, interval=1, clip=1.0, classes=4, channels=3, weights=(0.1, 1.5, 1.5, 1.0), aux=(0.4, 0.3, 0.2, 0.1)
)
OTHER = dict(c=48, batch=8, interval=5, clip=None, classes=4, channels=3, weights=None, aux=())
RECIPES = {'acdc': ACDC, 'mnms': OTHER, 'synapse': {**OTHER, 'classes': 14}}
RECIPES['brats'] = {**OTHER, 'c': 32, 'batch': 4, 'channels': 4}


@pytest.mark.parametrize('name', RECIPES)
def test_recipe(name):
    cfg, want = apis.load_config(f'configs/hdc_hrnet/{name}.py'), RECIPES[name]
    backbone, head = cfg.model.backbone, cfg.model.decode_head
    assert (backbone.type, backbone.base_channels, backbone.in_channels) == ('HRNetDCN', want['c'], want['channels'])
    assert backbone.get('stem', 'full') == 'full'
    assert head.type == 'AggregateHead'  # no refinement of points
    assert head.get('implicit') is None
    assert (head.num_classes, tuple(head.supervision_weights)) == (want['classes'], want['aux'])
    assert head.loss_decode.type == 'HDCHRNetLoss'
    assert head.loss_decode.get('class_weight') == want['weights']
    assert [hook.type for hook in cfg.custom_hooks] == ['LossEpochHook']
    assert cfg.train_dataloader.batch_size == want['batch']
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (150, want['interval'])
    assert dict(cfg.optim_wrapper.optimizer) == dict(type='AdamW', lr=1e-4, weight_decay=1e-5)
    assert cfg.optim_wrapper.get('clip_grad', {}).get('max_norm') == want['clip']


@pytest.mark.parametrize('name', RECIPES)
def test_best_checkpoints_and_end(name):
    hooks = apis.load_config(f'configs/hdc_hrnet/{name}.py').default_hooks
    best = hooks.checkpoint
    if name == 'acdc':
        assert (best.save_best, best.rule) == (['dice', 'hd95', 'balanced'], ['greater', 'less', 'greater'])
        assert hooks.early_stopping.type == 'NoNewBestHook'
        assert hooks.early_stopping.patience == 30
        assert dict(hooks.early_stopping.monitors) == dict(zip(best.save_best, best.rule, strict=True))
    else:
        assert (best.save_best, best.rule) == ('dice', 'greater')
        assert 'early_stopping' not in hooks


@pytest.mark.parametrize('name', [*RECIPES, 'acdc_resnet34_large'])
def test_learning_rate_of_every_epoch(name):
    cfg = apis.load_config(f'configs/hdc_hrnet/{name}.py')
    optimizer = OPTIMIZERS.build(dict(cfg.optim_wrapper.optimizer, params=[nn.Parameter(torch.zeros(1))]))
    scheduler = PARAM_SCHEDULERS.build(dict(cfg.param_scheduler), default_args=dict(optimizer=optimizer))
    assert scheduler.by_epoch
    rates = []
    for _ in range(cfg.train_cfg.max_epochs):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    wanted = [1e-6 + 0.5 * 9.9e-5 * (1 + math.cos(math.pi * epoch / 150)) for epoch in range(150)]
    assert rates == pytest.approx(wanted, rel=1e-9)
    assert (rates[0], rates[75]) == pytest.approx((1e-4, 5.05e-5), rel=1e-9)
    assert optimizer.param_groups[0]['lr'] == pytest.approx(1e-6, rel=1e-9)


# sections 1.11 and 10; the standard stem has 19,360 parameters more than the full one, supervision as given
FULL = 19_360
PARAMETERS = {
    'acdc': 17_448_444 + 2_896,
    'mnms': 17_448_444,
    'brats': 8_326_972,
    'synapse': 17_455_654,
    'ablations/width_32': 8_326_684 + 1_936,
    'ablations/width_64': 29_978_076 + 3_856,
    'ablations/stem_standard': 17_467_804 + 2_896,
    'ablations/blocks_basic': 12_694_372 - FULL + 2_896,
    'ablations/blocks_dcn': 8_672_266 - FULL + 2_896,
    'ablations/blocks_hybrid': 16_200_064 - FULL + 2_896,
    'ablations/blocks_hybrid_points': 16_200_064 - FULL + 2_896 + 109_828,
    'ablations/points_released': 17_448_444 + 2_896 + 109_828,
    'ablations/implicit_shearlet': 17_448_444 + 2_896 + 643_084 + 1,
    'ablations/supervision_none': 17_448_444,
    'ablations/head_constellation': 17_448_444 - 2_884 + 2_896 + 2_334_243,
}


@pytest.mark.parametrize('name', PARAMETERS)
def test_number_of_parameters(name):
    with torch.device('meta'):
        model = apis.build_model(apis.load_config(f'configs/hdc_hrnet/{name}.py'))
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


def test_dilations_and_blocks():
    """Of the first stream of each stage; the released pyramid is that of stages with three blocks or more."""
    found = {}
    for name in ('acdc', 'ablations/dilation_none', 'ablations/dilation_readme', 'ablations/blocks_hybrid'):
        with torch.device('meta'):
            model = apis.build_model(apis.load_config(f'configs/hdc_hrnet/{name}.py'))
        stages = [stage.branches[0] for stage in model.backbone.stages]
        found[name] = [
            [block.conv.dilation[0] for block in blocks if type(block).__name__ == 'DeformableBlock']
            for blocks in stages
        ]
    pyramid = [1, 2, 4, 8, 16, 32]
    assert found['acdc'] == [[1, 1], pyramid[:4], pyramid]
    assert found['ablations/dilation_none'] == [[1] * 2, [1] * 4, [1] * 6]
    assert found['ablations/dilation_readme'] == [pyramid[:2], pyramid[:4], pyramid]
    assert found['ablations/blocks_hybrid'] == [[1], [2, 8], [2, 8, 32]]


def test_every_ablation_is_an_experiment_of_its_own():
    texts = {}
    for path in [Path('configs/hdc_hrnet/acdc.py'), *Path('configs/hdc_hrnet/ablations').glob('*.py')]:
        cfg = apis.load_config(path)
        key = cfg.model, cfg.train_dataloader, cfg.get('custom_hooks')
        same = [other for other, found in texts.items() if found == key]
        assert not same, f'{path.name} trains what {same[0]} trains'
        texts[path.name] = key
    assert len(texts) > 30


def test_released_preprocessing():
    cfg = apis.load_config('configs/hdc_hrnet/acdc_released.py')
    for part, steps in (('train', cfg.train_pipeline), ('test', cfg.test_pipeline)):
        assert cfg[f'{part}_dataloader'].dataset.pipeline == steps
        assert [step.type for step in steps] == ['LoadSlice', 'PackSliceInputs']
        prepared = {step.pop('type'): step for step in steps[0].pipeline}
        assert prepared['ResampleInPlane'] == dict(size=(224, 224))
        assert prepared['NormalizeIntensity'] == dict(mode='zscore', percentiles=(0.5, 99.5))
        # labels move along in training and stay on the grid of the file in tests
        assert list(prepared).index('LoadCaseAnnotations') == (1 if part == 'train' else 3)


def test_a_run_on_phantoms(tmp_path):
    """Two epochs that keep three best checkpoints and log what they were chosen by."""
    root = write_acdc(tmp_path / 'acdc', 1, 1, size=(24, 28, 3))
    options = {
        'model.backbone.base_channels': 8,
        'model.backbone.blocks': [['basic']] * 3,
        'model.decode_head.in_channels': (8, 16, 32, 64),
        'model.data_preprocessor.size': (16, 16),
        'train_cfg.max_epochs': 2,
        'log_level': 'ERROR',
        'train_dataloader.dataset.pipeline.1.patch_size': (16, 16),
        'train_dataloader.batch_size': 3,
    }
    for part in ('train', 'val', 'test'):
        loader = f'{part}_dataloader'
        options |= {f'{loader}.num_workers': 0, f'{loader}.persistent_workers': False}
        options |= {f'{loader}.dataset.data_root': str(root), f'{loader}.dataset.split_file': None}
        options |= {f'{loader}.dataset.split': 'train' if part == 'train' else 'test'}
        options |= {f'{loader}.dataset.pipeline.0.store_dir': str(tmp_path / 'store')}
    runner = apis.train('configs/hdc_hrnet/acdc.py', work_dir=tmp_path / 'run', cfg_options=options)
    assert runner.epoch == 2
    assert runner.model.decode_head.loss_decode.ramp == 0  # told the epoch
    kept = {path.name.split('_epoch')[0] for path in Path(tmp_path / 'run').glob('best_*.pth')}
    assert kept == {'best_dice', 'best_hd95', 'best_balanced'}
    rows = [json.loads(line) for path in tmp_path.rglob('scalars.json') for line in path.read_text().splitlines()]
    validated = [row for row in rows if 'balanced' in row]
    assert len(validated) == 2
    for row in validated:
        assert row['balanced'] == pytest.approx(row['dice'] - 0.1 * min(row['hd95'], 100), abs=1e-6)
