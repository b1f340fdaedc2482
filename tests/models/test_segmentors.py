import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.structures import SegDataSample

from mmseg_medical.registry import MODELS


def config(**kwargs):
    dims = (8, 8, 16, 16)
    head = dict(type='HACDRHead', in_channels=dims, channels=8, loss_decode=dict(type='PixelMeanCrossEntropyLoss'))
    head |= kwargs.pop('head', {})
    return (
        dict(
            type='MedicalEncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor', size=(40, 56)),
            backbone=dict(type='HACDRNet', embed_dims=dims, depths=(1, 1, 1, 1), ffn_ratios=(1, 1, 1, 1)),
            decode_head=head,
            test_cfg=dict(mode='whole'),
        )
        | kwargs
    )


def build(**kwargs):
    init_default_scope('mmseg_medical')
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(config(**kwargs)))
    model.init_weights()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    return model.eval()


MULTI_LABEL = dict(num_classes=4, multi_label=True, loss_decode=dict(type='MultiLabelBCELoss'))


def sample(**meta):
    return SegDataSample(metainfo=meta)


@pytest.mark.parametrize('batch_size', [1, 4])
@torch.no_grad()
def test_sliding_windows_equal_mmseg(batch_size):
    slide = dict(mode='slide', crop_size=(24, 32), stride=(16, 20), batch_size=batch_size)
    model = build(test_cfg=slide)
    x = torch.randn(2, 3, 50, 61)
    metas = [dict(ori_shape=(50, 61), img_shape=(50, 61)) for _ in x]
    ours = model.inference(x, [dict(m) for m in metas])
    torch.testing.assert_close(ours, EncoderDecoder.slide_inference(model, x, metas), rtol=1e-5, atol=1e-5)
    assert metas[1]['img_shape'] == (50, 61)


@torch.no_grad()
def test_one_window_as_large_as_the_image_is_the_whole_image():
    x = torch.randn(1, 3, 40, 56)
    slide = build(test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(64, 64), window_weights='gaussian'))
    meta = [dict(ori_shape=(40, 56), img_shape=(40, 56))]
    torch.testing.assert_close(slide.inference(x, meta), build().inference(x, meta), rtol=1e-5, atol=1e-5)


def test_predictions_return_to_the_native_grid():
    model = build()
    logits = torch.randn(1, 5, 8, 12)
    (out,) = model.postprocess_result(logits, [sample(ori_shape=(16, 24), img_shape=(8, 12))])
    assert out.seg_logits.shape == (16, 24)
    assert out.pred_sem_seg.data.shape == (1, 16, 24)
    assert torch.equal(out.pred_sem_seg.data[0], out.seg_logits.data.argmax(0))


@pytest.mark.parametrize(('direction', 'axes'), [('horizontal', (2,)), ('vertical', (1,)), ('diagonal', (1, 2))])
def test_flips_are_undone(direction, axes):
    logits = torch.randn(1, 5, 8, 12)
    (out,) = build().postprocess_result(logits, [sample(ori_shape=(8, 12), flip=True, flip_direction=direction)])
    assert torch.equal(out.seg_logits.data, logits[0].flip(axes))


def test_padding_is_removed():
    logits = torch.randn(1, 5, 10, 14)
    (out,) = build().postprocess_result(logits, [sample(ori_shape=(8, 12), img_padding_size=(0, 2, 0, 2))])
    assert torch.equal(out.seg_logits.data, logits[0, :, :8, :12])


@pytest.mark.parametrize('multi_label', [False, True])
def test_crops_are_put_back_with_background_around(multi_label):
    model = build(head=MULTI_LABEL) if multi_label else build()
    logits = torch.randn(1, model.out_channels, 4, 6)
    (out,) = model.postprocess_result(logits, [sample(ori_shape=(9, 11), crop_box=(2, 3, 6, 9))])
    assert torch.equal(out.seg_logits.data[:, 2:6, 3:9], logits[0])
    outside = torch.ones(9, 11, dtype=torch.bool)
    outside[2:6, 3:9] = False
    assert not out.pred_sem_seg.data[:, outside].any()
    assert torch.isfinite(out.seg_logits.data).all()
    lesions = model.activate(out.seg_logits.data)[0 if multi_label else 1 :]
    assert lesions[:, outside].max() < 1e-12


def test_one_channel_is_background_outside_the_crop():
    model = build(head=dict(num_classes=2, out_channels=1, threshold=0.3))
    (out,) = model.postprocess_result(torch.full((1, 1, 4, 6), 3.0), [sample(ori_shape=(9, 11), crop_box=(2, 3, 6, 9))])
    assert out.pred_sem_seg.data.sum() == 4 * 6


def test_plain_tensors_are_predicted_too():
    (out,) = build().predict(torch.randn(1, 3, 24, 32))
    assert out.pred_sem_seg.data.shape == (1, 24, 32)


def test_multi_label_thresholds():
    logits = torch.tensor([0.0, 0.5, 3.0, -3.0]).reshape(4, 1, 1)
    assert build(head=MULTI_LABEL).decide(logits).flatten().tolist() == [0, 1, 1, 0]
    per_class = build(head=MULTI_LABEL, test_cfg=dict(mode='whole', threshold=[0.4, 0.7, 0.99, 0.01]))
    assert per_class.decide(logits).flatten().tolist() == [1, 0, 0, 1]
    assert per_class.decide(logits.sigmoid(), probabilities=True).flatten().tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize('multi_label', [False, True])
def test_one_training_step(multi_label):
    model = build(head=MULTI_LABEL).train() if multi_label else build().train()
    shape = (4, 40, 56) if multi_label else (1, 40, 56)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 2, shape))) for _ in range(2)]
    losses = model.loss(torch.randn(2, 3, 40, 56), samples)
    total, logged = model.parse_losses(losses)
    total.backward()
    assert total.item() == pytest.approx(logged['decode.loss_bce' if multi_label else 'decode.loss_ce'].item())
    assert all(p.grad is not None for p in model.parameters())


def test_multi_label_masks_must_have_the_heads_channels():
    model = build(head=MULTI_LABEL)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 40, 56, dtype=torch.long)))]
    with pytest.raises(ValueError, match="4 channels, the masks 1; set the dataset's target='multilabel'"):
        model.loss(torch.randn(1, 3, 40, 56), samples)


@torch.no_grad()
@pytest.mark.parametrize('multi_label', [False, True])
def test_augmented_predictions_are_the_mean_of_probabilities(multi_label):
    init_default_scope('mmseg_medical')
    module = config(head=MULTI_LABEL) if multi_label else config()
    tta = MODELS.build(dict(type='MedicalSegTTAModel', module=module))
    channels = 4 if multi_label else 5
    views = [torch.randn(channels, 6, 7) for _ in range(3)]
    samples = [
        [SegDataSample(seg_logits=PixelData(data=v), gt_sem_seg=PixelData(data=torch.ones(1, 6, 7))) for v in views]
    ]
    samples[0][0].set_metainfo(dict(case_id='a', flip=False))
    (merged,) = tta.merge_preds(samples)
    activate = torch.sigmoid if multi_label else lambda x: x.softmax(0)
    expected = sum(map(activate, views)) / 3
    torch.testing.assert_close(merged.seg_probs.data, expected)
    wanted = (expected > 0.5).to(torch.uint8) if multi_label else expected.argmax(0, keepdim=True)
    assert torch.equal(merged.pred_sem_seg.data, wanted)
    assert merged.case_id == 'a'
    assert merged.gt_sem_seg.data.all()
    assert 'seg_logits' not in merged
