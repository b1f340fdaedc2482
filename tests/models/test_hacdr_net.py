"""Every switch of HACDR-Net does what it says, and the published traps stay closed."""

import inspect

import pytest
import torch
from mmcv.cnn import ConvModule, build_conv_layer
from mmengine.registry import init_default_scope
from torch import nn

from mmseg_medical.models import HACDRHead, HACDRNet, ModulatedDeformConv2dPack
from mmseg_medical.models.layers import ConvFeedForward, HeterogeneousAttention
from mmseg_medical.ops.deform_conv import available_backends

TINY = dict(embed_dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), ffn_ratios=(2, 2, 2, 2))
SWITCHES = {
    'optional_kernel': dict(optional_kernel=3),
    'downsample_act': dict(downsample_act=True),
    'ffn_deformable': dict(ffn_deformable=True),
    'ffn_act_last': dict(ffn_act_last=True),
    'project_out': dict(project_out=False),
    'gate_input': dict(gate_input='module_input'),
    'no strips': dict(strip_kernels=()),
    'one strip': dict(strip_kernels=(7,)),
    'plain local': dict(local_deformable=False),
    'no cross': dict(cross_deformable=False),
    'sum': dict(aggregation='sum'),
    'project': dict(aggregation='project'),
    'spectral gate': dict(spectral_gate=True),
    'plain downsample': dict(downsample='plain'),
    'one deform group': dict(downsample_deform_groups=1),
}


def build(**kwargs):
    torch.manual_seed(0)
    net = HACDRNet(**(TINY | kwargs))
    net.init_weights()
    for name, parameter in net.named_parameters():
        if 'layer_scale' in name:  # at 0.01 a branch hardly shows
            nn.init.ones_(parameter)
    return net


@pytest.mark.parametrize('name', SWITCHES)
def test_each_switch_changes_the_network_alone(name):
    x = torch.randn(2, 3, 40, 56)
    net = build(**SWITCHES[name]).train()
    outs = net(x)
    sum(o.square().mean() for o in outs).backward()
    assert [tuple(o.shape) for o in outs] == [(2, 8, 10, 14), (2, 8, 5, 7), (2, 16, 3, 4), (2, 16, 2, 2)]
    assert all(torch.isfinite(o).all() for o in outs)
    unused = [n for n, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not unused
    released = build().eval()
    common = {n: p for n, p in released.state_dict().items() if n in net.state_dict()}
    twin = net.eval()
    twin.load_state_dict({n: p for n, p in common.items() if p.shape == twin.state_dict()[n].shape}, strict=False)
    with torch.no_grad():
        assert not torch.allclose(released(x)[-1], twin(x)[-1], atol=1e-4)


def test_paper_preset_is_its_switches():
    switches = dict(
        optional_kernel=7, downsample_act=True, ffn_act_last=True, gate_input='module_input', zero_init_offset=True
    )
    paper, spelled = build(mode='paper').eval(), build(**switches).eval()
    assert paper.zero_init_offset
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(paper(x)[-1], spelled(x)[-1])


def test_given_switches_win_over_the_preset():
    net = build(mode='paper', optional_kernel=0, zero_init_offset=False)
    assert 'optional' not in net.stages[0][0].attn.branches
    assert net.downsamples[0].conv.conv_offset.weight.any()


@pytest.mark.parametrize('size', [(1, 1), (7, 13), (33, 31), (64, 5)])
def test_any_size(size):
    net, head = (
        build().eval(),
        HACDRHead((8, 8, 16, 16), channels=8, loss_decode=dict(type='mmseg.CrossEntropyLoss')).eval(),
    )
    with torch.no_grad():
        outs = net(torch.randn(1, 3, *size))
        logits = head(outs)
    assert logits.shape == (1, 5, -(-size[0] // 4), -(-size[1] // 4))
    assert torch.isfinite(logits).all()


def test_stem_takes_the_channels_it_is_given():
    assert build(in_channels=1)(torch.randn(2, 1, 32, 32))[0].shape == (2, 8, 8, 8)


def test_defaults_cannot_be_changed():
    for cls in (HACDRNet, HACDRHead, HeterogeneousAttention):
        defaults = [p.default for p in inspect.signature(cls).parameters.values()]
        assert not any(isinstance(default, (list, dict, set)) for default in defaults)


def test_initialisation_happens_before_a_pretrained_checkpoint(tmp_path):
    source = build()
    torch.save({'state_dict': source.state_dict()}, tmp_path / 'weights.pth')
    net = HACDRNet(**TINY, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth')))
    net.init_weights()
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), source.parameters(), strict=True))
    partial = {n: v for n, v in source.state_dict().items() if n.startswith('stem')}
    torch.save({'state_dict': partial}, tmp_path / 'weights.pth')
    net = HACDRNet(**TINY, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth')))
    net.init_weights()
    assert not net.stages[0][0].attn.proj_in.bias.any()
    assert torch.equal(net.stem[0].weight, source.stem[0].weight)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(mode='original'), "mode='original' is unknown; choose one of released, paper"),
        (dict(downsample='pool'), "downsample='pool' is unknown"),
        (dict(depths=(1, 1)), 'one value a stage'),
        (dict(optional_kernel=4), 'must be odd to keep the size, found 4'),
        (dict(strip_kernels=(7, 10)), 'must be odd to keep the size, found 10'),
        (dict(aggregation='mean'), "aggregation='mean' is unknown"),
        (dict(gate_input='image'), "gate_input='image' is unknown"),
        (dict(spectral_gate=True, embed_dims=(8, 12, 16, 16)), '12 cannot be split'),
    ],
)
def test_misfits_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        HACDRNet(**(TINY | kwargs))


@pytest.mark.parametrize('length', [3, 5, 7])
def test_optional_branch_keeps_the_size(length):
    """Released code pads by k / 2, a fraction, and fails in the forward pass."""
    attention = HeterogeneousAttention(4, optional_kernel=length)
    assert attention(torch.randn(1, 4, 9, 6)).shape == (1, 4, 9, 6)


def test_act_last_is_after_the_reduction():
    ffn = ConvFeedForward(2, 4, act_last=True)
    nn.init.zeros_(ffn.reduce.weight)
    nn.init.constant_(ffn.reduce.bias, -1.0)
    expected = nn.functional.gelu(torch.tensor(-1.0))
    torch.testing.assert_close(ffn(torch.randn(1, 2, 3, 3)), expected.expand(1, 2, 3, 3))


def test_config_name_of_mmcv_finds_ours():
    init_default_scope('mmseg_medical')
    layer = build_conv_layer(dict(type='DCNv2', deform_groups=2), 4, 6, 3, padding=1)
    assert isinstance(layer, ModulatedDeformConv2dPack)
    module = ConvModule(4, 6, 3, padding=1, conv_cfg=dict(type='DCNv2'), norm_cfg=dict(type='BN'))
    assert module(torch.randn(2, 4, 9, 7)).shape == (2, 6, 9, 7)


@pytest.mark.skipif('mmcv' not in available_backends(), reason='mmcv has no compiled operators here')
def test_checkpoints_of_mmcv_load_and_agree():
    from mmcv.ops import ModulatedDeformConv2dPack as Theirs

    theirs = Theirs(4, 6, 3, stride=2, padding=1, deform_groups=2)
    nn.init.normal_(theirs.conv_offset.weight, std=0.2)
    ours = ModulatedDeformConv2dPack(4, 6, 3, 2, 1, deform_groups=2)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 4, 11, 9)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    assert {p.shape for p in ours.parameters()} == {p.shape for p in theirs.parameters()}


def test_bfloat16_and_half_autocast():
    net = build(spectral_gate=True).eval()
    x = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        exact = net(x)[-1]
        for dtype in (torch.bfloat16, torch.float16):
            with torch.autocast('cpu', dtype):
                low = net(x)[-1]
            assert torch.isfinite(low).all()
            assert (low.float() - exact).abs().mean() < 0.25 * exact.abs().mean()
