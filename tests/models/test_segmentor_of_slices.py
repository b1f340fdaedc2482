"""Slices of volumes: labels on the slice of the file, and views that are averaged inside the network."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from scipy import ndimage
from slice_models import echoing, model_config

from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import CropPad, Grid, Reorient, Resample
from mmseg_medical.models.segmentors.averaging import views_of
from mmseg_medical.registry import MODELS

NATIVE = Grid((17, 23), np.diag([2.0, 1.5, 10.0, 1.0]))


def sample(steps, **meta):
    return SegDataSample(metainfo=dict(grid_steps=steps, ori_shape=NATIVE.size, **meta))


def reference(scores: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Scores at the centres of the pixels of ``size`` over the same field of view, by scipy."""
    axes = [(np.arange(new) + 0.5) * old / new - 0.5 for old, new in zip(scores.shape[1:], size, strict=True)]
    places = np.meshgrid(*axes, indexing='ij')
    return np.stack([ndimage.map_coordinates(part, places, order=1, mode='nearest') for part in scores])


@pytest.mark.parametrize('size', [(11, 29), (40, 5), (17, 23), (1, 1)])
@pytest.mark.parametrize('divisor', [None, 8])
def test_labels_on_the_slice_of_the_file_are_those_of_scipy(size, divisor):
    step = Resample.plan(NATIVE, size=size)
    image = torch.randn(3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).float()
    batch = dict(inputs=[image, -image], data_samples=[sample([step]), sample([step])])
    with torch.no_grad():
        results = echoing(divisor=divisor).test_step(batch)
    for result, scores in zip(results, (image, -image), strict=True):
        expected = reference(scores.numpy().astype(np.float64), NATIVE.size).argmax(0)
        np.testing.assert_array_equal(result.pred_sem_seg.data[0].numpy(), expected)
        assert result.pred_sem_seg.data.dtype == torch.uint8
        assert 'seg_logits' not in result


def test_steps_are_undone_one_after_the_other():
    turn = Reorient(NATIVE, Grid((23, 17), None), (1, 0), (True, False))
    zoom = Resample.plan(turn.target, size=(31, 12))
    crop = CropPad(zoom.target, Grid((20, 16), None), (4, -2))
    scores = torch.randn(2, 20, 16)
    (result,) = echoing(2, test_cfg=dict(keep_scores=True)).postprocess_result(
        scores[None], [sample([turn, zoom, crop])]
    )
    whole = np.full((2, 31, 12), np.nan)
    whole[:, 4:24] = scores[:, :, 2:14]
    whole[:, :4], whole[:, 24:] = whole[:, 4:5], whole[:, 23:24]
    native = reference(whole, (23, 17))[:, ::-1].transpose(0, 2, 1)
    kept = np.zeros((23, 17), bool)
    rows = (np.arange(23) + 0.5) * 31 / 23
    kept[(rows >= 4) & (rows < 24)] = True
    kept = kept[::-1].T
    assert 0.5 < kept.mean() < 1
    np.testing.assert_array_equal(result.pred_sem_seg.data[0].numpy(), native.argmax(0) * kept)
    assert result.seg_logits.data.shape == (2, 17, 23)
    inside = ndimage.binary_erosion(kept, np.ones((1, 5)), border_value=1)
    np.testing.assert_allclose(result.seg_logits.data.numpy()[:, inside], native[:, inside], atol=1e-5)
    assert result.seg_logits.data[1][torch.as_tensor(~kept)].max() < 0


@pytest.mark.parametrize(('direction', 'axes'), [('horizontal', (2,)), ('vertical', (1,)), ('diagonal', (1, 2))])
def test_a_flip_of_the_pipeline_comes_before_the_steps(direction, axes):
    step = Resample.plan(NATIVE, size=(9, 14))
    image = torch.randn(3, 9, 14)
    model = echoing()
    flipped = sample([step], flip=True, flip_direction=direction, img_padding_size=(0, 2, 0, 3))
    padded = torch.nn.functional.pad(image.flip(axes), (0, 2, 0, 3), value=9.0)
    (result,) = model.postprocess_result(padded[None], [flipped])
    (plain,) = model.postprocess_result(image[None], [sample([step])])
    assert torch.equal(result.pred_sem_seg.data, plain.pred_sem_seg.data)


@torch.no_grad()
def test_masks_that_overlap():
    step = Resample.plan(NATIVE, size=(9, 14))
    image = torch.randn(3, 9, 14)
    model = echoing(head=dict(multi_label=True), test_cfg=dict(threshold=[0.3, 0.5, 0.8]))
    (result,) = model.test_step(dict(inputs=[image], data_samples=[sample([step])]))
    native = torch.as_tensor(reference(image.numpy().astype(np.float64), NATIVE.size))
    expected = native.sigmoid() > torch.tensor([0.3, 0.5, 0.8])[:, None, None]
    assert torch.equal(result.pred_sem_seg.data, expected.to(torch.uint8))


@torch.no_grad()
@pytest.mark.parametrize('multi_label', [False, True])
def test_a_cascade_decides_by_its_last_head(multi_label):
    init_default_scope('mmseg_medical')
    head = model_config()['decode_head']
    point = dict(type='PointHead', in_channels=[3], in_index=[0], channels=4, num_fcs=1, num_classes=3)
    options = dict(subdivision_steps=1, subdivision_num_points=20, scale_factor=1)
    cfg = model_config(test_cfg=options) | dict(type='MedicalCascadeEncoderDecoder', num_stages=2)
    model = MODELS.build(ConfigDict(cfg | dict(decode_head=[head, point]))).eval()
    model.decode_head[-1].multi_label = multi_label
    assert model.multi_label is multi_label
    step = Resample.plan(NATIVE, size=(9, 14))
    image = torch.randn(3, 9, 14)
    (result,) = model.test_step(dict(inputs=[image], data_samples=[sample([step])]))
    native = torch.as_tensor(reference(model.network(image[None])[0].double().numpy(), NATIVE.size))
    expected = native > 0 if multi_label else native.argmax(0, keepdim=True)
    assert torch.equal(result.pred_sem_seg.data, expected.to(torch.uint8))


@pytest.mark.parametrize('align_corners', [False, True])
def test_photographs_grow_as_opencv_shrinks_them(align_corners):
    scores = torch.randn(3, 8, 12)
    model = echoing(head=dict(align_corners=align_corners))
    (result,) = model.postprocess_result(scores[None], [SegDataSample(metainfo=dict(ori_shape=(16, 36)))])
    expected = np.stack([cv2.resize(part, (36, 16), interpolation=cv2.INTER_LINEAR) for part in scores.numpy()])
    np.testing.assert_allclose(result.seg_logits.data.numpy(), expected, atol=1e-5)


VIEWS = [
    (dict(mirror_axes=(1,)), [(0, ()), (0, (3,))]),
    (dict(mirror_axes=(0, 1)), [(0, ()), (0, (2,)), (0, (3,)), (0, (2, 3))]),
    (dict(mirror_axes=(1,), quarter_turns=True), [(k, f) for k in range(4) for f in ((), (3,))]),
    (dict(quarter_turns=True), [(k, ()) for k in range(4)]),
]


@torch.no_grad()
@pytest.mark.parametrize(('options', 'views'), VIEWS)
def test_views_are_the_mean_of_their_probabilities(options, views):
    model, image = echoing(kernel_size=3, test_cfg=options), torch.randn(2, 3, 11, 7)
    expected = 0
    for turns, dims in views:
        seen = model.network(image.rot90(turns, (2, 3)).flip(dims)).softmax(1)
        expected = expected + seen.flip(dims).rot90(-turns, (2, 3)) / len(views)
    probabilities = model.inference(image, None)
    torch.testing.assert_close(probabilities, expected)
    assert not torch.allclose(probabilities, model.network(image).softmax(1), atol=1e-3)
    (result, _) = model.test_step(dict(inputs=list(image), data_samples=[SegDataSample(), SegDataSample()]))
    torch.testing.assert_close(result.seg_probs.data, expected[0])
    assert torch.equal(result.pred_sem_seg.data[0], expected[0].argmax(0).to(torch.uint8))


@torch.no_grad()
@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_eight_views_turn_and_mirror_with_the_image(mode):
    """The mean over all symmetries of a square does not know how an image was laid down, whatever the network."""
    windows = dict(crop_size=(8, 8), stride=(4, 4)) if mode == 'slide' else {}
    cfg = dict(mirror_axes=(0,), quarter_turns=True, mode=mode, **windows)
    model, image = echoing(kernel_size=3, test_cfg=cfg), torch.randn(1, 3, 12, 20)
    plain = model.infer(image)
    for turns, dims in VIEWS[2][1]:
        turned = model.infer(image.rot90(turns, (2, 3)).flip(dims))
        torch.testing.assert_close(turned.flip(dims).rot90(-turns, (2, 3)), plain, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_each_window_is_seen_in_all_views():
    """In windows that are not square, too: where one fits, it is the whole image."""
    views = dict(mirror_axes=(1,), quarter_turns=True)
    slide = dict(mode='slide', crop_size=(9, 30), stride=(9, 30), **views)
    image = torch.randn(1, 3, 9, 20)
    whole = echoing(kernel_size=3, test_cfg=views).infer(image)
    torch.testing.assert_close(echoing(kernel_size=3, test_cfg=slide).infer(image), whole)


def test_no_view_is_counted_twice():
    assert [len(views_of(axes, turns, 2)) for axes in ((), (0,), (0, 1)) for turns in (False, True)] == [
        1,
        4,
        2,
        8,
        4,
        8,
    ]
    assert len(views_of((0, 1, 2), True, 3)) == 16
    image = torch.arange(6.0).reshape(1, 1, 2, 3)
    for views in (views_of((0,), True, 2), views_of((0, 1), True, 2)):
        seen = {tuple(view.see(image).shape) + tuple(view.see(image).flatten().tolist()) for view in views}
        assert len(seen) == 8
        assert all(torch.equal(view.undo(view.see(image)), image) for view in views)


@pytest.mark.parametrize('axes', [(2,), (0, 0), (-1,), ('x',)])
def test_wrong_axes(axes):
    model = echoing(test_cfg=dict(mirror_axes=axes))
    with pytest.raises(ConfigError, match=r'mirror axes must be different ones of 0\.\.1'):
        model.infer(torch.zeros(1, 3, 4, 4))


def test_wrong_mode():
    with pytest.raises(ConfigError, match="must be 'whole' or 'slide', found 'window'"):
        echoing(test_cfg=dict(mode='window')).infer(torch.zeros(1, 3, 4, 4))


def test_slices_are_not_averaged_over_pipelines():
    tta = MODELS.build(dict(type='MedicalSegTTAModel', module=model_config()))
    with pytest.raises(ConfigError, match='tta_cfg'):
        tta.merge_preds([[sample([])]])
    views = [torch.rand(3, 4, 5).softmax(0) for _ in range(2)]
    samples = [SegDataSample(seg_probs=PixelData(data=values.clone())) for values in views]
    (merged,) = tta.merge_preds([samples])
    torch.testing.assert_close(merged.seg_probs.data, (views[0] + views[1]) / 2)
