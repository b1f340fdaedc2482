"""Losses of any rank: closed forms, MONAI as reference, and properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models.decode_heads import FCNHead
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_medical.models.losses import (
    DiceCELoss,
    SoftDiceLoss,
    SoftTverskyLoss,
    VoxelBoundaryLoss,
    VoxelCrossEntropyLoss,
    VoxelFocalLoss,
)
from mmseg_medical.models.losses.boundary import signed_distance
from mmseg_medical.models.losses.deep_supervision import deep_supervision, resize_target

SIZES = [(5, 7), (3, 4, 5), (1, 9, 1)]
RARE = dict(dice_weight=0.65, ce_weight=0.35, smooth=0)


def case(size: tuple[int, ...], classes: int = 3, batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(batch, classes, *size, generator=generator)
    return logits, torch.randint(0, classes, (batch, *size), generator=generator)


def masks_of(labels: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(labels, classes).movedim(-1, 1)


@pytest.mark.parametrize(
    ('logits', 'labels', 'dice', 'expected'),
    [
        # RARE-UNet's spec, section 9: two voxels, three classes
        ([[0, 0, 0], [0, 0, 0]], [1, 2], 0.6, 0.7745143),
        ([[0, 0, 0], [0, 0, 0]], [1, 1], 0.75, 0.8720143),
        ([[0, 0, 0], [0, 0, 0]], [0, 0], 1.0, 1.0345143),
        ([[0, 1, 0], [0, 0, 2]], [1, 2], 0.2639039, 0.3099607),
    ],
)
def test_rare_unets_loss_by_hand(logits, labels, dice, expected):
    scores = torch.tensor(logits, dtype=torch.float64).T.reshape(1, 3, 2, 1, 1)
    target = torch.tensor(labels).reshape(1, 2, 1, 1)
    assert DiceCELoss(**RARE)(scores, target).item() == pytest.approx(expected, abs=1e-7)
    assert SoftDiceLoss(smooth=0)(scores, target).item() == pytest.approx(dice, abs=1e-7)


def test_what_nothing_counts():
    scores = torch.full((1, 2, 4), -200.0)
    scores[:, 0] = 200.0
    labels = torch.zeros(1, 4, dtype=torch.long)
    assert SoftDiceLoss(smooth=0)(scores, labels) == 0
    assert SoftDiceLoss(smooth=0, empty='skip')(scores, labels) == 0
    assert SoftDiceLoss(smooth=1)(scores, labels) == 0
    three = torch.cat((scores, scores[:, 1:]), 1)
    labels[0, 0] = 1
    assert SoftDiceLoss(smooth=0)(three, labels) == pytest.approx(0.5)
    assert SoftDiceLoss(smooth=0, empty='skip')(three, labels) == pytest.approx(1.0)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize(
    ('ours', 'theirs', 'options'),
    [
        (SoftDiceLoss(pooled=True), 'DiceLoss', dict(batch=True)),
        (SoftDiceLoss(pooled=False), 'DiceLoss', dict()),
        (SoftDiceLoss(include_background=True), 'DiceLoss', dict(batch=True, include_background=True)),
        (SoftDiceLoss(squared=True), 'DiceLoss', dict(batch=True, squared_pred=True)),
        (SoftDiceLoss(jaccard=True), 'DiceLoss', dict(batch=True, jaccard=True)),
        # without smoothing, which ours adds to weights relative to the smallest class
        (
            SoftDiceLoss(generalised=True, smooth=0),
            'GeneralizedDiceLoss',
            dict(batch=True, smooth_nr=0, smooth_dr=0),
        ),
        (SoftDiceLoss(smooth=(0, 1)), 'DiceLoss', dict(batch=True, smooth_nr=0, smooth_dr=1)),
        (SoftTverskyLoss(alpha=0.2, beta=0.9), 'TverskyLoss', dict(batch=True, alpha=0.2, beta=0.9)),
        (DiceCELoss(), 'DiceCELoss', dict(batch=True)),
        (DiceCELoss(dice_weight=0.3, ce_weight=2.0), 'DiceCELoss', dict(batch=True, lambda_dice=0.3, lambda_ce=2.0)),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_as_monai(ours, theirs, options, size):
    losses = pytest.importorskip('monai.losses')
    logits, labels = case(size)
    labels[:, 0] = 1  # monai weighs absent classes of generalised Dice in another way
    labels.view(2, -1)[:, -1] = 2
    smooth = dict(smooth_nr=1e-5, smooth_dr=1e-5)
    reference = getattr(losses, theirs)(
        **{'softmax': True, 'to_onehot_y': True, 'include_background': False, **smooth, **options}
    )
    torch.testing.assert_close(ours(logits, labels), reference(logits, labels[:, None]), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize('size', SIZES)
def test_focal_as_monai(size):
    losses = pytest.importorskip('monai.losses')
    logits, labels = case(size)
    reference = losses.FocalLoss(use_softmax=True, to_onehot_y=True, include_background=True, gamma=1.5)
    # monai's mean runs over the classes too, all but one of which are 0
    torch.testing.assert_close(VoxelFocalLoss(gamma=1.5)(logits, labels), 3 * reference(logits, labels[:, None]))
    masks = masks_of(labels, 3)
    reference = losses.FocalLoss(include_background=True, gamma=2.0, alpha=0.3)
    ours = VoxelFocalLoss(gamma=2.0, alpha=0.3, use_sigmoid=True)
    torch.testing.assert_close(ours(logits, masks), reference(logits, masks.float()))


def test_focal_without_a_power_is_cross_entropy():
    logits, labels = case((4, 5))
    expected = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(VoxelFocalLoss(gamma=0)(logits, labels), expected)
    torch.testing.assert_close(DiceCELoss(dice_weight=0)(logits, labels), expected)
    weighted = VoxelFocalLoss(gamma=0, class_weight=(1, 2, 3))(logits, labels)
    each = torch.nn.functional.cross_entropy(logits, labels, reduction='none')
    torch.testing.assert_close(weighted, (each * (labels + 1)).mean())


def test_the_hardest_voxels_alone():
    logits, labels = case((4, 5), batch=1)
    each = torch.nn.functional.cross_entropy(logits, labels, reduction='none').flatten()
    expected = each.sort(descending=True).values[:5].mean()
    torch.testing.assert_close(DiceCELoss(dice_weight=0, top_k=0.25)(logits, labels), expected)


def test_tversky_is_dice_in_the_middle_and_focal_to_a_power():
    logits, labels = case((6, 5))
    middle = SoftTverskyLoss(alpha=0.5, beta=0.5, smooth=0)(logits, labels)
    torch.testing.assert_close(middle, SoftDiceLoss(smooth=0)(logits, labels))
    each = SoftTverskyLoss(smooth=0, reduction='none')(logits, labels)
    assert each.shape == (1, 2)
    torch.testing.assert_close(SoftTverskyLoss(smooth=0, gamma=0.75)(logits, labels), (each**0.75).mean())


LOSSES: list[nn.Module] = [
    SoftDiceLoss(),
    SoftDiceLoss(pooled=False, smooth=0),
    SoftDiceLoss(generalised=True),
    SoftDiceLoss(log_cosh=True),
    SoftTverskyLoss(gamma=0.75),
    VoxelCrossEntropyLoss(top_k=0.3),
    DiceCELoss(),
    DiceCELoss(**RARE),
    DiceCELoss(top_k=0.3),
    VoxelFocalLoss(),
    VoxelBoundaryLoss(),
]
SIGMOID: list[nn.Module] = [
    SoftDiceLoss(use_sigmoid=True),
    SoftTverskyLoss(use_sigmoid=True),
    DiceCELoss(use_sigmoid=True, ce_class_weight=(1, 2, 3)),
    VoxelCrossEntropyLoss(use_sigmoid=True),
    VoxelFocalLoss(use_sigmoid=True),
    VoxelBoundaryLoss(use_sigmoid=True),
]


def target_of(loss: nn.Module, labels: Tensor) -> Tensor:
    sigmoid = getattr(loss, 'use_sigmoid', False) or getattr(getattr(loss, 'dice', None), 'use_sigmoid', False)
    return masks_of(labels, 3) if sigmoid else labels


@pytest.mark.parametrize('loss', [*LOSSES, *SIGMOID], ids=lambda loss: type(loss).__name__)
class TestEvery:
    def test_gradients(self, loss):
        logits, labels = case((2, 3, 2))
        logits = logits.double().requires_grad_()
        target = target_of(loss, labels)
        assert torch.autograd.gradcheck(lambda x: loss(x, target), logits)

    def test_order_of_axes_does_not_matter(self, loss):
        logits, labels = case((3, 4, 5))
        turned = loss(logits.permute(0, 1, 4, 2, 3), target_of(loss, labels.permute(0, 3, 1, 2)))
        torch.testing.assert_close(loss(logits, target_of(loss, labels)), turned)

    def test_extremes_stay_finite(self, loss):
        logits, labels = case((3, 4))
        for scale in (100.0, -100.0):
            for fill in (None, 0, 2):
                x = (logits.sign() * scale).requires_grad_()
                value = loss(x, target_of(loss, labels if fill is None else torch.full_like(labels, fill)))
                value.backward()
                assert torch.isfinite(value)
                assert torch.isfinite(x.grad).all()

    def test_half_precision_is_summed_in_full(self, loss):
        logits, labels = case((16, 16))
        rounded = logits.bfloat16()
        with torch.autocast('cpu', torch.bfloat16):
            value = loss(rounded, target_of(loss, labels))
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, loss(rounded.float(), target_of(loss, labels)))

    def test_arguments_are_left_alone(self, loss):
        logits, labels = case((3, 4))
        target = target_of(loss, labels)
        target.flatten()[0] = 255
        before = logits.clone(), target.clone()
        loss(logits, target)
        assert torch.equal(logits, before[0])
        assert torch.equal(target, before[1])

    def test_all_ignored(self, loss):
        logits, labels = case((3, 4))
        logits.requires_grad_()
        value = loss(logits, torch.full_like(target_of(loss, labels), 255))
        value.backward()
        assert torch.isfinite(value)
        assert value == 0
        assert not logits.grad.any()

    def test_learns(self, loss):
        labels = case((6, 6), batch=1)[1]
        target = target_of(loss, labels)
        logits = torch.zeros(1, 3, 6, 6, requires_grad=True)
        optimizer = torch.optim.Adam([logits], lr=0.3)
        first = None
        for _ in range(60):
            value = loss(logits, target)
            first = value.detach() if first is None else first
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        assert value.detach() < first

    def test_factor_and_name(self, loss):
        assert loss.loss_name.startswith('loss_')
        logits, labels = case((3, 4))
        once = loss(logits, target_of(loss, labels))
        loss.loss_weight = 2.5
        torch.testing.assert_close(loss(logits, target_of(loss, labels)), 2.5 * once)
        loss.loss_weight = 1.0

    def test_shapes_that_do_not_fit(self, loss):
        logits, labels = case((3, 4))
        with pytest.raises(ValueError, match=r'logits \(2, 3, 3, 4\) need (labels|masks) of shape'):
            loss(logits, target_of(loss, labels)[..., :3])


@pytest.mark.parametrize('loss', [*LOSSES, *SIGMOID], ids=lambda loss: type(loss).__name__)
def test_ignoring_is_removing(loss):
    logits, labels = case((8,), batch=1)
    target = target_of(loss, labels)
    target[..., 4:] = 0  # distances to what is removed would differ
    ignored = target.clone()
    ignored[..., 5:] = 255
    torch.testing.assert_close(loss(logits, ignored), loss(logits[..., :5], target[..., :5]))
    torch.testing.assert_close(
        loss(logits, ignored.clone().masked_fill(ignored == 255, 7), ignore_index=7), loss(logits, ignored)
    )


def test_distance_to_a_plate():
    mask = np.zeros((7, 5), bool)
    mask[2:5] = True
    assert signed_distance(mask)[:, 0].tolist() == [2, 1, 0, -1, 0, 1, 2]
    assert signed_distance(mask, (2.0, 3.0))[:, 0].tolist() == [4, 2, 0, -2, 0, 2, 4]
    assert not signed_distance(np.ones((3, 3), bool)).any()
    assert not signed_distance(np.zeros((3, 3), bool)).any()


def test_boundary_by_hand():
    labels = torch.tensor([[0, 0, 1, 1, 0]])
    logits = torch.stack((torch.zeros(1, 5), torch.log(torch.tensor([[1.0, 3.0, 1.0, 1.0, 1.0]]))), 1)
    # probabilities 1/2, 3/4, 1/2 ..., distances 2, 1, 0, 0, 1
    assert VoxelBoundaryLoss()(logits, labels).item() == pytest.approx((1 + 0.75 + 0.5) / 5)


def test_deep_supervision_weighs_and_resizes():
    target = torch.arange(8).reshape(1, 8)
    seen: list[list[int]] = []

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        seen.append(labels[0].tolist())
        return logits.mean()

    logits = [torch.full((1, 1, 8), 1.0), torch.full((1, 1, 4), 10.0), torch.full((1, 1, 2), 100.0)]
    assert deep_supervision(loss, logits, target).item() == pytest.approx((1 + 5 + 25) / 1.75)
    assert seen == [[*range(8)], [1, 3, 5, 7], [2, 6]]
    seen.clear()
    assert deep_supervision(loss, logits, target, 'equal', 'nearest').item() == pytest.approx(37)
    assert seen[1:] == [[0, 2, 4, 6], [0, 4]]
    assert deep_supervision(loss, logits, target, (0.5, 0, 0.25)).item() == pytest.approx(25.5)
    with pytest.raises(ValueError, match='3 maps of logits need as many weights'):
        deep_supervision(loss, logits, target, (1, 1))
    with pytest.raises(ValueError, match="'halving' or 'equal', got 'quarter'"):
        deep_supervision(loss, logits, target, 'quarter')
    with pytest.raises(ValueError, match='resized by one of'):
        deep_supervision(loss, logits, target, target_resize='cubic')


def test_targets_keep_type_and_channels():
    masks = torch.zeros(1, 2, 4, 6, dtype=torch.uint8)
    assert resize_target(masks, (4, 6)) is masks
    assert resize_target(masks, (2, 3)).dtype == torch.uint8
    assert resize_target(masks, (2, 3)).shape == (1, 2, 2, 3)
    for mode in ('nearest-exact', 'linear', 'area'):
        assert resize_target(torch.full((1, 4, 6), 255), (2, 3), mode).unique().tolist() == [255]
    masks[0, 1, :2, :2] = torch.tensor([[1, 1], [1, 0]])
    assert resize_target(masks, (2, 3), 'area').nonzero().tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: SoftDiceLoss(empty='one'), "'perfect' or 'skip'"),
        (lambda: SoftDiceLoss(generalised=True, squared=True), 'weights of its own'),
        (lambda: SoftTverskyLoss(alpha=-1), 'must be positive'),
        (lambda: DiceCELoss(top_k=0), 'share of the voxels'),
        (lambda: VoxelFocalLoss(alpha=0.5), 'needs use_sigmoid'),
        (lambda: VoxelFocalLoss(loss_name='focal'), "must start with 'loss_'"),
        (lambda: VoxelCrossEntropyLoss(reduction='max'), 'reduction must be one of mean, sum, none'),
        (lambda: DiceCELoss(reduction='sum'), 'knows no other reduction'),
        (lambda: SoftDiceLoss(smooth=(1, 2, 3)), 'one of the numerator'),
    ],
)
def test_wrong_options(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_mean_over_many_voxels_is_exact():
    """Half a million equal voxels: float32 sums are kept in check by torch's pairwise summation."""
    logits = torch.zeros(1, 2, 1 << 19)
    labels = torch.zeros(1, 1 << 19, dtype=torch.long)
    assert DiceCELoss(dice_weight=0)(logits, labels).item() == pytest.approx(math.log(2), rel=1e-6)


def test_other_systems_losses_by_hand():
    """Hippocampus networks: Dice of each sample smoothed by 1, and focal; Res2UNet: all classes, smoothed by 1e-5."""
    zeros = torch.zeros(1, 3, 2, 2)
    labels = torch.tensor([[[0, 1], [1, 2]]])
    dice = SoftDiceLoss(pooled=False, smooth=1.0)
    assert dice(zeros, labels).item() == pytest.approx(0.48076923)
    assert VoxelFocalLoss()(zeros, labels).item() == pytest.approx(0.48827213)
    assert dice(zeros, torch.zeros_like(labels)).item() == pytest.approx(0.57142857)
    res2unet = SoftDiceLoss(include_background=True)
    for truth, expected in (([0, 1], 0.4999975), ([0, 0, 0, 1], 0.5333318), ([0, 0, 0, 0], 0.6666639)):
        assert res2unet(torch.zeros(1, 2, len(truth)), torch.tensor([truth])).item() == pytest.approx(expected)


def test_hdc_hrnets_weighted_sum():
    logits, labels = case((6, 5), classes=4)
    weight = torch.tensor([0.1, 1.5, 1.5, 1.0])
    ours = DiceCELoss(
        pooled=False, include_background=True, class_weight=weight.tolist(), ce_class_weight=weight.tolist()
    )
    p, y = logits.softmax(1), masks_of(labels, 4)
    dice = 1 - (2 * (p * y).sum((2, 3)) + 1e-5) / (p.sum((2, 3)) + y.sum((2, 3)) + 1e-5)
    entropy = torch.nn.functional.cross_entropy(logits, labels, reduction='none')
    expected = ((weight * dice).sum(1) / weight.sum()).mean() + (weight[labels] * entropy).mean()
    torch.testing.assert_close(ours(logits, labels), expected)


def test_generalised_dice_of_large_structures_is_not_drowned():
    logits = torch.zeros(1, 2, 1 << 20)
    logits[:, 0] = 20
    assert SoftDiceLoss(generalised=True)(logits, torch.ones(1, 1 << 20, dtype=torch.long)) > 0.99
    empty = SoftDiceLoss(generalised=True)(-logits, torch.zeros(1, 1 << 20, dtype=torch.long))
    assert empty > 0.99  # false alarms where no class is there


def test_reductions():
    logits, labels = case((4, 5))
    labels[0, :2] = 255
    each = torch.nn.functional.cross_entropy(logits, labels, reduction='none', ignore_index=255)
    loss = VoxelCrossEntropyLoss(loss_weight=2.0)
    torch.testing.assert_close(loss(logits, labels, reduction_override='none'), 2 * each)
    torch.testing.assert_close(loss(logits, labels, reduction_override='sum'), 2 * each.sum())
    torch.testing.assert_close(loss(logits, labels, avg_factor=7.0), 2 * each.sum() / 7)
    weight = torch.rand(labels.shape)
    torch.testing.assert_close(loss(logits, labels, weight), 2 * (weight * each).sum() / (labels != 255).sum())
    dices = SoftDiceLoss(pooled=False)(logits, labels, reduction_override='none')
    assert dices.shape == (2, 2)
    torch.testing.assert_close(SoftDiceLoss(pooled=False)(logits, labels), dices.mean())
    torch.testing.assert_close(SoftDiceLoss(pooled=False, reduction='sum')(logits, labels), dices.sum())
    weighted = SoftDiceLoss(pooled=False, class_weight=(9, 1, 3))(logits, labels)
    torch.testing.assert_close(weighted, (dices @ torch.tensor([1.0, 3.0])).mean() / 4)
    cosh = SoftDiceLoss(pooled=False, log_cosh=True)(logits, labels)
    torch.testing.assert_close(cosh, dices.cosh().log().mean())


@pytest.mark.parametrize('name', ['DiceCELoss', 'SoftDiceLoss', 'SoftTverskyLoss', 'VoxelFocalLoss'])
def test_in_a_head_of_mmseg(name):
    head = FCNHead(
        in_channels=4, channels=4, num_classes=3, num_convs=1, loss_decode=dict(type=f'mmseg_medical.{name}')
    )
    samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 3, (1, 6, 7)))) for _ in range(2)]
    losses = head.loss_by_feat(torch.randn(2, 3, 3, 4), samples)
    assert [key for key in losses if key.startswith('loss_')] == [head.loss_decode.loss_name]


def test_labels_that_are_no_class_and_types_that_are():
    logits, labels = case((3, 4))
    for value in (3, -1):
        wrong = labels.clone()
        wrong[0, 0, 0] = value
        with pytest.raises(ValueError, match=rf'holds values .*{value}.*, the loss knows 0 to 2'):
            DiceCELoss()(logits, wrong)
    with pytest.raises(ValueError, match='knows 0 to 1'):
        SoftDiceLoss(use_sigmoid=True)(logits, 2 * masks_of(labels, 3))
    for dtype in (torch.uint8, torch.int16, torch.int32):
        torch.testing.assert_close(DiceCELoss()(logits, labels.to(dtype)), DiceCELoss()(logits, labels))
    masks = masks_of(labels, 3)
    sigmoid = DiceCELoss(use_sigmoid=True)
    torch.testing.assert_close(sigmoid(logits, masks.bool()), sigmoid(logits, masks.float()))


def test_what_does_not_belong_together():
    logits, labels = case((3, 4))
    with pytest.raises(ValueError, match='need use_sigmoid=True'):
        DiceCELoss()(logits[:, :1], labels)
    with pytest.raises(ValueError, match='2 class weights for logits of 3 channels'):
        DiceCELoss(ce_class_weight=(1, 2))(logits, labels)
    with pytest.raises(ValueError, match='SoftDiceLoss has no term a voxel'):
        SoftDiceLoss()(logits, labels, weight=torch.ones(2, 3, 4))
    with pytest.raises(ValueError, match='does not fit logits with 2 axes'):
        VoxelBoundaryLoss(spacing=(1, 1, 1))(logits, labels)


def test_memory_format_does_not_matter():
    logits, labels = case((4, 5, 6))
    view = logits.permute(0, 2, 3, 4, 1).contiguous().permute(0, 4, 1, 2, 3)
    for loss in LOSSES:
        torch.testing.assert_close(loss(view, labels), loss(logits, labels))


def test_weights_follow_the_device_and_are_not_stored():
    loss = DiceCELoss(class_weight=(1, 2, 3), ce_class_weight=(1, 2, 3))
    assert not loss.state_dict()
    assert loss.to('meta').dice.class_weight.device.type == 'meta'


def test_deep_supervision_of_upsampled_logits():
    target = torch.zeros(1, 4, 6, dtype=torch.long)
    shapes: list[tuple[int, ...]] = []

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        shapes.append(tuple(logits.shape))
        assert labels is target
        return logits.mean()

    deep_supervision(loss, [torch.zeros(1, 3, 4, 6), torch.zeros(1, 3, 2, 3)], target, target_resize='keep')
    assert shapes == [(1, 3, 4, 6)] * 2
