"""Acceptance facts and golden values of HDC-HRNet's specification, sections 1, 3.1 and 10: networks and heads.

Numbers of parameters, blocks, implicit heads and losses have files of their own beside this one.
"""

import pytest
import torch
from golden import fill, wave
from hdc_hrnet_cases import DCN_222, HYBRID, SUPERVISED, head, widths
from torch.nn.functional import grid_sample, interpolate

from mmseg_medical.models.backbones import HRNetDCN
from mmseg_medical.models.decode_heads import PointRendHead
from mmseg_medical.models.layers.aligned import sample_aligned
from mmseg_medical.models.layers.hrnet_stage import block_dilations
from mmseg_medical.models.layers.point_refinement import PointRefinement, uncertain_pixels


@pytest.fixture
def meta():
    """Networks without numbers, where sizes alone matter."""
    with torch.device('meta'):
        yield


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
