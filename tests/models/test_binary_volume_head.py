"""One key sets channels, losses and decision; configs of 3D-Res2UNet and its baselines."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_medical import apis
from mmseg_medical.errors import ConfigError
from mmseg_medical.models.backbones import MedicalUNet, Res2UNet3D
from mmseg_medical.models.decode_heads import BinaryVolumeHead, VolumeHead
from mmseg_medical.structures import VolumeData


@pytest.fixture(autouse=True, scope='module')
def _scope():
    init_default_scope('mmseg_medical')


def sample(labels: Tensor) -> SegDataSample:
    found = SegDataSample()
    found.gt_sem_seg = VolumeData(data=labels.to(torch.uint8))
    return found


@pytest.mark.parametrize('mode', ['softmax', 'sigmoid'])
def test_one_key_sets_channels_losses_and_decision(mode):
    torch.manual_seed(0)
    config = apis.load_config('configs/_base_/models/res2unet3d.py', {'model.decode_head.mode': mode})
    config.model.backbone.base_channels = config.model.decode_head.in_channels = 16
    config.model.test_cfg.window = (16, 16, 16)
    model = apis.build_model(config)
    labels = torch.zeros(1, 16, 16, 16)
    labels[:, 4:8, 4:8, 4:8] = 1
    losses = model.train().loss(torch.randn(2, 1, 16, 16, 16), [sample(labels), sample(labels)])
    losses['decode.loss_dice_ce'].backward()
    assert model.decode_head.classifiers[0].weight.grad.abs().sum() > 0
    assert model.out_channels == {'softmax': 2, 'sigmoid': 1}[mode]
    (out,) = model.eval().predict([torch.randn(1, 20, 17, 9)])
    assert out.pred_sem_seg.data.shape == (1, 20, 17, 9)
    assert set(out.pred_sem_seg.data.unique().tolist()) <= {0, 1}


def test_contradictions_are_errors_of_the_config():
    with pytest.raises(ConfigError, match="mode='tanh' is unknown; choose one of softmax, sigmoid"):
        BinaryVolumeHead(4, 'tanh')
    with pytest.raises(ConfigError, match="mode='softmax' says multi_label=False"):
        BinaryVolumeHead(4, multi_label=True)
    with pytest.raises(ConfigError, match='DiceCELoss has use_sigmoid=True, the head multi_label=False'):
        BinaryVolumeHead(4, loss_decode=dict(type='DiceCELoss', use_sigmoid=True))
    with pytest.raises(ConfigError, match='SoftDiceLoss has use_sigmoid=False, the head multi_label=True'):
        VolumeHead(4, 2, multi_label=True, loss_decode=[dict(type='SoftDiceLoss')])


@pytest.mark.parametrize('name', ['unet3d_lung', 'res_unet3d_lung'])
def test_baselines_have_as_many_parameters(name):
    with torch.device('meta'):
        model = apis.build_model(apis.load_config(f'configs/_base_/models/{name}.py'))
    assert isinstance(model.backbone, MedicalUNet)
    assert not isinstance(model.backbone, Res2UNet3D)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(4_801_310, rel=0.02)
