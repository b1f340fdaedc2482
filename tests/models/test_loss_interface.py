"""What every loss of HDC-HRNet must bear: ranks, types, ignored voxels, the interface of mmseg."""

from __future__ import annotations

import copy

import pytest
import torch
from loss_cases import case
from mmengine.structures import PixelData
from mmseg.models.decode_heads import FCNHead
from mmseg.structures import SegDataSample
from torch.nn import functional

from mmseg_medical.models.losses import (
    DeepSupervisionLoss,
    DistanceErrorLoss,
    EdgeCrossEntropyLoss,
    EnergyGatedLoss,
    EyeOpeningLoss,
    FrequencyLoss,
    HDCHRNetLoss,
    SpectralDualLoss,
)

LOSSES = [
    EdgeCrossEntropyLoss(),
    EdgeCrossEntropyLoss(edge_mode='code'),
    HDCHRNetLoss(),
    HDCHRNetLoss(edge_mode='fixed', class_weight=(0.5, 2, 1), focal_weight=0.3),
    SpectralDualLoss(),
    SpectralDualLoss(frequency_mode='fixed', class_weight=(0.5, 2, 1)),
    FrequencyLoss(),
    DistanceErrorLoss(),
    EyeOpeningLoss(),
    EnergyGatedLoss(),
    DeepSupervisionLoss(dict(type='HDCHRNetLoss')),
]


@pytest.mark.parametrize('loss', LOSSES, ids=lambda loss: type(loss).__name__)
class TestAll:
    @pytest.mark.parametrize('size', [(5, 7), (1, 1), (1, 9), (3, 4, 5), (11,)])
    @pytest.mark.parametrize('batch', [1, 2])
    def test_any_rank(self, loss, size, batch):
        logits, labels = case(size, batch=batch)
        for truth in (labels, torch.zeros_like(labels), torch.full_like(labels, 2)):
            x = logits.clone().requires_grad_()
            value = loss(x, truth)
            value.backward()
            assert value.shape == ()
            assert torch.isfinite(value)
            assert torch.isfinite(x.grad).all()

    def test_not_contiguous(self, loss):
        logits, labels = case((6, 5))
        flipped = logits.flip(-1).transpose(2, 3).contiguous().transpose(2, 3).flip(-1)
        torch.testing.assert_close(loss(flipped, labels), loss(logits, labels))

    def test_symmetric(self, loss):
        """Mirrored images have the same loss."""
        logits, labels = case((6, 6))
        torch.testing.assert_close(loss(logits.flip(2), labels.flip(1)), loss(logits, labels))
        torch.testing.assert_close(loss(logits.flip(3), labels.flip(2)), loss(logits, labels))

    def test_half_precision_is_summed_in_full(self, loss):
        logits, labels = case((9, 8))
        rounded = logits.bfloat16()
        with torch.autocast('cpu', torch.bfloat16):
            value = loss(rounded, labels)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, loss(rounded.float(), labels))

    def test_arguments_are_left_alone(self, loss):
        logits, labels = case((3, 4))
        labels.flatten()[0] = 255
        before = logits.clone(), labels.clone()
        loss(logits, labels)
        assert torch.equal(logits, before[0])
        assert torch.equal(labels, before[1])

    def test_all_ignored(self, loss):
        logits, labels = case((3, 4))
        logits.requires_grad_()
        value = loss(logits, torch.full_like(labels, 255))
        value.backward()
        assert value == 0
        assert not logits.grad.any()

    def test_ignored_logits_do_not_matter(self, loss):
        """Nor do labels; the predicted edges of the neighbours are all that may see them, so these stay as they are."""
        logits, labels = case((3, 8))
        logits[..., 4:] = 0
        labels[..., 4:] = 255
        changed = logits.clone()
        changed[..., 6:] = 5
        torch.testing.assert_close(loss(changed, labels), loss(logits, labels))
        torch.testing.assert_close(
            loss(logits, labels.masked_fill(labels == 255, 9), ignore_index=9), loss(logits, labels)
        )

    def test_sharp_logits(self, loss):
        labels = case((4, 5))[1]
        for sign in (200.0, -200.0):
            logits = (sign * functional.one_hot(labels, 3).movedim(-1, 1)).requires_grad_()
            value = loss(logits, labels)
            value.backward()
            assert torch.isfinite(value)
            assert torch.isfinite(logits.grad).all()

    def test_labels_that_are_no_class(self, loss):
        logits, labels = case((3, 4))
        labels[0, 0, 0] = 3
        with pytest.raises(ValueError, match='holds values 0 to 3, the loss knows 0 to 2'):
            loss(logits, labels)

    def test_shapes_that_do_not_fit(self, loss):
        logits, labels = case((3, 4))
        with pytest.raises(ValueError, match=r'need labels of shape'):
            loss(logits, torch.cat((labels, labels)))

    def test_factor_and_name(self, loss):
        assert loss.loss_name.startswith('loss_')
        inner = loss.loss if isinstance(loss, DeepSupervisionLoss) else loss
        logits, labels = case((3, 4))
        once = loss(logits, labels)
        inner.loss_weight = 2.5
        torch.testing.assert_close(loss(logits, labels), 2.5 * once)
        inner.loss_weight = 1.0

    def test_in_a_head_of_mmseg(self, loss):
        head = FCNHead(in_channels=4, channels=4, num_classes=3, num_convs=1)
        head.loss_decode = loss
        samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 3, (1, 6, 7)))) for _ in range(2)]
        losses = head.loss_by_feat(torch.randn(2, 3, 3, 4), samples)
        assert [key for key in losses if key.startswith('loss_')] == [loss.loss_name]

    def test_nothing_is_stored(self, loss):
        assert not loss.state_dict()
        assert not list(loss.parameters())


@pytest.mark.parametrize(
    'loss',
    [
        EdgeCrossEntropyLoss(class_weight=(1, 2, 3)),
        HDCHRNetLoss(edge_mode='fixed', class_weight=(1, 2, 3), focal_weight=1.0),
        SpectralDualLoss(class_weight=(1, 2, 3)),
        SpectralDualLoss(frequency_mode='fixed'),
        FrequencyLoss(class_weight=(1, 2, 3)),
        EyeOpeningLoss(),
        EnergyGatedLoss(),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_nothing_is_bound_to_a_device(loss):
    """The meta device refuses what is elsewhere, and any question for a value."""
    logits = torch.zeros(2, 3, 5, 7, device='meta', requires_grad=True)
    labels = torch.zeros(2, 5, 7, dtype=torch.long, device='meta')
    values, _ = copy.deepcopy(loss).to('meta').terms(logits, labels, labels != 255)
    values.sum().backward()
    assert values.device.type == logits.grad.device.type == 'meta'
