import json
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import init_default_scope

from mmseg_medical.models import MultiLabelBCELoss, NALoss, PixelMeanCrossEntropyLoss
from mmseg_medical.models.losses.na_loss import mine_hard_pixels, noise_rates
from mmseg_medical.registry import MODELS

COUNTS = [1000.0, 10.0, 100.0]


def sample(shape=(2, 5, 7), classes=3, ignored=255):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape[0], classes, *shape[1:], generator=generator, dtype=torch.float64)
    target = torch.randint(0, classes, shape, generator=generator)
    target[0, :2] = ignored
    return logits.requires_grad_(), target


# --- NALoss ---------------------------------------------------------------------------------------------------------


def test_rates_by_hand():
    logs = [math.log(n) for n in COUNTS]
    expected = [(sum(logs) - log) / (2 * sum(logs)) for log in logs]
    assert noise_rates(COUNTS).tolist() == pytest.approx(expected)


@pytest.mark.parametrize('counts', [[10.0], [10.0, 0.0], []])
def test_counts_that_give_no_rate(counts):
    with pytest.raises(ValueError, match='class_counts must hold at least two counts'):
        noise_rates(counts)


@given(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=40), st.integers(0, 50), st.floats(-5, 5, width=32))
def test_mining_keeps_what_its_definition_says(scores, min_kept, threshold):
    scores = torch.tensor(scores)
    tau = max(scores.sort().values[min(min_kept, len(scores) - 1)].item(), threshold)
    assert torch.equal(mine_hard_pixels(scores, threshold, min_kept), scores < tau)


def test_mining_of_nothing():
    assert mine_hard_pixels(torch.empty(0), 0.5, 10).shape == (0,)


def test_without_noise_and_mining_it_is_cross_entropy():
    logits, target = sample()
    loss = NALoss(COUNTS, sigma=0, mining=False, class_weight=[0.5, 1.0, 2.0])
    weight = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    per_pixel = F.cross_entropy(logits, target, weight, ignore_index=255, reduction='none')
    assert loss(logits, target).item() == pytest.approx((per_pixel.sum() / (target != 255).sum()).item())
    torch.testing.assert_close(loss(logits, target, reduction_override='none'), per_pixel)
    assert loss(logits, target, reduction_override='sum').item() == pytest.approx(per_pixel.sum().item())
    assert loss(logits, target, avg_factor=7.0).item() == pytest.approx(per_pixel.sum().item() / 7)
    pixel_weight = torch.rand(target.shape, dtype=torch.float64)
    weighted = loss(logits, target, weight=pixel_weight, reduction_override='sum')
    assert weighted.item() == pytest.approx((per_pixel * pixel_weight).sum().item())


def test_the_ignore_label_is_the_one_given():
    logits, target = sample(ignored=254)
    loss = NALoss(COUNTS, sigma=0, threshold=10.0)
    changed = logits.detach().clone()
    changed[0, :, :2] += 100.0
    assert loss(logits, target, ignore_index=254).item() == pytest.approx(
        loss(changed, target, ignore_index=254).item()
    )


def test_noise_is_positive_bounded_and_drawn_anew():
    logits, target = sample()
    loss = NALoss(COUNTS, mining=False)
    seen = {loss(logits, target).item() for _ in range(4)}
    assert len(seen) == 4
    pushed = loss.sample_noise(logits).clamp(-1, 1).abs() * noise_rates(COUNTS).reshape(1, -1, 1, 1)
    assert pushed.min() >= 0
    assert pushed.max() <= noise_rates(COUNTS).max()


def test_selection_carries_no_gradient_and_dropped_pixels_none():
    logits, target = sample()
    loss = NALoss(COUNTS, sigma=0, threshold=-1e9, min_kept=5)
    (gradient,) = torch.autograd.grad(loss(logits, target), logits)
    assert (gradient.abs().sum(dim=1) > 0).sum() == 5


def test_volumes_and_half_precision():
    logits, target = sample((1, 3, 5, 7))
    exact = NALoss(COUNTS, sigma=0, threshold=0.5)(logits, target)
    half = NALoss(COUNTS, sigma=0, threshold=0.5)(logits.half(), target)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(exact.item(), rel=1e-2)


def test_nothing_of_it_is_stored_or_bound_to_a_device():
    loss = NALoss(COUNTS, class_weight=[1.0, 2.0, 3.0])
    assert not loss.state_dict()
    moved = NALoss(COUNTS, class_weight=[1.0, 2.0, 3.0]).to('meta')
    assert moved.rates.device.type == moved.class_weight.device.type == 'meta'


def test_counts_come_from_a_file(tmp_path):
    path = tmp_path / 'counts.json'
    path.write_text(json.dumps(dict(classes=['a', 'b', 'c'], counts=COUNTS, scale=[1440, 960])))
    assert torch.equal(NALoss(str(path)).rates, NALoss(COUNTS).rates)
    for content in ('', '{}', '[1, 2]'):
        path.write_text(content)
        with pytest.raises(ValueError, match=r'class_statistics\.py'):
            NALoss(str(path))
    with pytest.raises(ValueError, match='no class statistics file'):
        NALoss(str(tmp_path / 'absent.json'))


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(), 'either class_counts or rates'),
        (dict(class_counts=COUNTS, rates=[1.0]), 'either class_counts or rates'),
        (dict(class_counts=COUNTS, score='probability'), "score='probability' is unknown"),
        (dict(class_counts=COUNTS, loss_name='noise'), "must start with 'loss_'"),
    ],
)
def test_na_loss_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        NALoss(**kwargs)


def test_na_loss_of_other_classes():
    logits, target = sample(classes=4)
    with pytest.raises(ValueError, match='counts of 3 classes, the logits have 4'):
        NALoss(COUNTS)(logits, target)


def test_given_rates():
    logits, target = sample()
    loss = NALoss(rates=[0.0, 0.0, 0.0], mining=False)
    assert loss(logits, target).item() == pytest.approx(NALoss(COUNTS, sigma=0, mining=False)(logits, target).item())


# --- cross-entropies ------------------------------------------------------------------------------------------------


def test_pixel_mean_divides_by_all_pixels():
    logits, target = sample()
    weight = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    per_pixel = F.cross_entropy(logits, target, weight, ignore_index=255, reduction='none')
    loss = PixelMeanCrossEntropyLoss(class_weight=[0.5, 1.0, 2.0], loss_weight=3.0)
    assert loss(logits, target, ignore_index=255).item() == pytest.approx(3 * per_pixel.mean().item(), rel=1e-6)
    total = loss(logits, target, ignore_index=255, reduction_override='sum')
    assert total.item() == pytest.approx(3 * per_pixel.sum().item())


def test_multi_label_by_hand():
    logits = torch.tensor([0.0, 2.0, -1.0, 5.0], dtype=torch.float64).reshape(1, 2, 1, 2).requires_grad_()
    label = torch.tensor([1, 0, 1, 255]).reshape(1, 2, 1, 2)
    expected = [math.log(2), math.log(1 + math.exp(2)), 3 * math.log(1 + math.exp(1))]
    loss = MultiLabelBCELoss(pos_weight=[1.0, 3.0])(logits, label, ignore_index=255)
    assert loss.item() == pytest.approx(sum(expected) / 3)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[0, 1, 0, 1] == 0
    nothing = MultiLabelBCELoss()(logits, torch.full_like(label, 255))
    assert nothing.item() == 0
    assert not torch.autograd.grad(nothing, logits)[0].any()


def test_multi_label_name_must_be_trained_on():
    with pytest.raises(ValueError, match="must start with 'loss_'"):
        MultiLabelBCELoss(loss_name='bce')


@pytest.mark.parametrize('name', ['NALoss', 'PixelMeanCrossEntropyLoss', 'MultiLabelBCELoss'])
def test_registered(name):
    init_default_scope('mmseg_medical')
    config = dict(type=name, class_counts=COUNTS) if name == 'NALoss' else dict(type=name)
    assert MODELS.build(config).loss_name.startswith('loss_')
