"""HDC-HRNet, its sibling and their heads: any size, options, losses, misuse."""

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn
from torch.nn.functional import interpolate

from mmseg_medical import apis
from mmseg_medical.errors import ConfigError
from mmseg_medical.models.backbones import HRNetDCN, HRNetResNet34
from mmseg_medical.models.decode_heads import AggregateHead, PointRendHead, ProjectionHead
from mmseg_medical.models.layers.aligned import concat_aligned, sample_aligned
from mmseg_medical.models.layers.hrnet_stage import HRNetStage
from mmseg_medical.models.layers.point_refinement import PointRefinement, other_pixels
from mmseg_medical.models.layers.stream_classifier import StreamClassifier
from mmseg_medical.models.layers.stream_fusion import StreamFusion
from mmseg_medical.registry import MODELS

BASIC = [['basic']] * 3
CE = dict(type='mmseg_medical.PixelMeanCrossEntropyLoss')
WIDTHS = (8, 16, 32, 64)


def small(**options):
    return HRNetDCN(**{'base_channels': 8, 'blocks': BASIC, **options})


def streams(n=2, sizes=((11, 7), (6, 4), (3, 2), (2, 1)), widths=WIDTHS):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, c, *s, generator=generator) for c, s in zip(widths, sizes, strict=True)]


def samples(n=2, size=(11, 7), classes=4):
    target = torch.arange(n * size[0] * size[1]).reshape(n, 1, *size) % classes
    return [SegDataSample(gt_sem_seg=PixelData(data=truth)) for truth in target]


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


# --- fusion ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('kind', 'finer_kernel'), [('hrnet', 1), ('swapped', 3)])
def test_fusion_against_its_definition(kind, finer_kernel):
    torch.manual_seed(0)
    fusion = StreamFusion((8, 16, 32), kind)
    x = streams(2, ((13, 9), (7, 5), (4, 3)), (8, 16, 32))
    for target, row, out in zip(x, fusion.paths, fusion([t.clone() for t in x]), strict=True):
        terms = [
            interpolate(path(t), target.shape[2:], mode='bilinear', align_corners=True)
            for path, t in zip(row, x, strict=True)
        ]
        torch.testing.assert_close(out, sum(terms).relu())
    assert isinstance(fusion.paths[1][1], nn.Identity)
    down, up = (fusion.paths[2][0].conv, fusion.paths[0][2].conv)[:: 1 if kind == 'hrnet' else -1]
    assert (down.kernel_size, down.stride) == ((3, 3), (4, 4))
    assert (up.kernel_size, up.stride) == ((1, 1), (1, 1))
    assert fusion.paths[0][1].conv.kernel_size == (finer_kernel, finer_kernel)


def test_fusion_leaves_its_inputs():
    x = streams(1, ((5, 4), (3, 2)), (8, 16))
    before = [t.clone() for t in x]
    StreamFusion((8, 16))(x)
    torch.testing.assert_close(x, before)


def test_arguments_of_the_fusion():
    with pytest.raises(ConfigError, match='Did you mean hrnet'):
        StreamFusion((8, 16), 'hrnets')
    with pytest.raises(ConfigError, match='at least two'):
        StreamFusion((8,))


# --- aggregation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('sizes', [((11, 7), (6, 4), (3, 2), (2, 1)), ((1, 1),) * 4, ((5, 1), (3, 1), (2, 1), (1, 1))])
def test_streams_are_classified_as_if_they_were_joined(sizes):
    torch.manual_seed(0)
    x = streams(2, sizes)
    classifier = StreamClassifier(sum(WIDTHS), 4)
    joined = nn.functional.conv2d(concat_aligned(x), classifier.weight, classifier.bias)
    torch.testing.assert_close(classifier(x), joined, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(classifier([concat_aligned(x)]), joined)


@pytest.mark.parametrize('size', [(11, 7), (20, 20), (1, 3), (3, 1), (1, 1), (4, 3)])
def test_sampling_is_that_of_the_joined_map(size):
    x = [t.double() for t in streams(2)]
    index = torch.arange(size[0] * size[1]).flip(0).expand(2, -1)
    whole = interpolate(concat_aligned(x), size, mode='bilinear', align_corners=True).flatten(2).flip(2)
    torch.testing.assert_close(sample_aligned(x, index, size), whole)


def test_sampling_in_half_precision_stays_on_the_pixel():
    x = torch.arange(600.0).remainder(7).reshape(1, 1, 1, 600).bfloat16()
    index = torch.arange(600)[None]
    assert torch.equal(sample_aligned([x], index, (1, 600)), x[:, :, 0])


# --- heads ----------------------------------------------------------------------------------------------------------

KINDS = [AggregateHead, PointRendHead, ProjectionHead]


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('size', [None, (11, 7), (44, 25), (1, 1)])
def test_logits_have_the_size_that_is_asked_for(kind, size):
    head = kind(WIDTHS, loss_decode=CE).eval()
    assert head(streams(), size).shape == (2, 4, *(size or (11, 7)))


@pytest.mark.parametrize('kind', KINDS)
def test_deep_supervision_adds_weighted_losses_of_the_streams(kind):
    torch.manual_seed(0)
    head = kind(
        WIDTHS, loss_decode=[CE, dict(type='mmseg_medical.SoftDiceLoss')], supervision_weights=(0, 0.5, 0.25, 2)
    )
    losses = head.loss(streams(), samples(), {})
    names = [
        f'{prefix}{loss}' for prefix in ('', 'stream1.', 'stream2.', 'stream3.') for loss in ('loss_ce', 'loss_dice')
    ]
    assert sorted(losses) == sorted([*names, 'acc_seg'])
    target = torch.cat([sample.gt_sem_seg.data for sample in samples()])
    own = interpolate(head.classifiers['3'](streams()[3]), (11, 7), mode='bilinear', align_corners=True)
    expected = 2 * nn.functional.cross_entropy(own, target)
    assert losses['stream3.loss_ce'].item() == pytest.approx(expected.item(), rel=1e-5)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in head.parameters())


def test_streams_without_a_weight_have_no_classifier():
    assert list(AggregateHead(WIDTHS, loss_decode=CE, supervision_weights=(0, 1, 0, 1)).classifiers) == ['1', '3']
    assert not AggregateHead(WIDTHS, loss_decode=CE).classifiers


def test_own_classifiers_do_not_run_in_evaluation():
    head = AggregateHead(WIDTHS, loss_decode=CE, supervision_weights=(1, 1, 1, 1)).eval()
    for classifier in head.classifiers.values():
        classifier.register_forward_hook(lambda *_: pytest.fail('computed for nothing'))
    assert head.predict(streams(), [dict(img_shape=(30, 20), pad_shape=(31, 21, 3))], {}).shape == (2, 4, 31, 21)
    assert head.predict(streams(), [dict(img_shape=torch.Size((30, 20)), pad_shape=(99, 99))], {}).shape[2:] == (30, 20)


@pytest.mark.parametrize(
    ('weights', 'message'), [((1, 1), 'one number for each of the 4 streams'), ((1, 1, -1, 1), 'must not be negative')]
)
def test_arguments_of_the_heads(weights, message):
    with pytest.raises(ConfigError, match=message):
        AggregateHead(WIDTHS, loss_decode=CE, supervision_weights=weights)


def test_features_may_be_refined():
    MODELS.register_module('_Doubled', module=_Doubled, force=True)
    plain = AggregateHead(WIDTHS, loss_decode=CE)
    refined = AggregateHead(WIDTHS, loss_decode=CE, refine=dict(type='_Doubled'))
    refined.load_state_dict(plain.state_dict())
    doubled = plain([2 * x for x in streams()])
    torch.testing.assert_close(refined(streams()), doubled, atol=2e-5, rtol=1e-4)


class _Doubled(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        assert channels == sum(WIDTHS)

    def forward(self, x):
        return 2 * x


def test_logits_of_an_implicit_head_are_blended():
    torch.manual_seed(0)
    head = AggregateHead(WIDTHS, loss_decode=CE, implicit=dict(type='ShearletHead', hidden=8)).eval()
    fine = head.implicit(concat_aligned(streams()), (15, 9))
    main = interpolate(head.conv_seg(streams()), (15, 9), mode='bilinear', align_corners=True)
    share = 0.622459
    torch.testing.assert_close(head(streams(), (15, 9)), (1 - share) * main + share * fine, atol=1e-4, rtol=1e-4)


def test_dropout_takes_whole_channels():
    torch.manual_seed(0)
    head = AggregateHead(WIDTHS, loss_decode=CE, dropout_ratio=0.5)
    seen = []
    head.conv_seg.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs[0]))
    head(streams())
    dropped = torch.cat([(x == 0).flatten(2).all(2) for x in seen], dim=1).float().mean().item()
    assert 0.3 < dropped < 0.7
    assert head.eval()(streams()).shape == (2, 4, 11, 7)


def test_masks_of_classes_that_overlap():
    head = AggregateHead(
        WIDTHS, num_classes=3, multi_label=True, supervision_weights=(1, 0, 0, 0),
        loss_decode=dict(type='mmseg_medical.MultiLabelBCELoss'),
    )  # fmt: skip
    masks = [SegDataSample(gt_sem_seg=PixelData(data=torch.ones(3, 11, 7).long())) for _ in range(2)]
    assert {name.split('.')[0] for name in head.loss(streams(), masks, {})} >= {'stream0'}


# --- point refinement -----------------------------------------------------------------------------------------------


def points(num_points=16, **options):
    return PointRefinement(sum(WIDTHS), 4, num_points, hidden_channels=8, **options)


def test_points_are_distinct_and_three_quarters_uncertain():
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 20, 11)
    index = points().choose(logits)
    assert index.shape == (3, 16)
    assert all(len(set(row.tolist())) == 16 for row in index)
    certainty = logits.softmax(1).amax(1).flatten(1)
    for row, sure in zip(index, certainty, strict=True):
        assert set(row[:12].tolist()) == set(sure.argsort()[:12].tolist())


def test_points_may_repeat_as_released():
    torch.manual_seed(0)
    index = points(repeat_points=True).choose(torch.randn(1, 4, 4, 5))
    assert index.shape == (1, 16)
    assert any(len(set(points(repeat_points=True).choose(torch.randn(1, 4, 4, 5))[0].tolist())) < 16 for _ in range(9))


@pytest.mark.parametrize(('size', 'train', 'test'), [((1, 1), 1, 0), ((1, 3), 3, 0), ((2, 2), 4, 1), ((9, 1), 9, 2)])
def test_maps_smaller_than_the_number_of_points(size, train, test):
    refinement = points()
    logits = torch.randn(2, 4, *size)
    assert refinement.choose(logits).shape == (2, train)
    assert refinement(logits, streams()).shape == logits.shape
    refinement.eval()
    assert refinement.choose(logits).shape == (2, test)
    assert torch.isfinite(refinement(logits, streams())).all()


def test_only_the_points_change_and_the_input_does_not():
    torch.manual_seed(0)
    refinement = points().eval()
    logits = torch.randn(2, 4, 12, 11)
    before = logits.clone()
    refined = refinement(logits, streams())
    assert torch.equal(logits, before)
    changed = (refined != logits).any(1).flatten(1)
    for row, index in zip(changed, refinement.choose(logits), strict=True):
        assert set(row.nonzero()[:, 0].tolist()) == set(index.tolist())


def test_drawn_pixels_are_others():
    torch.manual_seed(0)
    chosen = torch.tensor([[0, 1, 2], [5, 6, 7]])
    drawn = other_pixels(chosen, 8, 5)
    assert [sorted(row) for row in drawn.tolist()] == [[3, 4, 5, 6, 7], [0, 1, 2, 3, 4]]


def test_points_under_autocast():
    head = PointRendHead(WIDTHS, loss_decode=CE)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        logits = head(streams(), (30, 22))
    logits.float().sum().backward()
    assert torch.isfinite(head.points.mlp[0].weight.grad).all()


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
