"""Acceptance facts and golden values of 3D-Res2UNet's specification, sections 2, 3, 4 and 10.

The Res2 block against an implementation of its own is in models/test_res2_network.py, the names of weights (2.1) in
test_res2unet3d_conversion.py.
"""

import math

import pytest
import torch
from mmengine.registry import init_default_scope
from sine_fill import fill, wave
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.backbones import Res2UNet3D
from mmseg_medical.models.decode_heads import BinaryVolumeHead
from mmseg_medical.models.layers.res2_block import Res2Block
from mmseg_medical.models.losses import DiceCELoss, SoftDiceLoss

MODES = {1: 'sigmoid', 2: 'softmax'}


@pytest.fixture(autouse=True, scope='module')
def _scope():
    init_default_scope('mmseg_medical')


def build(channels: int) -> nn.ModuleDict:
    return nn.ModuleDict(dict(backbone=Res2UNet3D(), decode_head=BinaryVolumeHead(32, MODES[channels])))


def parameters(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def logits_of(net: nn.ModuleDict, x: Tensor) -> Tensor:
    return net.decode_head(net.backbone(x))[0]


# --- parameters and shapes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('channels', 'expected'), [(1, 4_801_277), (2, 4_801_310)])
def test_parameters(channels, expected):
    with torch.device('meta'):
        net = build(channels)
    assert parameters(net) == expected
    assert len(net.state_dict()) == 370
    assert parameters(net.decode_head) == 33 * channels


def test_parameters_of_the_stages():
    with torch.device('meta'):
        net = Res2UNet3D()
        blocks = parameters(Res2Block(3, 32, 64)), parameters(Res2Block(3, 64, 64))
    assert blocks == (29_988, 29_860)
    assert [parameters(stage) for stage in net.encoders] == [6_674, 29_988, 118_856, 473_232, 1_888_544]
    decoders = [parameters(up, stage) for up, stage in zip(net.ups, net.decoders, strict=True)]
    assert decoders == [27_122, 107_876, 430_280, 1_718_672]


@pytest.mark.parametrize('size', [(64, 128, 128), (32, 32, 32), (16, 48, 32)])
def test_shapes(size):
    with torch.device('meta'):
        net = build(2).eval()
        assert logits_of(net, torch.zeros(2, 1, *size)).shape == (2, 2, *size)


@pytest.mark.parametrize('size', [(24, 32, 32), (32, 32, 8), (17, 16, 16)])
def test_a_size_that_cannot_be_halved_is_named(size):
    with torch.device('meta'), pytest.raises(ConfigError) as caught:
        Res2UNet3D()(torch.zeros(1, 1, *size))
    assert f'multiples of 16 x 16 x 16, got {" x ".join(map(str, size))}' in str(caught.value)


def test_maps_on_the_way():
    with torch.device('meta'):
        net = Res2UNet3D()
        features = net.encode(net.embed(torch.zeros(1, 1, 64, 128, 128)))
        maps = net.decode(features)
    sizes = [tuple(f.shape[1:]) for f in features]
    assert sizes == [(32 * 2**d, 64 // 2**d, 128 // 2**d, 128 // 2**d) for d in range(5)]
    assert [tuple(m.shape[1:]) for m in maps] == sizes[-2::-1]


# --- fingerprint ------------------------------------------------------------------------------------------------------

FINGERPRINTS = [
    (1, (32, 32, 32), 0.005457672, 3.48353e-5, 0.005463320, 0.005439882, 0.005413874),
    (1, (16, 32, 48), 0.005457686, 3.48200e-5, 0.005463311, 0.005478319, 0.005425666),
    (2, (32, 32, 32), 0.001376624, 0.004081259, 0.005463320, -0.002699337, -0.002761803),
]


@pytest.mark.parametrize(
    ('gradients', 'channels', 'size', 'mean', 'std', 'first', 'mid', 'last'),
    [(False, *row) for row in FINGERPRINTS] + [(True, *FINGERPRINTS[1])],
)
def test_fingerprint(gradients, channels, size, mean, std, first, mid, last):
    """Where no gradient is wanted norms are folded into convolutions; the numbers stay."""
    net = fill(build(channels).double().eval())
    with torch.set_grad_enabled(gradients):
        y = logits_of(net, wave(1, 1, *size)).detach().flatten()
    found = [float(v) for v in (y.mean(), y[0], y[len(y) // 2], y[-1])]
    assert found == pytest.approx([mean, first, mid, last], abs=1e-9)
    assert float(y.std(correction=0)) == pytest.approx(std, rel=1e-5)


# --- output convention ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('mode', ['softmax', 'sigmoid'])
@pytest.mark.parametrize('channels', [1, 2, 3])
def test_only_two_conventions(mode, channels):
    if MODES.get(channels) == mode:
        assert BinaryVolumeHead(4, mode, num_classes=channels).out_channels == channels
        return
    with pytest.raises(ConfigError, match=f"mode='{mode}' has . channels, got num_classes={channels}"):
        BinaryVolumeHead(4, mode, num_classes=channels)


# --- losses -----------------------------------------------------------------------------------------------------------


def volume(values: list, channels: int) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(1, channels, 1, 1, -1)


@pytest.mark.parametrize(
    ('labels', 'expected'), [([0, 1], 0.4999975), ([0, 0, 0, 1], 0.5333318), ([0, 0, 0, 0], 0.6666639)]
)
def test_softmax_dice_by_hand(labels, expected):
    logits = torch.zeros(1, 2, 1, 1, len(labels), dtype=torch.float64)
    loss = SoftDiceLoss(include_background=True)(logits, torch.tensor(labels).reshape(1, 1, 1, -1))
    assert float(loss) == pytest.approx(expected, abs=1e-7)


def test_dice_pools_the_batch_or_takes_samples_one_by_one():
    """At p = 1/2: labels [0, 1] and [0, 0] make foreground Dice 2/4 and 0/2, together 1/2 * 2 / (2 + 1)."""
    logits, labels = torch.zeros(2, 2, 1, 1, 2, dtype=torch.float64), torch.tensor([[0, 1], [0, 0]])
    labels = labels.reshape(2, 1, 1, 2)
    pooled, single = (SoftDiceLoss(pooled=p, smooth=0)(logits, labels) for p in (True, False))
    assert float(pooled) == pytest.approx(1 - 1 / 3)
    assert float(single) == pytest.approx(1 - (1 / 2 + 0) / 2)


@pytest.mark.parametrize(
    ('masks', 'expected'),
    [
        ([0, 1], 1 - (1 + 1e-5) / (2 + 1e-5)),
        ([0, 0, 0, 1], 1 - (1 + 1e-5) / (3 + 1e-5)),
        ([0, 0, 0, 0], 1 - 1e-5 / (2 + 1e-5)),
    ],
)
def test_sigmoid_dice_by_hand(masks, expected):
    """Half a voxel of each is predicted."""
    loss = SoftDiceLoss(use_sigmoid=True)(volume([0.0] * len(masks), 1), volume(masks, 1).long())
    assert float(loss) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize('sigmoid', [True, False])
def test_dice_and_cross_entropy(sigmoid):
    """Of equal logits the cross entropy is log 2, and lambda its factor."""
    logits = volume([0.0] * (2 if sigmoid else 4), 1 if sigmoid else 2)
    target = torch.tensor([0, 1]).reshape(1, 1, 1, 2)
    target = target[:, None] if sigmoid else target
    for weight in (1.0, 0.5):
        loss = DiceCELoss(use_sigmoid=sigmoid, include_background=True, ce_weight=weight)(logits, target)
        assert float(loss) == pytest.approx(0.4999975 + weight * math.log(2), abs=1e-7)


def test_background_alone_has_a_gradient():
    """The replication's softmax over one channel has none; ours is refused, one by sigmoid has one."""
    logits, labels = volume([0.0] * 4, 1).requires_grad_(), torch.zeros(1, 1, 1, 1, 4, dtype=torch.long)
    with pytest.raises(ValueError, match='use_sigmoid=True'):
        SoftDiceLoss()(logits, labels[:, 0])
    DiceCELoss(use_sigmoid=True)(logits, labels).backward()
    assert (logits.grad > 0.1).all()
