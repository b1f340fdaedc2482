from __future__ import annotations

import pytest
import torch
from mmseg.models import FCNHead
from torch import nn

from mmseg_medical import apis
from mmseg_medical.engine.complexity import measure
from mmseg_medical.errors import ConfigError
from mmseg_medical.models import HACDRNet
from mmseg_medical.models.layers import ModulatedDeformConv2dPack
from mmseg_medical.models.layers.res2_block import Res2Block


def total(network, size=(16, 24), channels=3):
    return measure(network, size, channels)[0]


def test_plain_convolution():
    # 8 * 3 * 3 * 5 products at each of 16 * 24 positions
    row = total(nn.Conv2d(3, 8, (3, 5), padding=(1, 2)))
    assert (row.name, row.parameters, row.macs, row.sampling_macs) == ('', 8 * 45 + 8, 8 * 45 * 384, 0)


def test_grouped_and_strided_convolution():
    assert total(nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=6), channels=6).macs == 6 * 9 * 8 * 12


@pytest.mark.parametrize('groups', [1, 2, 4])
@pytest.mark.parametrize('deform_groups', [1, 2])
def test_deformable_convolution(groups, deform_groups):
    layer = ModulatedDeformConv2dPack(
        4, 8, (3, 1), stride=2, padding=(1, 0), groups=groups, deform_groups=deform_groups
    )
    row, offset = measure(layer, (16, 24), 4)
    positions, taps = 8 * 12, 3
    assert offset.name == 'conv_offset'
    assert offset.macs == 3 * deform_groups * taps * 4 * taps * positions
    assert row.macs == offset.macs + 8 * (4 // groups) * taps * positions
    assert row.sampling_macs == 5 * 4 * taps * positions
    assert row.parameters == sum(parameter.numel() for parameter in layer.parameters())


def test_network_is_neither_run_nor_changed():
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.SyncBatchNorm(2))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    measure(network, (100_000, 100_000))
    assert network.training
    assert isinstance(network[1], nn.SyncBatchNorm)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_forward_called_directly_is_in_its_parent():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = FCNHead(
                in_channels=3, channels=4, num_convs=1, num_classes=2, kernel_size=1, concat_input=False, norm_cfg=None
            )

        def forward(self, x):
            return self.head.forward([x])

    rows = {row.name: row.macs for row in measure(Net(), (2, 2))}
    assert rows['head'] == rows[''] == 4 * (3 * 4 + 4 * 2)


def test_hacdr_net_as_published():
    rows = {row.name: row for row in measure(apis.build_model(apis.load_config('configs/hacdr/idrid.py')), (960, 1440))}
    assert rows[''].parameters == 24_562_038
    # stem: 3 -> 16 at 480 x 720, 16 -> 32 at 240 x 360
    assert rows['backbone.stem'].macs == 9 * (3 * 16 * 480 * 720 + 16 * 32 * 240 * 360)
    # first down-sampling: offsets 32 -> 54, convolution 32 -> 64, both 3 x 3 at 120 x 180
    assert rows['backbone.downsamples.0'].macs == 9 * 32 * (54 + 64) * 120 * 180
    # D0 of stage 1: offsets 5 x 5, 32 -> 75, depth-wise 5 x 5
    assert rows['backbone.stages.0.0.attn.local'].macs == 25 * (32 * 75 + 32) * 240 * 360
    assert rows['backbone.stages.0.0.attn.local'].sampling_macs == 5 * 25 * 32 * 240 * 360
    # DH of stage 4: offsets 1 x 3, 256 -> 9 * 256, dense 1 x 3
    assert rows['backbone.stages.3.0.attn.branches.cross.0'].macs == 3 * 256 * (9 * 256 + 256) * 30 * 45
    assert rows['decode_head.conv_seg'].macs == 32 * 5 * 240 * 360


def test_layers_that_go_through_fourier_space():
    net = HACDRNet(embed_dims=(8, 8, 8, 8), depths=(1, 1, 1, 1), ffn_ratios=(1, 1, 1, 1), spectral_gate=True)
    whole, *_ = measure(net, (64, 64))
    plain, *_ = measure(HACDRNet(embed_dims=(8, 8, 8, 8), depths=(1, 1, 1, 1), ffn_ratios=(1, 1, 1, 1)), (64, 64))
    assert whole.parameters - plain.parameters == 4 * 2 * 2 * 2 * (8 + 8)
    assert whole.macs >= plain.macs


def test_blocks_that_work_piece_by_piece_count_once():
    # their pieces overlap: 1x1 in, three 3x3x3 of a quarter, 1x1 out, at each of 4 * 6 * 2 positions
    block = Res2Block(3, 8, 8, scale=4, se=False)
    assert total(block, (4, 6, 2), 8).macs == (64 + 3 * 4 * 27 + 64) * 48


@pytest.mark.parametrize('size', [(1, 5), (0, 5), (-1, 5)])
def test_sizes_that_do_not_fit(size):
    with pytest.raises(ConfigError, match=f'an input of 3 x {size[0]} x 5 does not go through the network'):
        total(nn.Sequential(nn.Conv2d(3, 2, 3), nn.MaxPool2d(2)), size)
