"""Acceptance facts and golden values of the hippocampus networks' specification, sections 2, 3, 5, 6 and 11.

The conversion of 3.1 is in test_hippocampus_conversion.py, the metrics of sections 6.1, 8 and 11 in
evaluation/functional/test_legacy.py. Traps of section 10 that are of the networks are closed by these tests:

2. flips against the meaning of labels: test_mirrored_left_to_right_alone
3. coordinates that depend on the batch: models/test_implicit_volume_head.py::test_coordinates_are_those_of_the_case
4. coordinates in the state dict: test_no_coordinates_in_the_state_dict
6. a flag without effect: test_golden_deep_supervision
8. the "SIREN" that is none: test_parameters, test_golden_logits of 'inr'
14. half precision: models/test_coordinate_heads.py::test_autocast_leaves_the_head_alone
"""

import math

import pytest
import torch
from hippocampus_networks import CONFIGS, build, count, fingerprint
from mmengine.config import Config
from mmengine.optim.scheduler import CosineRestartLR
from mmseg.structures import SegDataSample
from sine_fill import fill, wave
from torch.nn.functional import interpolate

from mmseg_medical.models.layers.coordinate_heads import SirenHead
from mmseg_medical.models.layers.grid_points import grid_coordinates
from mmseg_medical.structures import VolumeData

# --- parameters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'changes', 'total'),
    [
        ('none', {}, 7_763_587),
        ('none', dict(base=48), 17_462_979),
        ('supervised', {}, 7_763_884),
        ('supervised', dict(base=48), 17_462_652),
        ('inr', dict(hidden=32), 7_764_707),
        ('inr', dict(hidden=48), 7_765_315),
        ('inr', {}, 7_765_923),
        ('inr', dict(hidden=128), 7_768_355),
        ('inr', dict(hidden=256), 7_773_219),
        ('inr', dict(base=48), 17_466_291),
        ('inr', dict(base=48, hidden=128), 17_469_747),
        ('inr', dict(base=48, hidden=256), 17_476_659),
        ('siren', dict(base=64, projection=16, hidden=128, layers=3), 31_073_299),
        ('siren', {}, 7_767_755),
        ('siren', dict(base=48, projection=12, hidden=96, layers=3), 17_481_423),
        ('3d performance', dict(projection=8), 22_587_787),
        ('3d light', {}, 1_402_727),
        ('3d balanced', {}, 12_707_243),
        ('3d performance', {}, 22_588_175),
        ('3d none', {}, 12_701_616 + 75),
    ],
)
def test_parameters(name, changes, total):
    with torch.device('meta'):
        assert count(build(name, **changes)) == total


@pytest.mark.parametrize(
    ('name', 'parts'),
    [
        ('3d light', (1_401_248, 68, 1_411)),
        ('3d balanced', (12_701_616, 200, 5_427)),
        ('3d performance', (22_578_240, 396, 9_539)),
    ],
)
def test_parameters_of_the_parts(name, parts):
    with torch.device('meta'):
        net = build(name)
    head = net.decode_head
    assert (count(net.backbone), count(head.projection), count(head.implicit)) == parts


def test_defaults_are_the_default_network():
    head = SirenHead(8, 3, spatial_dims=3)
    assert count(head) == 9_283
    assert head.first.weight.abs().max() <= 1 / 11
    bound = math.sqrt(6 / 64) / 30
    assert 0.9 * bound < head.rest[0].weight.abs().max() <= bound


# --- golden forward values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'sizes', 'expected'),
    [
        (
            'none',
            ((64, 64), (50, 70)),
            (
                [-0.00105331, 0.00591162, 0.00422591, -0.00520446, -0.00903093],
                [-0.00104155, 0.00597771, 0.00607657, -0.00341228, -0.00707479],
            ),
        ),
        ('inr', ((64, 64),), ([-0.00099889, 0.00542877, 0.00587995, -0.00124289, -0.00735367],)),
        ('siren', ((64, 64),), ([-0.04114461, 0.03067637, 0.01648355, -0.08216745, -0.07979468],)),
        (
            '3d light',
            ((16, 32, 16), (35, 51, 37)),
            (
                [-0.00396598, 0.02209872, 0.00781602, -0.01461668, -0.00578655],
                [-0.00421096, 0.02176399, 0.00781601, -0.01082067, -0.00578655],
            ),
        ),
        (
            '3d balanced',
            ((16, 32, 16), (35, 51, 37)),
            (
                [0.00350253, 0.05988863, -0.00018385, -0.11347000, -0.00196473],
                [0.00350786, 0.05973982, -0.00018412, -0.07844474, -0.00196657],
            ),
        ),
    ],
)
def test_golden_logits(name, sizes, expected):
    net = fill(build(name).double().eval())
    for size, numbers in zip(sizes, expected, strict=True):
        with torch.no_grad():
            (logits,) = net.decode_head(net.backbone(wave(1, 1, *size)))
        assert logits.shape == (1, 3, *size)
        assert fingerprint(logits) == pytest.approx(numbers, abs=1e-6)


def test_golden_deep_supervision():
    """The original's list has the coarsest first, all enlarged to the size of the image."""
    net = fill(build('supervised').double().eval())
    assert [c.in_channels for c in net.decode_head.classifiers] == [256, 128, 64, 32]
    with torch.no_grad():
        features = net.backbone(wave(1, 1, 64, 64))
        (alone,) = net.decode_head(features)
        logits = net.decode_head.train()(features)
    assert [tuple(x.shape[2:]) for x in logits] == [(64, 64), (32, 32), (16, 16), (8, 8)]
    assert torch.equal(alone, logits[0])
    coarsest = interpolate(logits[-1], (64, 64), mode='bilinear')
    expected = [-0.00536759, 0.10424776, 0.04909041, 0.00332886, -0.12423199]
    assert fingerprint(coarsest) == pytest.approx(expected, abs=1e-6)
    expected = [0.01010851, 0.16553794, -0.15248627, -0.13317951, -0.48637370]
    assert fingerprint(alone) == pytest.approx(expected, abs=1e-6)


def test_coordinates():
    rows = grid_coordinates((2, 3, 4), 0, 24, torch.empty(0, dtype=torch.float64))
    third = 1 / 3
    first = [(-1, -1, -1), (-third, -1, -1), (third, -1, -1), (1, -1, -1), (-1, 0, -1)]
    torch.testing.assert_close(rows[:5], torch.tensor(first, dtype=torch.float64))
    assert rows[-1].tolist() == [1, 1, 1]


def test_no_coordinates_in_the_state_dict():
    net = build('3d light')
    parameters = {name for name, _ in net.named_parameters()}
    statistics = {name for name in net.state_dict() if name not in parameters}
    assert {name.rsplit('.', 1)[1] for name in statistics} == {'running_mean', 'running_var', 'num_batches_tracked'}


# --- losses ---------------------------------------------------------------------------------------------------------


def sample_of(labels):
    sample = SegDataSample()
    sample.gt_sem_seg = VolumeData(data=labels[None])
    return sample


@pytest.mark.parametrize(
    ('labels', 'confident', 'dice', 'focal'),
    [
        ([[0, 1], [1, 2]], False, 0.48076923, 0.48827213),
        ([[0, 0], [0, 0]], False, 0.57142857, (2 / 3) ** 2 * math.log(3)),
        ([[0, 0], [0, 0]], True, 0.0, 0.0),
    ],
)
def test_loss_by_hand(labels, confident, dice, focal):
    logits = torch.zeros(1, 3, 2, 2, dtype=torch.float64)
    logits[:, 0] = 80 if confident else 0
    head = build('none').decode_head
    found = head.loss_by_logits([logits], head.targets([sample_of(torch.tensor(labels))]))
    assert float(found['loss_dice']) == pytest.approx(0.5 * dice, abs=1e-8)
    assert float(found['loss_focal']) == pytest.approx(0.5 * focal, abs=1e-8)


def test_dice_is_a_mean_over_samples():
    """A pooled one would weigh them by size."""
    logits = torch.randn(2, 3, 3, 4, 5, dtype=torch.float64)
    labels = torch.randint(0, 3, (2, 3, 4, 5))
    labels[1, 1:] = 0
    dice = build('3d light').decode_head.loss_decode[0]
    each = [dice(logits[i : i + 1], labels[i : i + 1]) for i in range(2)]
    assert float(dice(logits, labels)) == pytest.approx(float(sum(each) / 2), abs=1e-12)


def test_deep_supervision_weighs_logits_of_the_size_of_the_labels():
    net = build('supervised')
    logits = [torch.randn(1, 3, 16 // 2**k, 16 // 2**k, dtype=torch.float64) for k in range(4)]
    sample = sample_of(torch.randint(0, 3, (16, 16)))
    found = net.decode_head.loss_by_logits(logits, net.decode_head.targets([sample]))
    dice, expected = net.decode_head.loss_decode[0], 0.0
    for k, weight in enumerate((8, 4, 2, 1)):
        enlarged = interpolate(logits[k], (16, 16), mode='bilinear')
        expected += weight / 15 * float(dice(enlarged, sample.gt_sem_seg.data))
    assert float(found['loss_dice']) == pytest.approx(expected, abs=1e-12)


# --- recipe ---------------------------------------------------------------------------------------------------------


def test_schedule():
    cfg = Config.fromfile(CONFIGS / '_base_/schedules/hippocampus_100e.py')
    settings = cfg.optim_wrapper.optimizer
    assert (settings.type, settings.lr, settings.weight_decay) == ('AdamW', 1e-4, 1e-5)
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=settings.lr)
    options = {key: value for key, value in cfg.param_scheduler.items() if key != 'type'}
    scheduler, rates = CosineRestartLR(optimizer, **options), []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    expected = {0: 1e-4, 5: 5.05e-5, 10: 1e-4, 20: 5.05e-5, 30: 1e-4, 50: 5.05e-5, 70: 1e-4}
    assert {epoch: rates[epoch] for epoch in expected} == pytest.approx(expected, rel=1e-6)
    assert min(rates) > 1e-6


def test_mirrored_left_to_right_alone():
    cfg = Config.fromfile(CONFIGS / 'hippocampus/unet3d_inr_balanced.py')
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert steps['RandomFlipVolume'].axes == (0,)
    assert steps['ReorientVolume'].axes == 'RAS'
    assert list(steps).index('RandomFlipVolume') < list(steps).index('RandomPatch')
    assert (steps['RandomGain'].gains, steps['RandomGain'].clip) == ((0.9, 1.1), (0.0, 1.0))
    assert steps['NormalizeIntensity'].percentiles == (1.0, 99.0)
    assert (cfg.train_dataloader.batch_size, cfg.train_cfg.max_epochs) == (2, 100)
