"""RARE-UNet's recipe on phantoms: plateau, early stopping and best checkpoint follow the scales; four scales tested."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.runner import EpochBasedTrainLoop

from mmseg_medical import apis
from mmseg_medical.datasets.phantoms import write_decathlon
from mmseg_medical.engine.consistency_ramp_hook import ConsistencyRampHook
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Volume
from mmseg_medical.models.backbones.rare_unet import RAREUNet

pytestmark = pytest.mark.filterwarnings('ignore:target_size .* leaves')


def options(root: Path, network: dict) -> dict:
    """A narrow network, four cases to train and two to validate on, no workers and no GPU."""
    made = {f'model.{key}': value for key, value in network.items()}
    for part in ('train', 'val', 'test'):
        made[f'{part}_dataloader.num_workers'] = 0
        made[f'{part}_dataloader.persistent_workers'] = False
        made[f'{part}_dataloader.dataset.data_root'] = str(root)
        made[f'{part}_dataloader.dataset.split_file'] = str(root / 'split.json')
    return {**made, 'log_level': 'ERROR', 'optim_wrapper.type': 'OptimWrapper', 'train_cfg.max_epochs': 2}


RARE = {'backbone.channels': (2, 2, 3, 3, 4, 4), 'decode_head.in_channels': (2, 2, 3, 3)}
UNET = {'backbone.channels': (2, 2, 3, 3, 4, 4), 'decode_head.in_channels': 2}


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    folder = write_decathlon(tmp_path_factory.mktemp('msd'), num_cases=6, num_test=0)
    cases = [f'hippocampus_{i:03d}' for i in range(1, 7)]
    (folder / 'split.json').write_text(json.dumps(dict(train=cases[:4], val=cases[4:])))
    return folder


@pytest.fixture(scope='module')
def trained(root, tmp_path_factory) -> Path:
    """Work dir of a run whose second epoch is no better by 1."""
    folder = tmp_path_factory.mktemp('rare')
    given = options(root, RARE) | {'train_cfg.max_epochs': 4, 'custom_hooks.0.patience': 1}
    given['custom_hooks.0.min_delta'] = 1.0
    runner = apis.train('configs/rare_unet/ablations/consistency_ramp_20.py', work_dir=folder, cfg_options=given)
    assert runner.epoch == 2
    assert runner.model.decode_head.consistency_factor == pytest.approx(1 / 20, rel=1e-4)
    return folder


def test_scales_are_logged_and_choose_the_best(trained):
    rows = [json.loads(line) for path in trained.rglob('scalars.json') for line in path.read_text().splitlines()]
    logged = set().union(*rows)
    assert {'dice_fullres', 'dice_scale1', 'dice_scale2', 'dice_scale3', 'dice_multiscale_avg'} <= logged
    assert {'decode.loss_dice_ce', 'decode.loss_consistency', 'decode.consistency_scale3'} <= logged
    assert len(list(trained.glob('best_dice_multiscale_avg_epoch_*.pth'))) == 1
    assert [path.name for path in trained.glob('epoch_*')] == ['epoch_2.pth']


@pytest.mark.parametrize(
    ('config', 'place', 'level'), [('hippocampus', 4, 0), ('hippocampus', 4, 3), ('hippocampus_released', 5, 3)]
)
def test_scales(root, trained, tmp_path, config, place, level):
    given = options(root, RARE) | {f'test_dataloader.dataset.pipeline.{place}.level': level}
    given['test_evaluator.surface'] = None
    config = f'configs/rare_unet/scales/{config}.py'
    assert 'dice' in apis.test(config, trained / 'epoch_2.pth', work_dir=tmp_path, cfg_options=given)


@pytest.mark.parametrize(('spacing_mm', 'level'), [(1.0, 0), (2.0, 1), (4.0, 2)])
def test_a_file_enters_whole_at_the_level_of_its_spacing(root, trained, monkeypatch, spacing_mm, level):
    entered = []
    monkeypatch.setattr(RAREUNet, 'at_level', record(entered, RAREUNet.at_level))
    cfg = apis.load_config('configs/rare_unet/hippocampus.py', options(root, RARE))
    volume = Volume(np.random.default_rng(0).random((35, 49, 37)), np.diag([*[spacing_mm] * 3, 1.0]))
    found = apis.Predictor(cfg, trained / 'epoch_2.pth').predict(volume)
    assert found.labels.array.shape == volume.size
    assert entered == [((1, 1, *volume.size), level)]


def record(calls: list, method):
    def recorded(self, x, level):
        calls.append((tuple(x.shape), level))
        return method(self, x, level)

    return recorded


def test_baseline_at_a_scale(root, tmp_path):
    given = options(root, UNET)
    runner = apis.train('configs/rare_unet/unet_aug_hippocampus.py', work_dir=tmp_path, cfg_options=given)
    given['test_evaluator.surface'] = None
    config, checkpoint = 'configs/rare_unet/scales/unet3d_hippocampus.py', Path(runner.work_dir) / 'epoch_2.pth'
    for mode in ('upsample', 'pad'):
        given['test_dataloader.dataset.pipeline.4.mode'] = mode
        assert 'dice' in apis.test(config, checkpoint, work_dir=tmp_path / mode, cfg_options=given)


def test_ramp_needs_epochs_and_a_consistency_loss():
    class Runner:
        train_loop = None
        model = None

    with pytest.raises(ConfigError, match='EpochBasedTrainLoop'):
        ConsistencyRampHook(20).before_train(Runner)
    Runner.train_loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    with pytest.raises(ConfigError, match='RAREUNetHead'):
        ConsistencyRampHook(20).before_train(Runner)
    with pytest.raises(ConfigError, match='negative'):
        ConsistencyRampHook(-1)
