"""Constellation layer, and the decode heads of this family inside a segmentor."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.layers.constellation import ConstellationLayer, prototypes
from mmseg_medical.registry import MODELS


def test_prototypes_of_the_plane():
    points = prototypes(4)
    torch.testing.assert_close(points, torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]]))
    for k in (1, 2, 3, 14):
        assert prototypes(k).shape == (k, 2)
        torch.testing.assert_close(prototypes(k).norm(dim=1), torch.ones(k))
        torch.testing.assert_close(prototypes(k)[0], torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize('dims', [1, 3, 8])
def test_other_prototypes_are_random_but_their_own(dims):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    points = prototypes(6, dims)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(6))
    assert torch.equal(points, prototypes(6, dims))
    assert dims == 1 or not torch.equal(points, prototypes(6, dims, seed=1))


@pytest.mark.parametrize(('dims', 'size'), [(2, (5, 7)), (3, (1, 1)), (1, (2, 9))])
def test_logits_are_scaled_squared_distances(dims, size):
    torch.manual_seed(0)
    layer = ConstellationLayer(6, 5, dims).double()
    with torch.no_grad():
        layer.gamma.fill_(-0.7)
    logits, embedded = layer(torch.randn(2, 6, *size, dtype=torch.float64))
    assert logits.shape == (2, 5, *size)
    assert embedded.shape == (2, dims, *size)
    assert embedded.abs().max() <= 1
    scale = math.log1p(math.exp(-0.7))
    for k, point in enumerate(layer.prototypes):
        distance = sum((embedded[:, d] - point[d]) ** 2 for d in range(dims))
        torch.testing.assert_close(logits[:, k], -scale * distance)


def test_a_point_on_its_prototype_is_sure():
    """There the logit is 0, and -2 softplus(1) for the neighbours of four."""
    layer = ConstellationLayer(4, 4)
    layer.embed = nn.Identity()
    logits, _ = layer(layer.prototypes[2].reshape(1, 2, 1, 1))
    s = F.softplus(torch.tensor(1.0)).item()
    assert logits.flatten().tolist() == pytest.approx([-4 * s, -2 * s, 0, -2 * s], abs=1e-5)
    assert s == pytest.approx(1.313262, abs=1e-6)


@pytest.mark.parametrize('arguments', [(1, 4), (4, 0), (4, 4, 0)])
def test_constellation_arguments(arguments):
    with pytest.raises(ConfigError, match='at least 2 channels, 1 class and 1 dimension'):
        ConstellationLayer(*arguments)


# --- decode heads in a segmentor ------------------------------------------------------------------------------------

DECODE_HEADS = {
    'constellation': dict(type='ConstellationHead'),
    'gabor': dict(type='ImplicitHead', implicit=dict(type='GaborHead', hidden=32, chunk_points=100)),
    'gated': dict(type='ImplicitHead', implicit=dict(type='EnergyGatedGaborHead', hidden=32)),
    'shearlet': dict(type='ImplicitHead', implicit=dict(type='ShearletHead', hidden=32), dropout_ratio=0.1),
    'supervised': dict(type='ConstellationHead', supervision_weights=(0.4, 0.3, 0.2, 0.1)),
    'fused': dict(type='AggregateHead', implicit=dict(type='ShearletHead', hidden=32)),
    'retinal': dict(type='AggregateHead', refine=dict(type='RetinalLayer', out_channels=120)),
    'masked': dict(type='AggregateHead', refine=dict(type='SpectralMask', size=(10, 7))),
}


def segmentor(stem='standard', **head):
    init_default_scope('mmseg_medical')
    return MODELS.build(
        dict(
            type='mmseg.EncoderDecoder',
            backbone=dict(type='HRNetDCN', base_channels=8, stem=stem, blocks=[['basic']] * 3),
            decode_head=dict(
                in_channels=(8, 16, 32, 64), num_classes=3,
                loss_decode=dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True), **head,
            ),
            test_cfg=ConfigDict(mode='whole'),
        )
    )  # fmt: skip


def sample(size):
    data = SegDataSample(metainfo=dict(img_shape=size, ori_shape=size, pad_shape=size))
    data.gt_sem_seg = PixelData(data=torch.randint(3, (1, *size)))
    return data


@pytest.mark.parametrize('name', DECODE_HEADS)
def test_heads_train_and_predict(name):
    torch.manual_seed(0)
    stem, size = ('full', (10, 7)) if name == 'masked' else ('standard', (38, 29))
    model = segmentor(stem, **DECODE_HEADS[name])
    images, samples = torch.randn(2, 3, *size), [sample(size), sample(size)]
    losses = model(images, samples, mode='loss')
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    with torch.no_grad():
        result = model.eval()(images, samples, mode='predict')[0]
    assert result.seg_logits.data.shape == (3, *size)
    assert result.pred_sem_seg.data.max() < 3


def test_implicit_head_answers_at_the_size_of_the_image():
    head = segmentor(**DECODE_HEADS['gabor']).decode_head.eval()
    maps = [torch.randn(1, 8 * 2**i, *size) for i, size in enumerate([(5, 4), (3, 2), (2, 1), (1, 1)])]
    torch.testing.assert_close(head(maps, (18, 13)), head.implicit(maps, (18, 13)))
    assert head(maps).shape == (1, 3, 5, 4)


@pytest.mark.parametrize(
    'options', [dict(multi_label=True), dict(num_classes=2, out_channels=1, threshold=0.5)], ids=['multi-label', 'one']
)
def test_a_constellation_takes_a_softmax(options):
    init_default_scope('mmseg_medical')
    with pytest.raises(ConfigError, match='never positive, a sigmoid of one is at most a half'):
        MODELS.build(dict(type='ConstellationHead', in_channels=(8, 16), **options))
