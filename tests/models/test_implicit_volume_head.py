"""Coordinates within the case, through batches, windows and mirrored views; logits finer than the image."""

import numpy as np
import pytest
import torch
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.transforms import PackVolumeInputs, RandomFlipVolume, RandomPatch
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import CropPad, Frame, Grid, Reorient
from mmseg_medical.registry import MODELS
from mmseg_medical.structures import VolumeData

SIZE = (11, 9, 10)
GRID = Grid(SIZE, np.array([[0, 0, 1.0, 3], [-2, 0, 0, 4], [0, 1.5, 0, 5], [0, 0, 0, 1]]))


@MODELS.register_module(force=True)
class PointwiseBackbone(nn.Module):
    """A 1x1 convolution, so that what is around a voxel does not matter."""

    def __init__(self, in_channels: int = 1, spatial_dims: int = 3, divisor: int = 1) -> None:
        super().__init__()
        self.in_channels, self.spatial_dims = in_channels, spatial_dims
        self.divisors = (divisor,) * spatial_dims
        self.conv = (nn.Conv2d, nn.Conv3d)[spatial_dims - 2](in_channels, 4, 1)

    def forward(self, x):
        return (self.conv(x),)


def segmentor(rank=3, head=None, divisor=1, **test_cfg) -> nn.Module:
    torch.manual_seed(0)
    implicit = dict(type='CoordinateHead', hidden=6, chunk_points=100)
    options = dict(type='ImplicitVolumeHead', in_channels=4, num_classes=3, spatial_dims=rank, implicit=implicit)
    return MODELS.build(
        dict(
            type='VolumeSegmentor',
            backbone=dict(type='PointwiseBackbone', spatial_dims=rank, divisor=divisor),
            decode_head=options | (head or {}),
            test_cfg=test_cfg,
        )
    ).eval()


def image(size=SIZE):
    return torch.randn(1, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(('size', 'window'), [(SIZE, (4, 4, 5)), ((3, 9, 1), (4, 4, 4)), ((7, 5), (3, 8))])
@pytest.mark.parametrize('divisor', [1, 4])
def test_windows_say_what_the_whole_says(size, window, divisor):
    rank = len(size)
    x = image(size)
    whole = segmentor(rank, divisor=divisor).infer(x)
    slide = segmentor(rank, divisor=divisor, mode='slide', window=window, batch_size=3).infer(x)
    torch.testing.assert_close(slide, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('scale', [1, 2])
def test_what_a_network_pads_is_not_of_the_case(scale):
    """Neither counts it for coordinates, nor reaches it points between voxels."""
    x = torch.stack([image(), image() + 1])
    plain, padding = segmentor(), segmentor(divisor=8)
    assert not torch.equal(plain.network(x)[0], plain.network(x)[1])
    torch.testing.assert_close(padding.network(x), plain.network(x))
    frames = [Frame.whole(SIZE, (scale,) * 3).at((2, 0, -1))] * 2
    torch.testing.assert_close(padding.network(x, frames), plain.network(x, frames))


def test_the_image_is_asked_more_finely():
    model, x = segmentor(), image()
    frame = model.frame_of(SIZE, scale=(2, 1, 3))
    scores = model.infer(x, frame=frame)
    assert scores.shape == (3, 22, 9, 30)
    with torch.no_grad():
        (expected,) = model.decode_head(model.extract_feat(x[None]), [frame])
    torch.testing.assert_close(scores, expected[0])
    labels = model.infer(x, decide=model.decide, frame=frame)
    assert torch.equal(labels[0].long(), expected[0].argmax(0))


@pytest.mark.parametrize('window', [(4, 4, 16), (11, 2, 5)])
@pytest.mark.parametrize('axes', [(), (0, 2)])
def test_finer_windows_say_what_the_finer_whole_says(window, axes):
    """Of a uniform image: features beyond the last voxels of a window are continued, not interpolated."""
    x = torch.full((1, *SIZE), 0.7)
    scale = (2, 1, 3)
    whole, slide = segmentor(mirror_axes=axes), segmentor(mode='slide', window=window, batch_size=2, mirror_axes=axes)
    expected = whole.infer(x, frame=whole.frame_of(SIZE, scale=scale))
    found = slide.infer(x, frame=slide.frame_of(SIZE, scale=scale))
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_coordinates_are_those_of_the_case():
    """A patch in a batch with a larger one, cut from a padded, turned image: its logits are the whole's."""
    model, x = segmentor(), image()
    turned = Reorient.plan(GRID, 'RAS')
    padded = CropPad.plan(turned.target, size=(14, 9, 12))
    prepared = padded.apply(turned.apply(x.numpy()))
    with torch.no_grad():
        (expected,) = model.decode_head(model.extract_feat(torch.from_numpy(turned.apply(x.numpy()))[None]))
    expected = torch.from_numpy(padded.apply(expected.numpy()))[0]
    sample = dict(img=prepared, affine=padded.target.affine, native_grid=GRID, img_path='case.nii.gz')
    np.random.seed(3)  # noqa: NPY002
    batch = [PackVolumeInputs()(RandomPatch(size)(dict(sample))) for size in ((5, 4, 6), (8, 7, 9), (3, 12, 4))]
    truth = VolumeData(data=torch.zeros(1, 1, 1, 1))
    for one in batch:
        one['data_samples'].gt_sem_seg = truth.clone()
    data = model.data_preprocessor(
        dict(inputs=[one['inputs'] for one in batch], data_samples=[one['data_samples'] for one in batch]),
        training=True,
    )
    assert data['inputs'].shape == (3, 1, 8, 12, 9)
    (logits,) = model.decode_head.logits_of(model.extract_feat(data['inputs']), data['data_samples'])
    for values, packed in zip(logits, batch, strict=True):
        (record,) = packed['data_samples'].augmentations
        start, extent = record['start'], record['size']
        inside = [(max(0, s), min(s + n, m)) for s, n, m in zip(start, extent, (14, 9, 12), strict=True)]
        ours = values[(..., *(slice(a - s, b - s) for (a, b), s in zip(inside, start, strict=True)))]
        wanted = expected[(..., *(slice(a, b) for a, b in inside))]
        known = wanted.abs().sum(0) > 0  # the rest was put around the image
        assert known.any()
        torch.testing.assert_close(ours[:, known], wanted[:, known], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('order', ['patch flip', 'flip patch', 'flip patch flip patch', 'flip'])
@pytest.mark.parametrize('axes', [(0,), (1, 2), (0, 1, 2)])
def test_mirrored_patches_lie_in_the_mirrored_case(order, axes):
    """Of a crop that is not in the middle: coordinates move with the voxels and change their sign where mirrored."""
    crop = CropPad.plan(GRID, box=[(2, 11), (0, 7), (1, 9)])
    lines = [np.linspace(-1, 1, n) for n in SIZE]
    coordinates = crop.apply(np.stack(np.meshgrid(*lines, indexing='ij')))
    sample = dict(img=coordinates, affine=crop.target.affine, native_grid=GRID, grid_steps=[crop])
    sizes, signs = iter([(6, 5, 7), (4, 3, 6)]), np.ones(3)
    np.random.seed(5)  # noqa: NPY002
    for step in order.split():
        if step == 'flip':
            signs[list(axes)] *= -1
        sample = (RandomFlipVolume(axes, prob=1.0) if step == 'flip' else RandomPatch(next(sizes)))(sample)
    packed = PackVolumeInputs()(sample)['data_samples']
    frame = segmentor().decode_head.frame_of(packed.img_shape, packed.metainfo)
    found = [f + s * np.arange(n) for f, s, n in zip(frame.first, frame.step, packed.img_shape, strict=True)]
    wanted = sample['img'] * signs.reshape(3, 1, 1, 1)
    np.testing.assert_allclose(np.stack(np.meshgrid(*found, indexing='ij')), wanted, atol=1e-12)


def test_mirrored_views_are_mirrored_cases():
    """The mean over a mirrored view is that of the mirrored image, also window by window."""
    x = image()
    plain = segmentor().infer(x).softmax(0)
    other = segmentor().infer(x.flip(2)).softmax(0).flip(2)
    assert not torch.allclose(plain, other, atol=1e-3)
    for mode in ({}, dict(mode='slide', window=(4, 4, 4))):
        found = segmentor(mirror_axes=(1,), **mode).infer(x)
        torch.testing.assert_close(found, (plain + other) / 2, atol=1e-5, rtol=1e-5)


def test_predictions_of_crops_use_the_frame_of_the_file():
    model, x = segmentor(), image()
    (whole,) = model.predict([x], [SegDataSample(metainfo=dict(native_grid=GRID, affine=GRID.affine))])
    step = CropPad.plan(GRID, box=[(3, 9), (-2, 8), (0, 10)])
    meta = dict(native_grid=GRID, affine=step.target.affine, grid_steps=[step])
    for keep in (False, True):
        model.test_cfg['keep_scores'] = keep
        (cut,) = model.predict([torch.from_numpy(step.apply(x.numpy()))], [SegDataSample(metainfo=meta)])
        assert torch.equal(cut.pred_sem_seg.data[:, 3:9, :8], whole.pred_sem_seg.data[:, 3:9, :8])
    assert cut.pred_sem_seg.data.unique().numel() > 1


def test_images_without_geometry():
    head = segmentor().decode_head
    grid = Grid(SIZE, None)
    meta = dict(native_grid=grid, affine=None, img_path='case.npy')
    assert head.frame_of((4, 5, 6), meta) == Frame.whole((4, 5, 6))
    assert head.frame_of((4, 5, 6), {}) == Frame.whole((4, 5, 6))
    volume = dict(native_grid=GRID, affine=GRID.affine)
    assert head.frame_of((4, 5), volume) == Frame.whole((4, 5))  # a slice
    with pytest.raises(DataError, match=r'case\.npy: expected an affine, .*Take RandomPatch out'):
        head.frame_of((4, 5, 6), meta | dict(augmentations=[dict(type='RandomPatch')]))


def test_other_heads_know_no_points_between_voxels():
    plain = MODELS.build(dict(type='VolumeHead', in_channels=4, num_classes=3))
    assert plain.frame_of(SIZE, {}) is None
    assert plain.frame_of(SIZE, {}, (1, 1, 1)) is None
    with pytest.raises(ConfigError, match=r'VolumeHead knows no points between voxels.*\(2, 2, 2\)'):
        plain.frame_of(SIZE, {}, (2, 2, 2))
    assert segmentor().frame_of(SIZE, scale=(2, 2, 2)).scale == (2, 2, 2)


def test_a_projection_is_of_the_finest_map_alone():
    with pytest.raises(ConfigError, match='projection=4 is of the finest map alone'):
        MODELS.build(dict(type='VolumeHead', in_channels=(8, 4), num_classes=3, projection=4))


@pytest.mark.parametrize(('kind', 'lr'), [('CoordinateHead', 1e-2), ('SirenHead', 2e-3)])
def test_learns_a_place_that_no_feature_shows(kind, lr):
    """The label says in which half of the case a voxel of noise lies; patches come from either."""
    torch.manual_seed(0)
    loss = dict(type='VoxelCrossEntropyLoss')
    options = dict(num_classes=2, projection=2, implicit=dict(type=kind, hidden=16), loss_decode=loss)
    model = segmentor(head=options).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    case, samples = Grid((16, 6, 6), np.eye(4)), []
    for half in range(2):
        affine = np.eye(4)
        affine[0, 3] = 8 * half
        samples.append(SegDataSample(metainfo=dict(native_grid=case, affine=affine, img_shape=(8, 6, 6))))
        samples[-1].gt_sem_seg = VolumeData(data=torch.full((1, 8, 6, 6), half))
    values = []
    for _ in range(60):
        losses = model.loss(0.1 * torch.randn(2, 1, 8, 6, 6), samples)
        optimizer.zero_grad()
        total = sum(losses.values())
        total.backward()
        optimizer.step()
        values.append(float(total.detach()))
    assert values[-1] < 0.4 * values[0]
    assert all(p.grad is not None for p in model.parameters())
