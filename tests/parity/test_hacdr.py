"""Acceptance facts and golden values of HACDR-Net's specification, sections 1, 3, 5 and 9.

The traps of its section 8 are closed by these tests:

1. optional branch never built, fractional padding: models/test_hacdr_net.py::test_optional_branch_keeps_the_size
2. offsets overwritten, initialisation skipped: test_initial_distributions, test_zero_initial_offsets,
   models/test_hacdr_net.py::test_initialisation_happens_before_a_pretrained_checkpoint
3. loss bound to CUDA: models/test_losses.py::test_nothing_of_it_is_stored_or_bound_to_a_device
4. loss name that is not trained on: models/test_losses.py::test_na_loss_arguments
5. mean over nothing: test_na_loss_of_nothing_is_zero_and_differentiable
6. fixed ignore value, ignored arguments: models/test_losses.py::test_the_ignore_label_is_the_one_given,
   test_without_noise_and_mining_it_is_cross_entropy
7. counts of another data set: test_na_loss_counts_of_idrid_are_its_own,
   models/test_losses.py::test_counts_come_from_a_file
8. stem ignores in_channels, mutable defaults: models/test_hacdr_net.py::test_stem_takes_the_channels_it_is_given,
   test_defaults_cannot_be_changed
9. names that lie: the layers are called what they are; test_parameters_of_the_backbone names them
10. one name registered twice, one folder for two splits: datasets/test_leakage.py, datasets/test_merged_layout.py
11. background in the mean, classes dropped silently: evaluation/metrics
12. cat_max_ratio that never succeeds: datasets/transforms (LesionCrop)
13. DDR's oddly named folder: datasets/test_fundus_lesions.py
"""

import json
import math
from pathlib import Path

import pytest
import torch
from golden import fill, wave
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from torch import nn

from mmseg_medical.models import HACDRHead, HACDRNet, NALoss
from mmseg_medical.models.layers import HACDRBlock, ModulatedDeformConv2dPack
from mmseg_medical.models.losses.na_loss import noise_rates
from mmseg_medical.registry import MODELS

COUNTS = [8.6558e8, 1.6184e6, 2.1746e5, 8.5343e5, 3.3566e6]
WEIGHTS = [0.5, 0.7, 1.5, 0.7, 1.1]


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope='module')
def config():
    init_default_scope('mmseg_medical')
    return Config.fromfile('configs/hacdr/idrid.py')


@pytest.fixture(scope='module')
def golden_model(config):
    return fill(MODELS.build(config.model).double().eval())


# --- parameters -----------------------------------------------------------------------------------------------------


def test_parameters_of_the_backbone():
    net = HACDRNet()
    assert count(net) == 23_527_057
    assert len(list(net.parameters())) == 580
    assert len(net.state_dict()) == 673
    assert [count(net.stem), *map(count, net.downsamples)] == [5_184, 34_230, 123_798, 447_222]
    assert [count(stage) for stage in net.stages] == [444_801, 1_374_753, 10_735_575, 10_360_470]
    assert [count(stage[0]) for stage in net.stages] == [148_267, 458_251, 2_147_115, 5_180_235]
    assert [count(stage[0].attn) for stage in net.stages] == [128_843, 386_635, 1_934_155, 4_642_891]
    assert [count(stage[0].attn.local) for stage in net.stages] == [60_907, 121_739, 304_235, 486_731]
    for half in (0, 1):
        cross = [count(stage[0].attn.branches['cross'][half]) for stage in net.stages]
        assert cross == [31_040, 123_520, 769_600, 1_968_640]
    for stage, channels in zip(net.stages, (32, 64, 160, 256), strict=True):
        strips = [count(stage[0].attn.branches[f'strip_{k}'][half]) for k in (7, 11, 21) for half in (0, 1)]
        assert strips == [8 * channels] * 2 + [12 * channels] * 2 + [22 * channels] * 2
    assert [count(stage[0].ffn) for stage in net.stages] == [19_232, 71_232, 212_000, 535_808]
    assert [count(norm) for norm in net.norms] == [64, 128, 320, 512]


def test_parameters_of_head_and_whole(golden_model):
    head = golden_model.decode_head
    assert [count(decoder) for decoder in head.decoders] == [830_400, 166_272, 37_056]
    assert (count(head.align), count(head.conv_seg), count(head)) == (1_088, 165, 1_034_981)
    assert count(golden_model) == 24_562_038


def test_parameters_of_the_optional_branch():
    released, optional = HACDRNet(), HACDRNet(optional_kernel=7)
    per_block = [count(b[0]) - count(a[0]) for a, b in zip(released.stages, optional.stages, strict=True)]
    assert per_block == [316_800, 1_264_384, 7_891_840, 20_196_352]
    assert count(HACDRNet('paper')) == count(optional) == 23_527_057 + 84_595_456 == 108_122_513


def test_class_defaults_of_the_release():
    """The original class, built without arguments, was four times as large."""
    net = HACDRNet(embed_dims=(64, 128, 256, 512), ffn_ratios=(4, 4, 4, 4), depths=(3, 4, 6, 3))
    assert count(net) == 98_846_866


# --- shapes and rates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('size', 'stages'),
    [
        ((960, 1440), [(240, 360), (120, 180), (60, 90), (30, 45)]),
        ((956, 1440), [(239, 360), (120, 180), (60, 90), (30, 45)]),
        ((1280, 1280), [(320, 320), (160, 160), (80, 80), (40, 40)]),
    ],
)
def test_shapes(size, stages):
    """Where shapes alone matter, the cheapest layers do: none of the switches changes a size."""
    net = HACDRNet(
        embed_dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), ffn_ratios=(1, 1, 1, 1), strip_kernels=(),
        cross_deformable=False, local_deformable=False, downsample_deform_groups=1,
    ).eval()  # fmt: skip
    head = HACDRHead((8, 8, 16, 16), channels=8, loss_decode=dict(type='mmseg.CrossEntropyLoss')).eval()
    with torch.no_grad():
        outs = net(torch.zeros(1, 3, *size))
        assert [tuple(o.shape[2:]) for o in outs] == stages
        assert head(outs).shape == (1, 5, *stages[0])


def test_drop_path_rates():
    rates = [getattr(block.drop_path, 'drop_prob', 0.0) for stage in HACDRNet().stages for block in stage]
    assert rates == pytest.approx([0.1 * j / 12 for j in range(13)], abs=1e-9)
    assert isinstance(HACDRNet().stages[0][0].drop_path, nn.Identity)


# --- golden forward values ------------------------------------------------------------------------------------------

STAGES = {
    (64, 96): [
        ((32, 16, 24), 0.879505234, -0.470172232, -1.496267999),
        ((64, 8, 12), 0.861121974, 0.063265533, -1.388521219),
        ((160, 4, 6), 0.900232883, -1.248505924, 0.286494656),
        ((256, 2, 3), 0.887733015, -0.210908220, 0.911686217),
    ],
    (60, 92): [
        ((32, 15, 23), 0.888463637, 0.404915443, -0.554276151),
        ((64, 8, 12), 0.882064449, -0.637871097, -0.394250085),
        ((160, 4, 6), 0.900763755, 1.319098440, -0.073172833),
        ((256, 2, 3), 0.898808628, 0.114023046, -1.059288652),
    ],
}
LOGITS = {
    (64, 96): (
        (5, 16, 24), 0.012453161, 0.023041040,
        [0.003414454, 0.003175409, 0.001883546, -0.000032812, -0.001938291],
    ),
    (60, 92): (
        (5, 15, 23), 0.006244676, 0.011176511,
        [0.002033244, -0.008861212, -0.016817704, -0.019198231, -0.015213521],
    ),
}  # fmt: skip


@pytest.mark.parametrize('size', STAGES)
def test_golden_stages_and_logits(golden_model, size):
    with torch.no_grad():
        stages = golden_model.backbone(wave(1, 3, *size))
        logits = golden_model(wave(1, 3, *size), mode='tensor')
    for stage, (shape, mean_abs, first, second) in zip(stages, STAGES[size], strict=True):
        assert stage.shape == (1, *shape)
        values = [stage.abs().mean().item(), stage[0, 0, 0, 0].item(), stage[0, 1, 1, 1].item()]
        assert values == pytest.approx([mean_abs, first, second], abs=1e-6)
    shape, mean, mean_abs, corner = LOGITS[size]
    assert logits.shape == (1, *shape)
    assert [logits.mean().item(), logits.abs().mean().item()] == pytest.approx([mean, mean_abs], abs=1e-6)
    assert logits[0, :, 0, 0].tolist() == pytest.approx(corner, abs=1e-6)


def test_golden_first_block(golden_model):
    block, x = golden_model.backbone.stages[0][0], wave(1, 32, 8, 12)
    with torch.no_grad():
        out = block(x)
        gated = block.attn.attention_map(x) * x
    values = [out.abs().mean().item(), out[0, 0, 0, 0].item(), out[0, 31, 7, 11].item()]
    assert values == pytest.approx([0.956126344, 0.147304728, -0.936298538], abs=1e-6)
    assert [gated.abs().mean().item(), gated[0, 0, 0, 0].item()] == pytest.approx([0.445831489, -0.064197511], abs=1e-6)


def test_block_without_layer_scale_is_the_identity():
    block = HACDRBlock(8, 16)
    nn.init.zeros_(block.layer_scale1)
    nn.init.zeros_(block.layer_scale2)
    x = torch.randn(2, 8, 7, 5)
    assert torch.equal(block(x), x)


def test_fresh_deformable_pack_is_half_a_convolution():
    pack = ModulatedDeformConv2dPack(4, 6, 3, 2, 1, deform_groups=2)
    nn.init.normal_(pack.bias)
    x = torch.randn(2, 4, 9, 7)
    expected = nn.functional.conv2d(x, 0.5 * pack.weight, pack.bias, 2, 1)
    torch.testing.assert_close(pack(x), expected)


# --- initialisation -------------------------------------------------------------------------------------------------


def test_initial_distributions():
    torch.manual_seed(0)
    net = HACDRNet()
    net.init_weights()
    d0 = [stage[0].attn.local for stage in net.stages]
    assert [d.conv_offset.weight.std().item() for d in d0] == pytest.approx([0.03266] * 4, rel=0.02)
    cross = [stage[0].attn.branches['cross'][0].conv_offset.weight.std().item() for stage in net.stages]
    assert cross == pytest.approx([0.04811, 0.03402, 0.02152, 0.01701], rel=0.02)
    embeddings = [d.conv.conv_offset.weight.std().item() for d in net.downsamples]
    assert embeddings == pytest.approx([0.06415] * 3, rel=0.02)
    bound = 1 / math.sqrt(32 * 25)  # the channels are not divided by the groups
    assert d0[0].weight.abs().max().item() == pytest.approx(bound, rel=0.02)
    assert not any(p.any() for n, p in net.named_parameters() if n.endswith('conv_offset.bias'))


def test_zero_initial_offsets():
    net = HACDRNet('paper', depths=(1, 1, 1, 1), optional_kernel=0)
    net.init_weights()
    offsets = [p for n, p in net.named_parameters() if 'conv_offset' in n]
    assert len(offsets) == 2 * (3 + 4 * 3)
    assert not any(p.any() for p in offsets)
    assert net.stem[0].weight.any()


# --- losses ---------------------------------------------------------------------------------------------------------

R = [0.182172, 0.202877, 0.209493, 0.204986, 0.200473]


def hand_example():
    logits = torch.zeros(1, 5, 1, 4, dtype=torch.float64)
    logits[0, 0, 0, 0], logits[0, 1, 0, 1], logits[0, 2, 0, 2], logits[0, 3, 0, 3] = 2.0, 0.4, -1.0, 3.0
    return logits.requires_grad_(), torch.tensor([[[0, 1, 2, 255]]])


class FixedNoise(NALoss):
    """NALoss whose sampler returns one value everywhere."""

    def __init__(self, value, **kwargs):
        super().__init__(class_counts=COUNTS, class_weight=WEIGHTS, loss_weight=0.2, **kwargs)
        self.value = value

    def sample_noise(self, logits):
        return torch.full_like(logits, self.value)


def test_noise_rates():
    assert noise_rates(COUNTS).tolist() == pytest.approx(R, abs=1e-6)
    assert noise_rates(COUNTS).sum().item() == pytest.approx(1.0)


def test_mean_noise_strength():
    """sigma = 4 clamped to 1: four fifths of the noise saturate, the mean is 0.9008."""
    loss, logits = NALoss(class_counts=COUNTS), torch.zeros(1, 5, 400, 500)
    noise = loss.sample_noise(logits).clamp(-1, 1).abs()
    assert noise.mean().item() == pytest.approx(0.9008, abs=2e-3)
    assert (noise == 1).float().mean().item() == pytest.approx(0.8026, abs=3e-3)


def test_cross_entropy_of_the_hand_example(golden_model):
    logits, target = hand_example()
    loss = golden_model.decode_head.loss_decode
    assert loss(logits, target, ignore_index=255).item() == pytest.approx(1.2100063, abs=5e-7)
    per_pixel = loss(logits, target, ignore_index=255, reduction_override='none').flatten().tolist()
    assert per_pixel == pytest.approx([0.2163265, 0.9122824, 3.7114162, 0.0], abs=5e-7)
    assert loss.class_weight == WEIGHTS


@pytest.mark.parametrize(
    ('noise', 'options', 'expected'),
    [
        (0, dict(threshold=0.5, min_kept=1), 0.4623699),
        (0, dict(threshold=0.5, min_kept=2), 0.4623699),
        (0, dict(threshold=0.5), 0.4623699),
        (1, dict(threshold=0.5, min_kept=1), 0.7390363),
        (-5, dict(threshold=0.5, min_kept=1), 0.7390363),
        (1, dict(threshold=0.5, min_kept=2), 0.4605659),
        (1, dict(threshold=0.5), 0.4605659),
        (0, dict(threshold=0.7, min_kept=1), 0.4623699),
        (0, dict(threshold=0.7, min_kept=1, score='softmax'), 0.3226683),
    ],
)
def test_na_loss_of_the_hand_example(noise, options, expected):
    logits, target = hand_example()
    assert FixedNoise(noise, **options)(logits, target).item() == pytest.approx(expected, abs=1e-6)


def test_na_loss_counts_of_idrid_are_its_own():
    (_, loss) = Config.fromfile('configs/hacdr/idrid_naloss.py').model.decode_head.loss_decode
    counts = json.loads(Path(loss.class_counts).read_text())
    assert counts['scale'] == [1440, 960]
    assert counts['counts'] != COUNTS
    assert torch.allclose(NALoss(loss.class_counts).rates.double(), noise_rates(counts['counts']), atol=1e-7)


def test_na_loss_without_class_weights():
    logits, target = hand_example()
    loss = FixedNoise(0, threshold=0.5)
    loss.class_weight = None
    assert loss(logits, target).item() == pytest.approx(0.3777538, abs=1e-6)


def test_na_loss_of_nothing_is_zero_and_differentiable():
    logits, target = hand_example()
    for values, labels in ((logits * 0 + 5, target), (logits, torch.full_like(target, 255))):
        loss = FixedNoise(0, threshold=0.5, min_kept=1)(values, labels)
        assert loss.item() == 0
        (gradient,) = torch.autograd.grad(loss, logits)
        assert not gradient.any()


# --- schedule -------------------------------------------------------------------------------------------------------


def test_learning_rates_and_decay(config):
    """Warm-up over a decay that has begun already; the head learns fifteen times as fast; norms do not decay."""
    model = MODELS.build(config.model)
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    groups = {id(g['params'][0]): g for g in wrapper.optimizer.param_groups}
    expected_decay = {}
    for name, parameter in model.named_parameters():
        group = groups[id(parameter)]
        head = name.startswith('decode_head')
        assert group['lr'] == pytest.approx(9e-4 if head else 6e-5)
        expected_decay[name] = 0.0 if 'norm' in name and not head else 0.01
        assert group['weight_decay'] == expected_decay[name], name
    assert expected_decay['backbone.stem.1.weight'] == 0.01
    assert expected_decay['backbone.stages.0.0.layer_scale1'] == 0.01
    assert expected_decay['backbone.downsamples.0.norm.weight'] == 0.0

    slow = groups[id(model.backbone.stem[0].weight)]
    schedulers = [PARAM_SCHEDULERS.build(dict(s, optimizer=wrapper)) for s in config.param_scheduler]
    seen = {}
    for t in range(40_000):
        seen[t] = slow['lr']
        for scheduler in schedulers:
            scheduler.step()
    published = {
        0: 6.0e-11, 1: 4.0059e-8, 750: 2.9437529e-5, 1499: 5.7713e-5, 1500: 5.775e-5, 20000: 3e-5, 39999: 1.5e-9,
    }  # fmt: skip
    for t, lr in published.items():
        warm_up = 1 - (1 - t / 1500) * (1 - 1e-6) if t < 1500 else 1
        assert seen[t] == pytest.approx(6e-5 * (1 - t / 40000) * warm_up, rel=1e-6)
        assert seen[t] == pytest.approx(lr, rel=2e-5)
