"""Heads on the streams of a high-resolution network: sizes, deep supervision, options."""

import pytest
import torch
from hrnet_cases import CE, WIDTHS, samples, streams
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn
from torch.nn.functional import interpolate

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.decode_heads import AggregateHead, PointRendHead, ProjectionHead
from mmseg_medical.models.layers.aligned import concat_aligned
from mmseg_medical.registry import MODELS

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
