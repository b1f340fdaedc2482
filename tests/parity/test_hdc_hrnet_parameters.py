"""Numbers of parameters of HDC-HRNet's specification, sections 1.11, 3.1 and 10."""

import pytest
import torch
from hdc_hrnet_cases import DCN_222, HYBRID, LOSS, SUPERVISED, count, head
from torch import nn

from mmseg_medical import apis
from mmseg_medical.models.backbones import HRNetDCN, HRNetResNet34
from mmseg_medical.models.decode_heads import PointRendHead, ProjectionHead


@pytest.fixture
def meta():
    """Networks without numbers, where sizes alone matter."""
    with torch.device('meta'):
        yield


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
