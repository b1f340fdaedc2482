from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from command import free_port, run
from phantom_config import write

LESIONS = ('EX', 'MA', 'SE', 'HE')


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp('phantoms'))


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory) -> Path:
    """Work dir of a run of one process, batch 2."""
    work_dir = tmp_path_factory.mktemp('one process')
    run('train.py', config, '--work-dir', work_dir)
    return work_dir


@pytest.fixture(scope='module')
def tested(config, trained, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('tested')
    run('test.py', config, trained / 'iter_5.pth', '--work-dir', out / 'w', '--out', out, '--show-dir', out / 'show')
    return out


def metrics(folder: Path) -> dict:
    contents = json.loads((folder / 'metrics.json').read_text())
    del contents['date']
    return contents


def test_training_leaves_checkpoints_and_the_config(trained):
    names = {path.name for path in trained.iterdir()}
    assert {'iter_5.pth', 'last_checkpoint', 'narrow.py'} <= names
    assert any(name.startswith('best_mAUPR_iter_') for name in names)


def test_testing_writes_numbers_predictions_overlays_and_report(tested):
    assert {'metrics.json', 'per_image.csv', 'report.html', 'predictions', 'show'} <= {p.name for p in tested.iterdir()}
    assert set(LESIONS) <= set(metrics(tested)['classes'])
    assert len(list(csv.reader((tested / 'per_image.csv').open()))) > 3
    cases = [f'IDRiD_{number:02d}' for number in (5, 6, 7)]
    assert sorted(path.stem for path in (tested / 'predictions').iterdir()) == cases
    for case in cases:
        labels = cv2.imread(str(tested / 'predictions' / f'{case}.png'), cv2.IMREAD_UNCHANGED)
        assert labels.shape == (96, 144)  # the photograph's grid, though the network saw 64 x 96
        assert labels.max() <= 4
    assert sorted(path.stem for path in (tested / 'show').iterdir()) == cases
    assert '<html' in (tested / 'report.html').read_text()


def test_two_processes_test_like_one(config, trained, tested, tmp_path):
    """Three images on two ranks: the one that the sampler repeats must not count twice."""
    run(
        'dist_test.sh', config, trained / 'iter_5.pth', 2, '--work-dir', tmp_path / 'w', '--out', tmp_path,
        PORT=free_port(),
    )  # fmt: skip
    assert metrics(tmp_path) == metrics(tested)
    assert len(list((tmp_path / 'predictions').iterdir())) == 3
    assert (tmp_path / 'report.html').exists()


def test_two_processes_train_like_one(config, tmp_path):
    """Same global batch, BatchNorm frozen, no random augmentation, drop-path off: the same weights after 5 steps."""
    # frozen statistics and frozen scales, without a network argument for it: every BatchNorm is put into eval mode
    (tmp_path / 'frozen_norm.py').write_text(
        'from mmengine.hooks import Hook\n'
        'from torch.nn.modules.batchnorm import _BatchNorm\n'
        'from mmseg_medical.registry import HOOKS\n'
        '@HOOKS.register_module()\n'
        'class FreezeBatchNorm(Hook):\n'
        '    def before_train_iter(self, runner, batch_idx, data_batch=None):\n'
        '        for module in runner.model.modules():\n'
        '            if isinstance(module, _BatchNorm):\n'
        '                module.eval()\n'
    )
    frozen = tmp_path / 'frozen.py'
    frozen.write_text(
        f'_base_ = {str(config)!r}\n'
        "custom_imports = dict(imports=['frozen_norm'], allow_failed_imports=False)\n"
        "custom_hooks = [dict(type='FreezeBatchNorm')]\n"
        # plain gradient descent: AdamW would divide a wrong scale of the gradients away
        "optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9))\n"
        "param_scheduler = [dict(type='ConstantLR', factor=1.0, by_epoch=False)]\n"
    )
    one, two = tmp_path / 'one', tmp_path / 'two'
    run('train.py', frozen, '--work-dir', one, PYTHONPATH=str(tmp_path))
    options = ['--cfg-options', 'train_dataloader.batch_size=1']
    run('dist_train.sh', frozen, 2, '--work-dir', two, *options, PORT=free_port(), PYTHONPATH=str(tmp_path))
    first, second = (torch.load(path / 'iter_5.pth', weights_only=False)['state_dict'] for path in (one, two))
    assert first.keys() == second.keys()
    worst = max(float((first[key].double() - second[key].double()).abs().max()) for key in first)
    assert worst < 1e-5


def test_the_comparison_sees_a_change(config, trained, tmp_path):
    """Another batch size does change the weights by more than the tolerance above."""
    run('train.py', config, '--work-dir', tmp_path, '--cfg-options', 'train_dataloader.batch_size=1')
    first, second = (torch.load(path / 'iter_5.pth', weights_only=False)['state_dict'] for path in (trained, tmp_path))
    assert max(float((first[key].double() - second[key].double()).abs().max()) for key in first) > 1e-5


def test_multi_label_predictions_are_a_mask_per_lesion(config, tmp_path):
    options = ['model.decode_head.num_classes=4', 'model.decode_head.multi_label=True']
    options += [f'{split}_dataloader.dataset.target=multilabel' for split in ('train', 'val', 'test')]
    options += ['model.decode_head.loss_decode.use_sigmoid=True', 'model.decode_head.loss_decode.class_weight=None']
    options += ['train_cfg.max_iters=1']
    run('train.py', config, '--work-dir', tmp_path, '--cfg-options', *options)
    run('test.py', config, tmp_path / 'iter_1.pth', '--out', tmp_path / 'out', '--cfg-options', *options)
    names = sorted(path.name for path in (tmp_path / 'out' / 'predictions').iterdir())
    assert names == sorted(f'IDRiD_{number:02d}_{code}.png' for number in (5, 6, 7) for code in LESIONS)
    picture = cv2.imread(str(tmp_path / 'out' / 'predictions' / names[0]), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (96, 144)
    assert set(np.unique(picture)) <= {0, 255}


def test_test_time_augmentation(config, trained, tested, tmp_path):
    views = 'tta_pipeline.0.transforms.0.0.scale=(96,64)'
    run('test.py', config, trained / 'iter_5.pth', '--out', tmp_path, '--tta', '--cfg-options', views)
    assert metrics(tmp_path)['metrics']['mAUPR'] != metrics(tested)['metrics']['mAUPR']


def test_mistakes_end_in_one_message(config, trained, tmp_path):
    damaged = tmp_path / 'damaged.pth'
    damaged.write_bytes((trained / 'iter_5.pth').read_bytes()[:-1000])
    for arguments, message in (
        ([damaged], r'truncated or damaged'),
        ([trained / 'iter_6.pth'], r'In that folder: '),
        ([trained / 'iter_5.pth', '--cfg-options', 'model.backbone.depths=(2,1,1,1)'], r'missing in the checkpoint'),
    ):
        done = run('test.py', config, *arguments, fails=True)
        assert done.stderr.count('error:') == 1
        assert message in done.stderr
