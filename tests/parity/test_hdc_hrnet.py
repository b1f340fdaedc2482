"""Acceptance facts and golden values of HDC-HRNet's specification, sections 1, 3.1 and 10: networks and heads.

Blocks, implicit heads and losses have files of their own beside this one.
"""

import pytest
import torch
from golden import fill, wave
from torch import nn
from torch.nn.functional import grid_sample, interpolate

from mmseg_medical import apis
from mmseg_medical.models.backbones import HRNetDCN, HRNetResNet34
from mmseg_medical.models.decode_heads import AggregateHead, PointRendHead, ProjectionHead
from mmseg_medical.models.layers.aligned import sample_aligned
from mmseg_medical.models.layers.hrnet_stage import block_dilations
from mmseg_medical.models.layers.point_refinement import PointRefinement, uncertain_pixels

LOSS = dict(loss_decode=dict(type='mmseg_medical.HDCHRNetLoss'))
SUPERVISED = dict(supervision_weights=(0.4, 0.3, 0.2, 0.1))
DCN_222 = (('dcn',) * 2,) * 3
HYBRID = tuple(('inverted_residual', 'dcn') * n for n in (1, 2, 3))


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.fixture
def meta():
    """Networks without numbers, where sizes alone matter."""
    with torch.device('meta'):
        yield


def widths(c: int) -> list[int]:
    return [c, 2 * c, 4 * c, 8 * c]


def head(c: int, kind=AggregateHead, **options) -> nn.Module:
    return kind(widths(c), **LOSS, **options)


# --- parameters -----------------------------------------------------------------------------------------------------

# transitions; stages with their fusions; head
MODULES = {
    32: ((221_376, 73_984, 295_424), (160_172, 1_139_140, 6_128_968), (20_672, 144_256, 719_680), 1_924),
    48: ((332_064, 166_272, 664_320), (324_684, 2_396_676, 13_255_848), (46_368, 323_904, 1_617_120), 2_884),
    64: ((442_752, 295_424, 1_180_672), (545_516, 4_112_964, 23_091_208), (82_304, 575_232, 2_872_960), 3_844),
}
TOTALS = {32: (8_326_684, 8_346_044), 48: (17_448_444, 17_467_804), 64: (29_978_076, 29_997_436)}


@pytest.mark.usefixtures('meta')
@pytest.mark.parametrize('c', MODULES)
def test_parameters_of_the_modules(c):
    net, classifier = HRNetDCN(base_channels=c), head(c)
    transitions, stages, fusions, own = MODULES[c]
    assert (count(net.stem), count(net.layer1)) == (19_488, 286_208)
    assert tuple(map(count, net.transitions)) == transitions
    assert tuple(map(count, net.stages)) == stages
    assert tuple(count(stage.fusion) for stage in net.stages) == fusions
    assert count(classifier) == own
    assert count(net, classifier) == TOTALS[c][0]
    standard = HRNetDCN(base_channels=c, stem='standard')
    assert count(standard.stem) == 38_848
    assert count(standard, classifier) == TOTALS[c][1]


@pytest.mark.usefixtures('meta')
def test_parameters_of_stage_2_stream_by_stream():
    for c, streams in ((32, [34_230, 105_270]), (48, [65_142, 213_174]), (64, [105_270, 357_942])):
        net = HRNetDCN(base_channels=c)
        assert list(map(count, net.stages[0].branches)) == streams
        assert count(net.stages[0].branches[0][0]) == 9 * c * c + 246 * c + 27


@pytest.mark.usefixtures('meta')
@pytest.mark.parametrize(
    ('c', 'points', 'supervised'), [(32, 79_108, 1_936), (48, 109_828, 2_896), (64, 140_548, 3_856)]
)
def test_parameters_of_points_and_deep_supervision(c, points, supervised):
    assert count(head(c, PointRendHead)) - count(head(c)) == points
    assert count(head(c, **SUPERVISED)) - count(head(c)) == supervised


@pytest.mark.usefixtures('meta')
@pytest.mark.parametrize(('c', 'added'), [(32, 520_204), (48, 643_084), (64, 765_964)])
def test_parameters_of_the_shearlet_head_and_its_fusion(c, added):
    network = head(c, implicit=dict(type='ShearletHead'))
    assert count(network.implicit) == added
    assert count(network) == count(head(c)) + added + 1


@pytest.mark.usefixtures('meta')
def test_parameters_of_the_configurations():
    """Those of the factories, with their point refinement; deep supervision is of the training scripts."""
    for name, total in (('small', 8_326_684), ('base', 17_558_272), ('large', 30_118_624)):
        cfg = apis.load_config(f'configs/_base_/models/hrnet_dcn_{name}.py')
        cfg.model.decode_head.supervision_weights = ()
        assert count(apis.build_model(cfg)) == total
        cfg.model.backbone.stem = 'standard'
        assert count(apis.build_model(cfg)) == total + 38_848 - 19_488


@pytest.mark.usefixtures('meta')
def test_parameters_with_other_channels_and_classes():
    for c, total in ((32, 8_331_494), (48, 17_455_654)):
        assert count(HRNetDCN(base_channels=c), head(c, num_classes=14)) == total
    for c, total in ((32, 8_326_972), (48, 17_448_732)):
        assert count(HRNetDCN(4, c), head(c)) == total
    points = head(48, PointRendHead)
    assert count(HRNetDCN(1, 48), points) == 17_557_696
    assert count(HRNetDCN(1, 48, stem='standard'), points) == 17_576_480


@pytest.mark.usefixtures('meta')
@pytest.mark.parametrize(
    ('blocks', 'totals'),
    [
        ((('basic',) * 2,) * 3, (5_900_676, 12_694_372, 22_158_660)),
        (DCN_222, (4_242_410, 8_672_266, 14_749_738)),
        (HYBRID, (7_655_328, 16_200_064, 27_998_048)),
    ],
    ids=['basic', 'dcn', 'hybrid'],
)
def test_parameters_of_the_variants(blocks, totals):
    for c, total in zip((32, 48, 64), totals, strict=True):
        assert count(HRNetDCN(base_channels=c, stem='standard', blocks=blocks), head(c)) == total


@pytest.mark.usefixtures('meta')
def test_entries_of_the_state_dict():
    network = nn.ModuleList([HRNetDCN(base_channels=32, stem='standard'), head(32, PointRendHead, **SUPERVISED)])
    assert len(network.state_dict()) == 453


@pytest.mark.usefixtures('meta')
def test_class_defaults_are_the_base_configuration():
    assert count(HRNetDCN(), PointRendHead(**LOSS)) == 17_558_272
    assert count(HRNetResNet34(stem='standard'), ProjectionHead(**LOSS)) == 35_690_436


@pytest.mark.usefixtures('meta')
@pytest.mark.parametrize(
    ('c', 'depths', 'stem', 'total'),
    [
        (32, (2, 3, 4, 2), 'standard', 6_478_692),
        (64, (3, 4, 6, 3), 'standard', 35_690_436),
        (64, (3, 4, 23, 3), 'standard', 62_041_796),
        (48, (3, 4, 6, 3), 'full', 20_088_700),
    ],
)
def test_parameters_of_the_sibling(c, depths, stem, total):
    net = HRNetResNet34(base_channels=c, depths=depths, stem=stem)
    assert count(net, head(c, ProjectionHead)) == total


# --- dilations and shapes -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures('meta')
def test_dilations_of_every_stream():
    net = HRNetDCN(base_channels=8)
    expected = [[1, 1], [1, 2, 4, 8], [1, 2, 4, 8, 16, 32]]
    for stage, dilations in zip(net.stages, expected, strict=True):
        for branch in stage.branches:
            assert [block.conv.dilation for block in branch] == [(d, d) for d in dilations]
    assert block_dilations(2) == (1, 1)
    assert block_dilations(2, 'readme') == (1, 2)
    assert block_dilations(8) == (1, 2, 4, 8, 16, 32, 32, 32)
    assert block_dilations(6, 'none') == (1,) * 6


@pytest.mark.usefixtures('meta')
def test_dilations_count_the_blocks_without():
    net = HRNetDCN(base_channels=8, blocks=HYBRID)
    found = [[block.conv.dilation[0] for block in stage.branches[1][1::2]] for stage in net.stages]
    assert found == [[1], [2, 8], [2, 8, 32]]


SIZES = {
    (224, 'standard'): [56, 28, 14, 7],
    (192, 'standard'): [48, 24, 12, 6],
    (160, 'standard'): [40, 20, 10, 5],
    (200, 'standard'): [50, 25, 13, 7],  # the original cannot
    (208, 'standard'): [52, 26, 13, 7],
    (224, 'full'): [224, 112, 56, 28],
    (53, 'full'): [53, 27, 14, 7],
}


@pytest.mark.usefixtures('meta')
@pytest.mark.parametrize(('size', 'stem'), SIZES)
def test_shapes(size, stem):
    net = HRNetDCN(base_channels=8, stem=stem, blocks=DCN_222)
    streams = net(torch.empty(1, 3, size, size))
    assert [tuple(x.shape) for x in streams] == [
        (1, width, side, side) for width, side in zip(widths(8), SIZES[size, stem], strict=True)
    ]
    classifier = head(8, **SUPERVISED)
    assert classifier(streams, (size, size)).shape == (1, 4, size, size)
    assert [x.shape[2] for x in classifier.stream_logits(streams).values()] == SIZES[size, stem]


# --- golden forward values ------------------------------------------------------------------------------------------

FORWARD = {
    'standard': (
        (64, 96), 0.981037836, 7.839660980, [0.755061502, -2.675912979, 3.460748853, -2.776379741],
        [6.590512262, 10.360139778, 7.403117331, 0.830125056],
    ),
    'full': (
        (16, 24), 1.019927575, 7.435351786, [-0.522664649, -0.962058471, 2.038355217, -2.249301203],
        [8.705784195, 10.245403208, 6.665679907, 0.681049781],
    ),
}  # fmt: skip


@pytest.mark.parametrize('stem', FORWARD)
@torch.no_grad()
def test_golden_logits(stem):
    size, mean, mean_abs, first, auxiliary = FORWARD[stem]
    net = fill(HRNetDCN(base_channels=32, stem=stem).double().eval())
    classifier = fill(head(32, **SUPERVISED).double().eval())
    streams = net(wave(1, 3, *size))
    logits = classifier(streams, size)
    assert logits.mean().item() == pytest.approx(mean, abs=1e-6)
    assert logits.abs().mean().item() == pytest.approx(mean_abs, abs=1e-6)
    assert logits[0, :, 0, 0].tolist() == pytest.approx(first, abs=1e-6)
    own = [
        interpolate(x, size, mode='bilinear', align_corners=True) for x in classifier.stream_logits(streams).values()
    ]
    assert [x.abs().mean().item() for x in own] == pytest.approx(auxiliary, abs=1e-6)
    if stem == 'full':
        fused = fill(head(32, implicit=dict(type='ShearletHead')).double().eval())
        fused.implicit_fusion.fill_(0.5)
        fused.implicit.freq_scales.copy_(torch.linspace(0.5, 4, 4))
        logits = fused(streams, size)
        assert logits.mean().item() == pytest.approx(0.384914180, abs=1e-6)
        assert logits.abs().mean().item() == pytest.approx(2.807590542, abs=1e-6)


@torch.no_grad()
def test_golden_logits_of_point_rend():
    """In float32, as the original: which pixels are uncertain depends on the rounding, hence the wide tolerance."""
    net = fill(HRNetDCN(base_channels=32, stem='standard').eval())
    logits = fill(head(32, PointRendHead).eval())(net(wave(1, 3, 64, 96).float()), (64, 96))
    assert logits.mean().item() == pytest.approx(0.85460, rel=1e-3)
    assert logits.abs().mean().item() == pytest.approx(6.79461, rel=1e-3)


# --- point refinement -----------------------------------------------------------------------------------------------


def test_uncertain_points_of_four_pixels():
    logits = torch.stack((torch.tensor([[0.0, 1.0], [2.0, 5.0]]), torch.zeros(2, 2)))[None]
    assert uncertain_pixels(logits, 2).tolist() == [[0, 1]]
    # their coordinates are (-1, -1) and (1, -1): what is sampled there are the first two pixels
    ramp = torch.arange(4.0).reshape(1, 1, 2, 2)
    assert sample_aligned([ramp], torch.tensor([[0, 1]]), (2, 2)).tolist() == [[[0.0, 1.0]]]


def reference_point_rend(points: PointRefinement, logits, features, index):
    """Section 1.8 word by word."""
    height, width = logits.shape[2:]
    x = 2 * (index % width).double() / (width - 1) - 1
    y = 2 * (index // width).double() / (height - 1) - 1
    grid = torch.stack((x, y), dim=-1)[:, None]
    sampled = [grid_sample(t, grid, align_corners=True)[:, :, 0] for t in (features, logits)]
    refined = points.mlp(torch.cat(sampled, dim=1))
    out = logits.flatten(2).clone()
    for n, row in enumerate(index):
        out[n, :, row] = refined[n]
    return out.view_as(logits)


@pytest.mark.parametrize(('stream', 'size'), [((5, 7), (19, 26)), ((12, 9), (12, 9))])
@torch.no_grad()
def test_point_refinement_against_the_specification(stream, size):
    torch.manual_seed(0)
    maps = [torch.randn(2, c, -(-stream[0] // s), -(-stream[1] // s)).double() for c, s in ((3, 1), (4, 2), (2, 4))]
    logits = torch.randn(2, 3, *size).double()
    points = PointRefinement(9, 3, num_points=20, hidden_channels=8).double().eval()
    joined = torch.cat([interpolate(x, stream, mode='bilinear', align_corners=True) for x in maps], dim=1)
    index = (-logits.softmax(1).amax(1)).flatten(1).topk(20).indices
    torch.testing.assert_close(points(logits, maps), reference_point_rend(points, logits, joined, index))
