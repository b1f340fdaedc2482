"""A small HDC-HRNet, streams as it gives them, and labels."""

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_medical.models.backbones import HRNetDCN

BASIC = [['basic']] * 3
CE = dict(type='mmseg_medical.PixelMeanCrossEntropyLoss')
WIDTHS = (8, 16, 32, 64)


def small(**options):
    return HRNetDCN(**{'base_channels': 8, 'blocks': BASIC, **options})


def streams(n=2, sizes=((11, 7), (6, 4), (3, 2), (2, 1)), widths=WIDTHS):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, c, *s, generator=generator) for c, s in zip(widths, sizes, strict=True)]


def samples(n=2, size=(11, 7), classes=4):
    target = torch.arange(n * size[0] * size[1]).reshape(n, 1, *size) % classes
    return [SegDataSample(gt_sem_seg=PixelData(data=truth)) for truth in target]
