"""Losses are told the epoch, wherever they are in the model, also of a run that is resumed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import toy
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn

from mmseg_medical import apis
from mmseg_medical.engine import LossEpochHook
from mmseg_medical.errors import ConfigError
from mmseg_medical.models.losses import DeepSupervisionLoss, DiceCELoss, EnergyGatedLoss, HDCHRNetLoss


def runner(*losses, epoch=0, iteration=0, loop=EpochBasedTrainLoop):
    model = nn.Module()
    model.decode_head = nn.Module()
    model.decode_head.loss_decode = losses[0]
    model.auxiliary_head = nn.ModuleList(losses[1:])
    return SimpleNamespace(model=model, epoch=epoch, iter=iteration, train_loop=object.__new__(loop))


def test_every_loss_is_told():
    losses = [HDCHRNetLoss(), DeepSupervisionLoss(dict(type='HDCHRNetLoss')), EnergyGatedLoss(), DiceCELoss()]
    hook = LossEpochHook()
    hook.before_train(runner(*losses))
    hook.before_train_epoch(runner(*losses, epoch=8))
    hook.before_train_iter(runner(*losses, iteration=1000), 0)  # iterations are not asked
    assert losses[0].ramp == pytest.approx(0.3)
    assert losses[1].loss.ramp == pytest.approx(0.3)
    assert losses[2].eye_opening.epoch_weight == pytest.approx(0.06)


@pytest.mark.parametrize(('iteration', 'ramp'), [(0, 0), (19, 0.4), (20, 0.5), (21, 0.5), (400, 1)])
def test_epochs_of_iterations(iteration, ramp):
    loss = HDCHRNetLoss()
    hook = LossEpochHook(iters_per_epoch=2)
    hook.before_train(runner(loss, loop=IterBasedTrainLoop))
    hook.before_train_epoch(runner(loss, epoch=7))  # the epoch of such a run is none
    assert loss.ramp == 1
    hook.before_train_iter(runner(loss, iteration=iteration), 0)
    assert loss.ramp == pytest.approx(ramp)


def test_what_cannot_be_told():
    with pytest.raises(ConfigError, match='at least 1, got 0'):
        LossEpochHook(iters_per_epoch=0)
    with pytest.raises(ConfigError, match='iters_per_epoch=None and IterBasedTrainLoop'):
        LossEpochHook().before_train(runner(HDCHRNetLoss(), loop=IterBasedTrainLoop))
    with pytest.raises(ConfigError, match='iters_per_epoch=5 and EpochBasedTrainLoop'):
        LossEpochHook(5).before_train(runner(HDCHRNetLoss()))
    with pytest.raises(ConfigError, match='finds no loss that depends on the epoch'):
        LossEpochHook().before_train(runner(DiceCELoss()))


def test_a_run_and_its_continuation(tmp_path):
    """Two epochs, then a third that is resumed: warm-up of 2, so that the term has 0, 0, 1/2."""
    config = toy.write(tmp_path / 'data', images=2)
    options = {
        'model.decode_head.loss_decode': dict(type='HDCHRNetLoss', warmup_epochs=2),
        'train_cfg': dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=9, _delete_=True),
        'train_dataloader.sampler.type': 'DefaultSampler',
        'default_hooks.checkpoint': dict(type='CheckpointHook', interval=1, _delete_=True),
        'log_processor.by_epoch': True,
        'param_scheduler': [],
        'custom_hooks': [dict(type='LossEpochHook')],
        'log_level': 'ERROR',
    }
    first = apis.train(config, work_dir=tmp_path / 'run', cfg_options=options)
    assert first.model.decode_head.loss_decode.ramp == 0
    options['train_cfg'] = dict(type='EpochBasedTrainLoop', max_epochs=3, val_interval=9, _delete_=True)
    second = apis.train(config, work_dir=tmp_path / 'run', cfg_options=options, resume='auto')
    assert second.epoch == 3
    assert second.model.decode_head.loss_decode.ramp == 0.5
