"""Acceptance facts and golden values of RARE-UNet's specification, sections 1, 2 and 9.

The routing table of section 1.5 is in models/test_resolution_routing.py, the metrics of sections 5 and 9 in
evaluation/functional/test_legacy.py, the conversion of 1.6 in test_rare_unet_conversion.py. The traps of section 8
are closed by these tests:

1, 2, 3, 17, 18, 19. metrics: evaluation/
4. labels and images reduced to different places: datasets/transforms/test_simulate_scale.py,
   models/test_volume_losses.py::test_deep_supervision_weighs_and_resizes
5. weights that do not add up, divided twice: test_weights_of_the_levels, test_consistency_norms
6, 20. each hook watches its own score: engine/test_rare_unet_recipe.py; without a GPU: apis.train says so
7, 16. splits, pairs of files: datasets/
8. every image resized to full resolution: models/test_rare_unet_segmentor.py::test_spacing_is_the_better_guide
9, 10. random reduction: datasets/transforms/test_random_reduced_scale.py
11. what is cut away is not scored: models/test_rare_unet_segmentor.py::test_predictions_lie_on_the_native_grid
12, 13. percentiles: datasets/transforms/test_normalize_intensity.py
14. nothing left at the bottom: test_too_deep_for_the_target
15. norms: models/test_unet.py
"""

import math
import warnings

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.structures import SegDataSample
from sine_fill import fill, wave
from torch import Tensor, nn

from mmseg_medical.models.backbones import RAREUNet
from mmseg_medical.models.decode_heads.rare_unet_head import RAREUNetHead
from mmseg_medical.models.layers.resolution_routing import RoutingError
from mmseg_medical.models.losses.consistency import consistency_loss, consistency_ramp, consistency_terms
from mmseg_medical.structures import VolumeData

TARGET = (32, 64, 32)
SIZES = [tuple(n // 2**d for n in TARGET) for d in range(4)]
pytestmark = pytest.mark.filterwarnings('ignore:target_size .* leaves')


@pytest.fixture(autouse=True, scope='module')
def _scope():
    init_default_scope('mmseg_medical')


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def build(in_channels: int = 1, classes: int = 3, gate_depth: int = 2, divisions: int = 5, **options) -> nn.Module:
    """Network and head of the published configuration."""
    channels = [min(32 * 2**d, 320) for d in range(divisions + 1)]
    net = nn.Module()
    net.backbone = RAREUNet(in_channels, channels, gate_depth=gate_depth, **options)
    net.decode_head = RAREUNetHead(in_channels=channels[:4], num_classes=classes, num_divisions=divisions)
    return net


# --- parameters -----------------------------------------------------------------------------------------------------


def used(net: nn.Module, level: int) -> int:
    """Parameters of the path of a level."""
    unet = net.backbone.unet
    entry = net.backbone.gates[level - 1] if level else unet.encoders[0]
    shared = [*unet.encoders[level + 1 :], *unet.ups[level:], *unet.decoders[level:]]
    return count(entry, *shared, net.decode_head.classifiers[level])


@pytest.mark.parametrize(
    ('options', 'total', 'paths'),
    [
        ((1, 3, 2, 5), 32_734_604, (30_396_035, 30_203_139, 29_430_275, 26_336_259)),
        ((4, 4, 2, 5), 32_773_968, (30_398_660, 30_208_388, 29_440_772, 26_357_252)),
        ((4, 4, 4, 5), 37_421_520, (30_398_660, 30_429_956, 30_326_276, 29_897_732)),
        ((1, 3, 4, 5), 37_382_156, (30_396_035, 30_424_707, 30_315_779, 29_876_739)),
        ((1, 3, 2, 4), 18_907_404, (16_568_835, 16_375_939, 15_603_075, 12_509_059)),
    ],
)
def test_parameters(options, total, paths):
    with torch.device('meta'):
        net = build(*options)
    assert count(net) == total
    assert count(net.backbone.unet, net.decode_head.classifiers[0]) == paths[0]
    assert tuple(used(net, d) for d in range(4)) == paths


def test_parameters_of_the_parts():
    with torch.device('meta'):
        net = build()
    unet, head = net.backbone.unet, net.decode_head.classifiers
    assert [count(e) for e in unet.encoders] == [28_704, 166_272, 664_320, 2_655_744, 4_978_560, 5_531_520]
    assert [count(u) for u in unet.ups][::-1] == [2_765_120, 2_212_096, 884_864, 221_248, 55_328]
    assert [count(d) for d in unet.decoders][::-1] == [5_530_560, 3_539_712, 885_120, 221_376, 55_392]
    assert [count(g) for g in net.backbone.gates] == [112_704, 446_592, 1_777_920]
    assert [count(h) for h in head] == [99, 195, 387, 771]
    assert len(net.state_dict()) == 110


def test_class_defaults_are_the_published_configuration():
    with torch.device('meta'):
        assert count(RAREUNet(), RAREUNetHead()) == 32_734_604
    rates = {module.p for module in RAREUNet(channels=(4,) * 6).modules() if isinstance(module, nn.Dropout3d)}
    assert rates == {0.2}


# --- golden forward values ------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def golden() -> nn.Module:
    return fill(build().double().eval())


@pytest.fixture(scope='module')
def scales(golden):
    """Maps of all levels from one image at full resolution, and their logits."""
    with torch.no_grad():
        maps = golden.backbone.all_levels(wave(1, 1, *TARGET))
        return maps, golden.decode_head(maps)


def fingerprint(out: Tensor) -> list[float]:
    flat = out.flatten()
    mean, std = flat.mean(), flat.std(unbiased=False)
    return [float(v) for v in (mean, std, flat[0], flat[len(flat) // 2], flat[-1])]


def test_shapes(scales):
    maps, logits = scales
    assert [tuple(out.shape) for out in logits] == [(1, 3, *size) for size in SIZES]
    assert maps.levels == (0, 1, 2, 3)
    for (gate, encoder), c, size in zip(maps.pairs, (64, 128, 256), SIZES[1:], strict=True):
        assert gate.shape == encoder.shape == (1, c, *size)


@pytest.mark.parametrize(
    ('level', 'expected'),
    [
        (0, [0.00940592, 0.01710106, 0.03746703, -0.00156733, -0.00563820]),
        (1, [0.00486011, 0.06116550, 0.01054883, -0.00917663, -0.00706885]),
        (2, [0.00132898, 0.23563341, -0.01324332, 0.06664787, 0.02936515]),
        (3, [-0.00455804, 1.05681363, 0.52351766, 0.11101265, -0.07106194]),
    ],
)
def test_golden_paths(golden, scales, level, expected):
    with torch.no_grad():
        maps = golden.backbone(wave(1, 1, *SIZES[level]))
        (logits,) = golden.decode_head(maps)
    assert maps.levels == (level,)
    assert level or torch.equal(logits, scales[1][0])
    assert fingerprint(logits) == pytest.approx(expected, abs=1e-7)


def test_golden_reduced_image(scales):
    expected = [0.00547206, 0.06037606, 0.01037790, -0.00507933, -0.01434201]
    assert fingerprint(scales[1][1]) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize('level', [1, 2, 3])
def test_inference_of_a_reduced_image_is_the_training_output(golden, scales, level):
    backbone = golden.backbone
    image = backbone.reduced(wave(1, 1, *TARGET), level)
    backbone.routing['strict'] = bool(level % 2)  # of exact sizes both rules make the same
    with torch.no_grad():
        assert torch.equal(golden.decode_head(backbone(image))[0], scales[1][level])
    backbone.routing['strict'] = False


def test_golden_four_modalities():
    net = fill(build(4, 4, 4, target_size=(64, 64, 32)).double().eval())
    with torch.no_grad():
        for size, expected in (
            ((64, 64, 32), [0.00451483, -0.00250060, -0.00782386]),
            ((8, 8, 4), [0.32852060, -0.33880835, -0.71440399]),
        ):
            (logits,) = net.decode_head(net.backbone(wave(1, 4, *size)))
            assert fingerprint(logits)[2:] == pytest.approx(expected, abs=1e-7)


# --- losses ---------------------------------------------------------------------------------------------------------


def test_golden_consistency(scales):
    terms = consistency_terms(scales[0].pairs)
    assert [float(term) for term in terms] == pytest.approx([0.68679629, 0.89598165, 0.69319413], abs=1e-7)
    assert float(consistency_loss(terms)) == pytest.approx(0.25288578, abs=1e-7)


def test_consistency_norms():
    terms = [torch.tensor(v) for v in (1.0, 2.0, 6.0)]
    assert float(consistency_loss(terms)) == pytest.approx(1.0)
    assert float(consistency_loss(terms, 'mean')) == pytest.approx(3.0)
    with pytest.raises(ValueError, match="'squared' or 'mean'"):
        consistency_loss(terms, 'sum')


def test_golden_losses(golden, scales):
    """Labels k mod 3; the terms of the levels one by one, their sum, and the total."""
    head = golden.decode_head
    labels = (torch.arange(math.prod(TARGET)) % 3).reshape(1, *TARGET)
    (term,) = head.loss_decode
    for d, expected in enumerate((0.81839538, 0.81987585, 0.83082646, 0.97639492)):
        coarse = labels[:, :: 2**d, :: 2**d, :: 2**d]
        assert float(term(scales[1][d], coarse)) == pytest.approx(expected, abs=1e-7)
    sample = SegDataSample()
    sample.gt_sem_seg = VolumeData(data=labels.to(torch.uint8))
    losses = head.loss(scales[0], [sample])
    segmentation = losses[term.loss_name]
    assert segmentation.item() == pytest.approx(0.68909852, abs=1e-7)
    assert float(losses['loss_consistency']) == pytest.approx(0.25288578, abs=1e-7)
    assert sum(v for k, v in losses.items() if 'loss' in k).item() == pytest.approx(0.94198431, abs=1e-7)
    assert float(losses['consistency_scale2']) == pytest.approx(0.89598165, abs=1e-7)


@pytest.mark.parametrize(
    ('scores', 'labels', 'cross_entropy', 'dice', 'both'),
    [
        ([[0, 0, 0], [0, 0, 0]], [1, 2], 1.0986123, 0.6, 0.7745143),
        ([[0, 0, 0], [0, 0, 0]], [1, 1], 1.0986123, 0.75, 0.8720143),
        ([[0, 0, 0], [0, 0, 0]], [0, 0], 1.0986123, 1.0, 1.0345143),
        ([[0, 1, 0], [0, 0, 2]], [1, 2], 0.3954947, 0.2639039, 0.3099607),
    ],
)
def test_loss_by_hand(scores, labels, cross_entropy, dice, both):
    (term,) = RAREUNetHead(in_channels=(1, 1)).loss_decode
    logits = torch.tensor(scores, dtype=torch.float64).T.reshape(1, 3, 1, 1, 2)
    target = torch.tensor(labels).reshape(1, 1, 1, 2)
    assert float(term(logits, target)) == pytest.approx(both, abs=1e-7)
    assert 0.35 * cross_entropy + 0.65 * dice == pytest.approx(both, abs=1e-7)


def test_weights_of_the_levels():
    def weights(*args, **options):
        return RAREUNetHead(*args, in_channels=(1,) * 4, **options).supervision_weights

    assert weights() == pytest.approx([0.2] * 4)  # they add up to 0.8
    assert weights(num_divisions=4) == pytest.approx([0.25] * 4)
    assert weights('corrected') == 'equal'
    assert weights(supervision_weights=(4, 3, 2, 1)) == (4, 3, 2, 1)


def test_ramp():
    assert [consistency_ramp(epoch, 0) for epoch in (0, 1, 50)] == [1, 1, 1]
    assert consistency_ramp(0, 20) == pytest.approx(5e-8, rel=1e-6)
    assert consistency_ramp(10, 20) == pytest.approx(0.5, abs=1e-7)
    assert [consistency_ramp(epoch, 20) for epoch in (20, 21, 79)] == [1, 1, 1]


# --- gradients ------------------------------------------------------------------------------------------------------


def small(**options) -> RAREUNet:
    torch.manual_seed(0)
    return RAREUNet(1, (2, 3, 4, 5, 6), target_size=(32, 32, 32), drop_rate=0.0, **options)


def reached(net: RAREUNet) -> set[str]:
    """Parts whose parameters have a gradient that is not zero."""
    found = {name for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
    return {'.'.join(name.removeprefix('unet.').split('.')[:2]) for name in found}


def test_consistency_moves_gates_only():
    net = small().train()
    maps = net(torch.randn(2, 1, 32, 32, 32))
    consistency_loss(consistency_terms(maps.pairs)).backward()
    assert reached(net) == {'gates.0', 'gates.1', 'gates.2'}


@pytest.mark.parametrize('level', range(4))
def test_a_path_moves_its_own_entry_and_what_lies_below(level):
    net = small().train()
    maps = net(torch.randn(2, 1, 32, 32, 32))
    maps.maps[level].square().sum().backward()
    entry = {f'gates.{level - 1}'} if level else {'encoders.0'}
    below = {f'encoders.{d}' for d in range(level + 1, 5)}
    above = {f'{part}.{d}' for d in range(level, 4) for part in ('ups', 'decoders')}
    assert reached(net) == entry | below | above


# --- the bottom -----------------------------------------------------------------------------------------------------


def test_too_deep_for_the_target():
    with torch.device('meta'):
        with pytest.raises(ValueError, match=r'\(32, 32, 32\) are halved 5 times and leave \(1, 1, 1\) voxels'):
            RAREUNet(target_size=(32, 32, 32))
        with pytest.raises(ValueError, match='leave'):
            RAREUNet(target_size=(16, 128, 128))
        RAREUNet(target_size=(32, 32, 32), norm='batch')
        with pytest.warns(UserWarning, match='leaves 2 voxels at the bottom of 5 halvings'):
            RAREUNet()
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            RAREUNet(target_size=(64, 64, 64))


def test_failures_of_the_release_are_errors_beforehand(golden):
    golden.backbone.routing['strict'] = True
    try:
        for size in ((35, 51, 35), (30, 60, 30), (33, 64, 32), (64, 64, 32)):
            with pytest.raises(RoutingError, match=r'level 0, whose path fails|size of no level'):
                golden.backbone(torch.zeros(1, 1, *size, dtype=torch.float64))
    finally:
        golden.backbone.routing['strict'] = False
