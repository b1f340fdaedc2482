"""A network and a data set that train within a second, written as files the tools can read."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import cv2
import numpy as np

CONFIG = """
default_scope = 'mmseg_medical'
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
dataset = dict(
    type='BaseSegDataset', data_root={root!r}, data_prefix=dict(img_path='img', seg_map_path='ann'),
    img_suffix='.png', metainfo=dict(classes=('background', 'EX'), palette=[[0, 0, 0], [255, 0, 0]]),
    reduce_zero_label=False, pipeline=pipeline)
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**dataset))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset) | dict(data_prefix=dict(img_path='val_img', seg_map_path='val_ann')))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mDice'])
test_evaluator = val_evaluator
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=4)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[0] * 3, std=[255] * 3, pad_val=0, seg_pad_val=255, size=(24, 32)),
    backbone=dict(
        type='UNet', base_channels=4, num_stages=2, strides=(1, 1), enc_num_convs=(1, 1), dec_num_convs=(1,),
        downsamples=(True,), enc_dilations=(1, 1), dec_dilations=(1,), norm_cfg=dict(type='BN'), norm_eval=True),
    decode_head=dict(
        type='FCNHead', in_channels=4, in_index=1, channels=4, num_convs=0, concat_input=False, dropout_ratio=0,
        num_classes=2, align_corners=False, norm_cfg=None, loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9))
param_scheduler = [dict(type='PolyLR', power=1.0, begin=0, end=100, by_epoch=False)]
default_hooks = dict(
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2), logger=dict(type='LoggerHook', interval=1))
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
"""


def write(folder: Path, images: int = 6) -> Path:
    """Write images with a bright square, their masks, and a config; return the config's path."""
    rng = np.random.default_rng(0)
    for prefix, number in (('', images), ('val_', 3)):
        for kind in ('img', 'ann'):
            (folder / f'{prefix}{kind}').mkdir(parents=True)
        for index in range(number):
            image = rng.integers(0, 120, (24, 32, 3), dtype=np.uint8)
            mask = np.zeros((24, 32), np.uint8)
            top, left = rng.integers(0, 12, 2)
            mask[top : top + 9, left : left + 11] = 1
            image[mask > 0] += 130
            name = f'{prefix}{index}.png'
            cv2.imwrite(str(folder / f'{prefix}img' / name), image)
            cv2.imwrite(str(folder / f'{prefix}ann' / name), mask)
    config = folder / 'toy.py'
    config.write_text(dedent(CONFIG).format(root=str(folder)))
    return config
