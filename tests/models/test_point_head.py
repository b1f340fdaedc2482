"""PointRend as mmseg has it, without compiled operators."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_medical import apis
from mmseg_medical.models.decode_heads import point_sample


def network(**test_cfg):
    cfg = apis.load_config('configs/_base_/models/hrnet_dcn_point_head.py')
    cfg.model.data_preprocessor.size = None
    cfg.model.backbone.update(base_channels=8, blocks=[['basic']] * 3)
    for head in cfg.model.decode_head:
        head.in_channels = (8, 16, 32, 64)
    cfg.model.train_cfg.num_points = 40
    cfg.model.test_cfg.update(subdivision_num_points=30, **test_cfg)
    return apis.build_model(cfg)


def test_points_lie_between_the_edges_of_the_map():
    ramp = torch.arange(4.0).reshape(1, 1, 1, 4)
    points = torch.tensor([[[0.125, 0.5], [0.375, 0.5], [0.5, 0.5]]])
    assert point_sample(ramp, points).tolist() == [[[0.0, 1.0, 1.5]]]
    corners = torch.tensor([[[0.0, 0.5], [1 / 3, 0.5], [1.0, 0.5]]])
    torch.testing.assert_close(point_sample(ramp, corners, align_corners=True), torch.tensor([[[0.0, 1.0, 3.0]]]))
    assert point_sample(ramp.bfloat16(), points, mode='nearest').dtype == torch.bfloat16


def test_points_have_a_loss_of_their_own():
    model = network()
    truth = [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(4, (1, 20, 17)))) for _ in range(2)]
    loss, log = model.parse_losses(model.loss(torch.randn(2, 3, 20, 17), truth))
    assert {'decode_0.loss_hdc_hrnet', 'decode_1.pointloss_ce', 'decode_0.stream0.loss_hdc_hrnet'} <= set(log)
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize('mode', ['whole', 'slide'])
@torch.no_grad()
def test_some_pixels_are_refined(mode):
    torch.manual_seed(0)
    model = network(mode=mode, crop_size=(16, 16), stride=(9, 9)).eval()
    image = torch.randn(1, 3, 20, 17)
    logits = model.predict(image)[0].seg_logits.data
    assert logits.shape == (4, 20, 17)
    if mode == 'whole':
        coarse = model.decode_head[0](model.extract_feat(image))[0]
        assert (logits != coarse).any(0).sum() == 30
        torch.testing.assert_close(model(image)[0], logits)
