"""HDC-HRNet, its sibling and whole models of them: any size, options, misuse."""

import pytest
import torch
from hrnet_cases import BASIC, CE, WIDTHS, samples, small
from mmengine.config import Config
from torch import nn

from mmseg_medical import apis
from mmseg_medical.errors import ConfigError
from mmseg_medical.models.backbones import HRNetResNet34
from mmseg_medical.models.decode_heads import AggregateHead
from mmseg_medical.models.layers.hrnet_stage import HRNetStage


def model_config(name='hrnet_dcn', **changes):
    cfg = apis.load_config(f'configs/_base_/models/{name}.py')
    cfg.merge_from_dict({'model.data_preprocessor.size': None, **changes})
    return cfg


# --- backbones ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('build', [small, lambda **o: HRNetResNet34(3, 8, (1, 1, 1, 1), **o)], ids=['dcn', 'resnet34'])
@pytest.mark.parametrize('stem', ['full', 'standard'])
@pytest.mark.parametrize('size', [(16, 32), (17, 11), (1, 5), (1, 1)])
def test_any_size_goes_in_and_every_stream_comes_out(build, stem, size):
    net = build(stem=stem)
    assert net.out_channels == WIDTHS
    outs = net(torch.randn(2, 3, *size))
    expected = [-(-n // (4 if stem == 'standard' else 1)) for n in size]
    for out, width in zip(outs, WIDTHS, strict=True):
        assert out.shape == (2, width, *expected)
        assert torch.isfinite(out).all()
        expected = [-(-n // 2) for n in expected]
    sum(out.sum() for out in outs).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_the_image_may_have_any_channels(channels):
    assert len(small(in_channels=channels)(torch.zeros(1, channels, 9, 8))) == 4


@pytest.mark.parametrize('name', ['basic', 'convnext', 'dcn', 'inverted_residual', 'swin', 'fno', 'wavelet', 'rwkv'])
def test_every_block_fits_into_every_stage(name):
    net = small(blocks=[[name], [name, 'basic'], [name]])
    assert [out.shape[2:] for out in net(torch.randn(1, 3, 13, 10))] == [(13, 10), (7, 5), (4, 3), (2, 2)]


def test_options_reach_the_blocks_of_their_name():
    net = small(blocks=[['dcn', 'basic']] * 3, block_options=dict(dcn=dict(backend='torch'), swin=dict(shift=3)))
    assert net.stages[0].branches[0][0].conv.backend == 'torch'


def test_checkpointing_changes_no_gradient():
    torch.manual_seed(0)
    net = small(blocks=[['dcn', 'basic']] * 3, block_options=dict(dcn=dict(backend='torch'))).double()
    image = torch.randn(1, 3, 9, 8).double()
    gradients = []
    for with_cp in (False, True):
        for stage in net.stages:
            stage.with_cp = with_cp
        net.zero_grad()
        sum(out.square().sum() for out in net(image)).backward()
        gradients.append([p.grad.clone() for p in net.parameters()])
    torch.testing.assert_close(*gradients)


def test_checkpointing_computes_blocks_twice():
    calls = []
    stage = HRNetStage((8, 16), ['basic'], with_cp=True)
    stage.branches[0].register_forward_pre_hook(lambda *_: calls.append(1))
    x = [torch.randn(1, 8, 4, 4, requires_grad=True), torch.randn(1, 16, 2, 2, requires_grad=True)]
    sum(out.sum() for out in stage(x)).backward()
    assert len(calls) == 2  # once more in the backward pass
    with torch.no_grad():
        stage(x)
    assert len(calls) == 3


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(stem='standart'), r"stem='standart' is unknown.*Did you mean standard"),
        (dict(dilation_mode='codes'), r"dilation_mode='codes'.*Did you mean code"),
        (dict(blocks=[['basic']] * 2), 'three lists of names'),
        (dict(blocks=['basic'] * 3), 'three lists of names'),
        (dict(blocks=[['basic'], [], ['basic']]), 'three lists of names'),
        (dict(blocks=[['bassic']] * 3), 'Did you mean basic'),
        (dict(block_options=dict(dcm=dict())), 'block_options names no block.*dcn'),
        (dict(blocks=[['dcn']] * 3, block_options=dict(dcn=dict(backnd='torch'))), 'backnd'),
        (dict(base_channels=62), '62 channels cannot be divided into the 8 groups'),
    ],
)
def test_arguments_of_the_backbone(options, message):
    with pytest.raises(ConfigError, match=message):
        small(**options)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(stem='none'), "stem='none' is unknown"),
        (dict(fusion='swapped'), "'released' or 'corrected'"),
        (dict(depths=(3, 4, 6)), 'four numbers'),
        (dict(base_channels=12), '12 channels cannot be divided'),
    ],
)
def test_arguments_of_the_sibling(options, message):
    with pytest.raises(ConfigError, match=message):
        HRNetResNet34(**{'base_channels': 8, 'depths': (1, 1, 1, 1), **options})


def test_initial_weights_of_the_sibling():
    net = HRNetResNet34(base_channels=16, depths=(1, 1, 1, 1))
    apis._init_quietly(net)
    conv = net.transitions[2].conv
    assert conv.weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)  # fan out
    assert {p for m in net.modules() if isinstance(m, nn.GroupNorm) for p in m.weight.tolist()} == {1.0}


# --- whole networks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'name', ['hrnet_dcn', 'hrnet_dcn_small', 'hrnet_dcn_base', 'hrnet_dcn_large', 'hrnet_resnet34']
)
def test_configs_build(name):
    with torch.device('meta'):
        model = apis.build_model(apis.load_config(f'configs/_base_/models/{name}.py'))
    assert tuple(model.decode_head.in_channels) == model.backbone.out_channels
    assert len(model.decode_head.classifiers) == (3 if name == 'hrnet_resnet34' else 4)


SWAP = dict(
    type='mmseg.HRNet',
    norm_cfg=dict(type='BN'),
    extra={
        f'stage{i}': dict(
            num_modules=1, num_branches=i, block='BASIC' if i > 1 else 'BOTTLENECK', num_blocks=(1,) * i,
            num_channels=WIDTHS[:i] if i > 1 else (16,),
        )
        for i in range(1, 5)
    },
)  # fmt: skip


@pytest.mark.parametrize('backbone', [dict(type='HRNetDCN', base_channels=8, blocks=BASIC, stem='standard'), SWAP])
@pytest.mark.parametrize('kind', ['AggregateHead', 'PointRendHead'])
def test_a_step_of_learning_and_a_prediction(backbone, kind):
    """mmseg's HRNet in the place of ours is another value of one key."""
    cfg = model_config()
    cfg.model.backbone = Config(dict(backbone=backbone)).backbone
    cfg.model.decode_head.update(type=kind, in_channels=WIDTHS)
    model = apis.build_model(cfg)
    apis._init_quietly(model)
    image, truth = torch.randn(2, 3, 33, 40), samples(size=(33, 40))
    loss, log = model.parse_losses(model.loss(image, truth))
    loss.backward()
    assert 'decode.stream3.loss_hdc_hrnet' in log
    model.eval()
    with torch.no_grad():
        prediction = model.predict(image)
    assert prediction[0].pred_sem_seg.data.shape == (1, 33, 40)


@pytest.mark.parametrize('head', [dict(type='FCNHead', in_channels=8, in_index=0, channels=8, num_convs=1), None])
def test_other_heads_of_mmseg_sit_on_the_streams(head):
    """The streams are a feature pyramid."""
    cfg = model_config()
    cfg.model.backbone.update(base_channels=8, blocks=BASIC)
    pyramid = dict(type='UPerHead', in_channels=WIDTHS, in_index=(0, 1, 2, 3), channels=8, pool_scales=(1, 2))
    cfg.model.decode_head = {**(head or pyramid), 'num_classes': 4, 'loss_decode': dict(type='HDCHRNetLoss')}
    model = apis.build_model(cfg).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 32, 24)).shape == (1, 4, 32, 24)


def test_windows_have_their_own_size():
    cfg = model_config(**{'model.test_cfg': dict(mode='slide', crop_size=(13, 9), stride=(7, 5))})
    cfg.model.backbone.update(base_channels=16, blocks=BASIC, stem='standard')
    cfg.model.decode_head.update(type='PointRendHead', in_channels=(16, 32, 64, 128))
    model = apis.build_model(cfg).eval()
    with torch.no_grad():
        assert model.predict(torch.zeros(1, 3, 20, 21))[0].seg_logits.data.shape == (4, 20, 21)


def test_half_precision_training_step():
    net, head = small(), AggregateHead(WIDTHS, loss_decode=CE)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = head.loss(net(torch.randn(2, 3, 11, 7)), samples(), {})
    losses['loss_ce'].backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())
