"""An image times one random number."""

import json

import numpy as np
import pytest

from mmseg_medical.datasets.transforms import RandomGain
from mmseg_medical.datasets.transforms.replay import replay_augmentations
from mmseg_medical.errors import ConfigError


def sample() -> dict:
    return {'img': np.linspace(0, 1, 60, dtype=np.float32).reshape(1, 3, 4, 5)}


def test_multiplies_clips_and_can_be_done_again():
    step = RandomGain((0.9, 1.1), prob=1, clip=(0.0, 1.0))
    gains = []
    for seed in range(40):
        np.random.seed(seed)  # noqa: NPY002
        out = step(sample())
        (record,) = json.loads(json.dumps(out['augmentations']))
        gains.append(record['gain'])
        np.testing.assert_allclose(out['img'], np.minimum(sample()['img'] * record['gain'], 1), rtol=1e-6)
        assert out['img'].dtype == np.float32
        np.testing.assert_array_equal(replay_augmentations(sample(), [record])['img'], out['img'])
    assert 0.9 <= min(gains) < 0.93
    assert 1.07 < max(gains) <= 1.1


def test_acts_as_often_as_told_and_leaves_the_callers_array():
    given = sample()
    before = given['img'].copy()
    assert 'augmentations' not in RandomGain(prob=0)(given)
    out = RandomGain((2, 2), prob=1)(given)
    np.testing.assert_array_equal(out['img'], 2 * before)  # not clipped
    np.random.seed(0)  # noqa: NPY002
    acted = sum('augmentations' in RandomGain(prob=0.5)(sample()) for _ in range(200))
    assert 70 < acted < 130


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(gains=(1.1, 0.9)), 'range of positive numbers'),
        (dict(gains=(0, 1)), 'range of positive numbers'),
        (dict(prob=2), 'prob lie in'),
        (dict(clip=(1, 0)), 'lowest and a highest'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ConfigError, match=message):
        RandomGain(**options)
