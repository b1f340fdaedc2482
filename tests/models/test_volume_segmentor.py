"""Segmentor and head of any rank: native grids, windows, mirrors, multi-label, losses, precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_medical.geometry import CropPad, Grid, Reorient, Resample
from mmseg_medical.models.segmentors.averaging import averaged
from mmseg_medical.models.segmentors.deciding import decide
from mmseg_medical.registry import MODELS
from mmseg_medical.structures import VolumeData

OVERLAPPING = dict(multi_label=True, loss_decode=dict(type='DiceCELoss', use_sigmoid=True))


def segmentor(classes: int = 3, rank: int = 3, head: dict | None = None, **options) -> nn.Module:
    torch.manual_seed(0)
    channels = (4, 8, 8)
    return MODELS.build(
        dict(
            type='VolumeSegmentor',
            backbone=dict(
                type='MedicalUNet',
                in_channels=2,
                channels=channels,
                spatial_dims=rank,
                num_outputs=(head or {}).pop('maps', 1),
            ),
            decode_head={
                **dict(type='VolumeHead', in_channels=channels[0], num_classes=classes, spatial_dims=rank),
                **(head or {}),
            },
            **options,
        )
    ).eval()


def echoing(**options) -> nn.Module:
    """A network whose logits are its input's channels."""
    model = segmentor(classes=2, **options)
    model.network = lambda x: x
    return model


def sample_of(size: tuple[int, ...], labels: Tensor | None = None, **meta) -> SegDataSample:
    sample = SegDataSample(metainfo=meta)
    sample.gt_sem_seg = VolumeData(data=torch.zeros(1, *size, dtype=torch.uint8) if labels is None else labels)
    return sample


@pytest.mark.parametrize('size', [(7, 5, 9), (4, 4, 4), (1, 13, 2)])
def test_any_size_in_the_same_size_out(size):
    model = segmentor()
    image = torch.randn(2, *size)
    assert model.network(image[None]).shape == (1, 3, *size)
    (sample,) = model.predict([image])
    assert sample.pred_sem_seg.data.shape == (1, *size)
    assert sample.pred_sem_seg.data.dtype == torch.uint8
    assert torch.equal(sample.pred_sem_seg.data[0].long(), model.network(image[None])[0].argmax(0))


def test_two_axes():
    (sample,) = segmentor(rank=2).predict([torch.randn(2, 9, 14)])
    assert sample.pred_sem_seg.data.shape == (1, 9, 14)


def test_wrong_images_are_refused():
    model = segmentor()
    with pytest.raises(ValueError, match='takes images of 3 axes and 2 channels, got 2 axes and 2 channels'):
        model.extract_feat(torch.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match='got 3 axes and 1 channels'):
        model.extract_feat(torch.zeros(1, 1, 8, 8, 8))


def test_windows_give_what_one_look_gives():
    image = torch.randn(2, 11, 9, 10)
    whole = echoing().infer(image)
    slide = echoing(test_cfg=dict(mode='slide', window=(4, 4, 5), batch_size=3)).infer(image)
    torch.testing.assert_close(slide, whole)
    assert torch.equal(whole, image)


def test_windows_of_air_are_background():
    image = torch.zeros(2, 12, 4, 4)
    image[1, :4] = 5
    seen = []

    def network(x: Tensor) -> Tensor:
        seen.append(len(x))
        return x - 1

    for head in (None, OVERLAPPING):
        model = segmentor(
            classes=2, head=head, test_cfg=dict(mode='slide', window=(4, 4, 4), overlap=0.0, skip_air=0.0)
        )
        model.network = network
        seen.clear()
        decided = model.decide(model.infer(image))
        assert sum(seen) == 1
        assert decided.sum() == 64
        assert decided[-1, :4].all()


def test_predictions_lie_on_the_native_grid():
    rng = np.random.default_rng(0)
    native = Grid((11, 8, 9), np.array([[0, 0, 1.0, 3], [-2, 0, 0, 4], [0, 1.5, 0, 5], [0, 0, 0, 1]]))
    first = Reorient.plan(native, 'RAS')
    second = CropPad.plan(first.target, size=(12, 10, 7))
    steps = [first, second]
    labels = rng.integers(0, 2, native.size).astype(np.float32)
    prepared = np.stack([1 - labels, labels])
    for step in steps:
        prepared = step.apply(prepared)
    sample = sample_of(native.size, grid_steps=steps)
    model = echoing(test_cfg=dict(keep_scores=True))
    model.predict([torch.from_numpy(prepared)], [sample])
    kept = second.invert(np.ones(second.target.size))
    kept = first.invert(kept) > 0
    assert 0 < kept.sum() < kept.size
    assert np.array_equal(sample.pred_sem_seg.data[0].numpy()[kept], labels[kept])
    assert not sample.pred_sem_seg.data[0].numpy()[~kept].any()
    assert sample.seg_logits.data.shape == (2, *native.size)


def test_scores_are_interpolated_before_they_are_decided():
    grid = Grid((8, 8, 8), np.diag([2.0, 2, 2, 1]))
    step = Resample.plan(grid, spacing_mm=(4, 4, 4))
    prepared = torch.randn(2, *step.target.size)
    sample = sample_of(grid.size, grid_steps=[step])
    echoing().predict([prepared], [sample])
    expected = step.invert(prepared.numpy(), 'linear').argmax(0)
    assert np.array_equal(sample.pred_sem_seg.data[0].numpy(), expected)


def test_mirrored_views_are_averaged_as_probabilities():
    model = segmentor(test_cfg=dict(mirror_axes=(0, 2)))
    image = torch.randn(2, 8, 4, 8)
    views = [(), (2,), (4,), (2, 4)]
    mean = sum(model.network(image[None].flip(v)).softmax(1).flip(v) for v in views) / 4
    probabilities = model.infer(image)
    torch.testing.assert_close(probabilities, mean[0])
    torch.testing.assert_close(model.infer(image.flip(1)), probabilities.flip(1), atol=1e-5, rtol=1e-4)
    (sample,) = model.predict([image])
    assert torch.equal(sample.pred_sem_seg.data[0].long(), mean[0].argmax(0))


def test_networks_are_averaged():
    nets = [segmentor(), segmentor()]
    for parameter in nets[1].parameters():
        parameter.data += 0.1
    x = torch.randn(1, 2, 4, 4, 8)
    mean = averaged([net.network for net in nets], nets[0].activate)(x)
    torch.testing.assert_close(mean, sum(net.network(x).softmax(1) for net in nets) / 2)


def test_decisions():
    scores = torch.tensor([[0.0, 1.0, -1.0], [0.5, 0.0, -2.0]])
    assert decide(scores, multi_label=False).tolist() == [[1, 0, 0]]
    assert decide(scores, multi_label=True).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert decide(scores, multi_label=True, threshold=(0.4, 0.7)).tolist() == [[1, 1, 0], [0, 0, 0]]
    assert decide(torch.tensor([[0.2, 0.6]]), multi_label=False, probabilities=True).tolist() == [[0, 1]]
    with_ties = torch.zeros(3, 2)
    assert decide(with_ties, multi_label=False).tolist() == [[0, 0]]


@pytest.mark.parametrize('maps', [1, 2])
@pytest.mark.parametrize('multi_label', [False, True])
def test_learns_one_case_by_heart(maps, multi_label):
    loss = dict(type='DiceCELoss') if not multi_label else dict(type='DiceCELoss', use_sigmoid=True)
    model = segmentor(
        head=dict(maps=maps, in_channels=(8, 4)[-maps:], multi_label=multi_label, loss_decode=loss)
    ).train()
    image = torch.randn(1, 2, 8, 8, 8)
    labels = (image[:, :1] > 0.3).long() + (image[:, :1] > 1)
    target = torch.cat([labels == k for k in range(3)], 1).to(torch.uint8) if multi_label else labels
    sample = sample_of((8, 8, 8), target[0])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    values = []
    for _ in range(60):
        losses = model.loss(image, [sample])
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        values.append(float(total))
    assert all(name.startswith('decode.loss_') for name in losses)
    assert values[-1] < 0.4 * values[0]
    model.eval()
    predicted = model.predict([image[0]])[0].pred_sem_seg.data
    assert (predicted == target[0]).float().mean() > 0.9


def test_head_asks_for_the_masks_it_was_built_for():
    head = segmentor(head=OVERLAPPING).decode_head
    with pytest.raises(ValueError, match='expects 3 masks a case, the data set gives 1'):
        head.targets([sample_of((4, 4, 4))])


def test_lower_precision_keeps_sums_exact():
    image = torch.randn(2, 8, 8, 8)
    exact, rounded = segmentor().infer(image), segmentor(test_cfg=dict(precision='bfloat16')).infer(image)
    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(exact, rounded, atol=0.05, rtol=0.05)


def test_channels_last_is_a_layout_only():
    image = torch.randn(2, 8, 8, 8)
    torch.testing.assert_close(
        segmentor().infer(image), segmentor(channels_last=True).infer(image), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize(
    ('test_cfg', 'message'),
    [(dict(mode='tiles'), "'whole' or 'slide', got 'tiles'"), (dict(mode='slide'), 'needs test_cfg.window')],
)
def test_wrong_test_cfg(test_cfg, message):
    with pytest.raises(ValueError, match=message):
        segmentor(test_cfg=test_cfg)
