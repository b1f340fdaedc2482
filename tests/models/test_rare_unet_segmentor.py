"""RARE-UNet in its segmentor: routing by size and spacing, the native grid, all levels in validation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.structures import SegDataSample

from mmseg_medical.evaluation.metrics import MultiScaleSegMetric
from mmseg_medical.geometry import CropPad, Grid
from mmseg_medical.models import RAREUNet, RAREUNetHead, RAREUNetSegmentor
from mmseg_medical.models.layers.resolution_routing import RoutingError
from mmseg_medical.structures import VolumeData

TARGET = (16, 16, 16)


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg_medical')


def build(routing=None, **options):
    torch.manual_seed(0)
    return RAREUNetSegmentor(
        backbone=dict(type='RAREUNet', channels=(2, 3, 4, 5), num_gates=2, target_size=TARGET, routing=routing or {}),
        decode_head=dict(type='RAREUNetHead', in_channels=(2, 3, 4), num_classes=3, num_divisions=3),
        **options,
    ).eval()


def sample(size, truth=True, steps=(), spacing=None):
    affine = None if spacing is None else np.diag([*spacing, 1.0])
    made = SegDataSample(metainfo=dict(case_id='a', grid_steps=list(steps), affine=affine))
    if truth:
        made.gt_sem_seg = VolumeData(data=torch.randint(0, 3, (1, *size), dtype=torch.uint8))
    return made


def entered(model, run):
    """Levels that are entered while something runs."""
    levels, original = [], model.backbone.at_level
    model.backbone.at_level = lambda x, level: (levels.append(level), original(x, level))[1]
    try:
        run()
    finally:
        del model.backbone.at_level
    return levels


@pytest.mark.parametrize('size', [(16, 16, 16), (17, 13, 11), (8, 8, 8), (7, 9, 5), (4, 4, 4), (3, 5, 4)])
def test_network_keeps_any_size(size):
    model = build()
    with torch.no_grad():
        logits = model.network(torch.randn(2, 1, *size))
    assert logits.shape == (2, 3, *size)
    assert torch.isfinite(logits).all()


def test_padding_is_symmetric_and_cut_back():
    model = build()
    x = torch.randn(1, 1, 13, 16, 15)
    padded = torch.zeros(1, 1, *TARGET)
    padded[:, :, 1:14, :, :15] = x
    with torch.no_grad():
        assert torch.equal(model.network(x), model.network(padded)[:, :, 1:14, :, :15])


def test_sizes_far_from_every_level_are_refused():
    with torch.no_grad(), pytest.raises(RoutingError, match='nearest level, 0'):
        build().network(torch.zeros(1, 1, 64, 64, 64))


def test_level_can_be_forced():
    model = build(dict(level=1))
    with torch.no_grad():
        assert entered(model, lambda: model.network(torch.randn(1, 1, *TARGET))) == [1]


def test_spacing_is_the_better_guide():
    """A small hippocampus of full resolution is not a large one of half of it."""
    by_size, by_spacing = build(), build(dict(spacing_mm=(1, 1, 1)))
    image, fine, coarse = torch.randn(1, 9, 8, 10), (1.0, 1.0, 1.1), (4.0, 4.0, 4.0)
    with torch.no_grad():
        for spacing, levels in ((None, (1, 1)), (fine, (1, 0)), (coarse, (1, 2))):
            for model, level in zip((by_size, by_spacing), levels, strict=True):
                one = sample((9, 8, 10), spacing=spacing)
                assert entered(model, lambda m=model, s=one: m.predict([image], [s])) == [level]
                assert model.backbone.routing['level'] is None


def test_predictions_lie_on_the_native_grid():
    """What was cut away is not predicted, but counted."""
    step = CropPad.plan(Grid((20, 12, 16), None), size=TARGET)
    model, one = build(), sample((20, 12, 16), steps=[step])
    with torch.no_grad():
        (done,) = model.predict([torch.randn(1, *TARGET)], [one])
    assert done.pred_sem_seg.data.shape == (1, 20, 12, 16)
    assert not done.pred_sem_seg.data[:, :2].any()


def test_validation_yields_all_scales():
    step = CropPad.plan(Grid((20, 12, 16), None), size=TARGET)
    model, one = build(), sample((20, 12, 16), steps=[step])
    truth = one.gt_sem_seg.data.numpy()
    image = torch.randn(1, *TARGET)
    with torch.no_grad():
        (done,) = model.val_step(dict(inputs=[image], data_samples=[one]))
        for d in (1, 2):
            size = tuple(n // 2**d for n in TARGET)
            reduced = model.backbone.reduced(image[None], d)
            expected = model.decode_head(model.backbone.at_level(reduced, d))[0].argmax(1)
            assert torch.equal(done.get(f'pred_sem_seg_scale{d}').data.long(), expected)
            shifted = done.get(f'gt_sem_seg_scale{d}').data
            assert shifted.shape == (1, *size)
            whole = np.pad(truth, ((0, 0), (0, 0), (2, 2), (0, 0)))[:, 2:18]
            np.testing.assert_array_equal(shifted, whole[:, :: 2**d, :: 2**d, :: 2**d])
    metric = MultiScaleSegMetric(num_scales=2)
    metric.dataset_meta = dict(classes=('background', 'a', 'b'))
    metric.process(None, [done.to_dict()])
    names = metric.evaluate(1)
    assert {'dice_fullres', 'dice_scale1', 'dice_scale2', 'dice_multiscale_avg', 'dice_all_scales_avg'} <= set(names)


def test_validation_without_truth():
    model = build()
    with torch.no_grad():
        (done,) = model.val_step(dict(inputs=[torch.randn(1, 13, 11, 17)], data_samples=[sample((1,), truth=False)]))
    assert done.pred_sem_seg_scale2.data.shape == (1, 3, 2, 4)
    assert 'gt_sem_seg_scale1' not in done


def test_learns_at_all_levels_at_once():
    model = build().train()
    samples = [sample((16, 24, 16)) for _ in range(2)]
    losses = model.loss(torch.randn(2, 1, 16, 24, 16), samples)
    total, _ = model.parse_losses(losses)
    total.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert sum('loss' in name for name in losses) == 2
    assert {'decode.loss_consistency', 'decode.consistency_scale1', 'decode.consistency_scale2'} <= set(losses)


def test_two_dimensions():
    torch.manual_seed(0)
    model = RAREUNetSegmentor(
        backbone=dict(type='RAREUNet', in_channels=3, channels=(2, 3, 4), num_gates=1, target_size=(32, 32)),
        decode_head=dict(type='RAREUNetHead', in_channels=(2, 3), num_classes=2, spatial_dims=2),
    ).eval()
    with torch.no_grad():
        assert model.network(torch.randn(1, 3, 33, 31)).shape == (1, 2, 33, 31)
        assert model.network(torch.randn(1, 3, 15, 17)).shape == (1, 2, 15, 17)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_gates=3), r'num_gates must lie in 1\.\.2'),
        (dict(num_gates=0), 'num_gates'),
        (dict(gate_depth=0), 'gate_depth'),
        (dict(routing=dict(levle=1)), 'strict, tolerance, spacing_mm, level, got levle'),
        (dict(routing=dict(level=4)), r'routing\.level must lie in 0\.\.2'),
        (dict(target_size=(4, 16, 16)), 'are halved 3 times'),
        (dict(unet=dict(strides=(2, 1, 2))), 'halves every axis'),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RAREUNet(**{'channels': (2, 3, 4, 5), 'num_gates': 2, 'target_size': TARGET, **options})


def test_unknown_mode_of_the_head():
    with pytest.raises(ValueError, match='choose one of released, corrected'):
        RAREUNetHead('paper')


def test_reduction_and_noise_of_coarse_levels():
    plain, area, noisy = (
        RAREUNet(1, (2, 3, 4, 5), num_gates=2, target_size=TARGET, drop_rate=0.0, **options).train()
        for options in ({}, {'reduction': 'area'}, {'coarse_noise': 0.5})
    )
    image = torch.randn(1, 1, 16, 16, 16)
    blocks = image.reshape(1, 1, 4, 4, 4, 4, 4, 4).mean((3, 5, 7))
    torch.testing.assert_close(area.reduced(image, 2), blocks)
    assert not torch.allclose(plain.reduced(image, 2), blocks)  # two voxels an axis are read
    noisy.load_state_dict(plain.state_dict())
    first, second = noisy(image), noisy(image)
    torch.testing.assert_close(first.maps[0], second.maps[0])  # full resolution gets none
    assert all(not torch.allclose(a, b) for a, b in zip(first.maps[1:], second.maps[1:], strict=True))
    noisy.eval()
    torch.testing.assert_close(noisy(image).maps[0], plain.eval()(image).maps[0])
    for wrong in ({'reduction': 'mean'}, {'coarse_noise': -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            RAREUNet(target_size=TARGET, channels=(2, 3, 4, 5), num_gates=2, **wrong)
