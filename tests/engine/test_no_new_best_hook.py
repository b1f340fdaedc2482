"""Training stops when none of several metrics gets better, also in a run that is resumed."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub

from mmseg_medical.engine import NoNewBestHook
from mmseg_medical.errors import ConfigError

BOTH = dict(dice='greater', hd95='less')


def runner(hub=None):
    return SimpleNamespace(
        epoch=0,
        message_hub=MessageHub('no_new_best') if hub is None else hub,
        train_loop=SimpleNamespace(stop_training=False),
        logger=SimpleNamespace(info=lambda text: None),
    )


def stops_after(scores, patience, *, interval=1, resume_after=None, monitors=BOTH):
    """Epoch at which training stops, or None; ``resume_after`` continues from a checkpoint of that epoch."""
    hook, run = NoNewBestHook(monitors, patience), runner()
    for number, (dice, hd95) in enumerate(scores, start=1):
        run.epoch = number * interval
        hook.after_val_epoch(run, dict(dice=dice, hd95=hd95))
        if run.train_loop.stop_training:
            return run.epoch
        if number == resume_after:
            hub = MessageHub('resumed')
            hub.load_state_dict(run.message_hub.state_dict())
            hook, run = NoNewBestHook(monitors, patience), runner(hub)
    return None


@pytest.mark.parametrize('resume_after', [None, 1, 2, 3])
def test_stops_when_neither_is_better(resume_after):
    scores = [(0.5, 9.0), (0.4, 9.0), (0.5, 10.0), (0.5, 9.0), (0.9, 1.0)]
    assert stops_after(scores, patience=3, resume_after=resume_after) == 4
    assert stops_after(scores, patience=4, resume_after=resume_after) is None


def test_a_new_best_of_either_counts():
    assert stops_after([(0.5, 9.0), (0.4, 8.0), (0.3, 7.0), (0.2, 6.0)], patience=1) is None
    assert stops_after([(0.5, 9.0), (0.6, 9.0), (0.7, 9.5), (0.7, 9.5)], patience=1) == 4
    assert stops_after([(0.5, 9.0), (0.4, 8.0), (0.6, 9.0), (0.5, 8.5)], patience=1) == 4


def test_the_old_best_stays_the_mark():
    assert stops_after([(0.5, 9.0), (0.4, 9.0), (0.45, 9.0)], patience=2) == 3


def test_patience_is_in_epochs():
    assert stops_after([(0.5, 9.0)] * 9, patience=10, interval=5) == 15
    assert stops_after([(0.5, 9.0)] * 9, patience=11, interval=5) == 20


def test_nan_is_no_new_best():
    assert stops_after([(math.nan, math.nan)] * 3, patience=2) == 3
    assert stops_after([(math.nan, 9.0), (0.1, math.nan), (math.nan, math.nan)], patience=1) == 3


def test_wrong_options():
    with pytest.raises(ConfigError, match="'greater', 'less'"):
        NoNewBestHook(dict(dice='more'), 3)
    with pytest.raises(ConfigError, match='monitors of NoNewBestHook'):
        NoNewBestHook({}, 3)
    with pytest.raises(ConfigError, match='patience of NoNewBestHook must be at least 1, got 0'):
        NoNewBestHook(BOTH, 0)
    with pytest.raises(ConfigError, match=r"watches 'dise'.* Did you mean dice\? It reports dice"):
        NoNewBestHook(dict(dise='greater'), 1).after_val_epoch(runner(), dict(dice=1.0))
