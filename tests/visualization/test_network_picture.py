import io
import re
from itertools import pairwise

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from torch import nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models import MedicalUNet, RAREUNet
from mmseg_medical.models.backbones import HRNetDCN
from mmseg_medical.visualization.network_flow import Node
from mmseg_medical.visualization.network_graph import trace
from mmseg_medical.visualization.network_input import image_channels, image_size
from mmseg_medical.visualization.network_layout import NetworkLayout
from mmseg_medical.visualization.network_picture import box_lines, network_picture


def graphs():
    rare = RAREUNet(channels=(2, 4, 8), target_size=(8, 8, 16), num_gates=1)
    return {
        'hrnet': trace(HRNetDCN(base_channels=8), (24, 17), depth=2),
        'unet': trace(MedicalUNet(1, (4, 8, 16, 16), spatial_dims=2), (16, 16), 1),
        'rare': trace(rare, (8, 8, 16), 1, training=True),
        'unfolded': trace(HRNetDCN(base_channels=8, blocks=[['basic']] * 3), (16, 16), depth=3),
    }


GRAPHS = graphs()


def layout_of(graph):
    return NetworkLayout(graph, {node.name: 1.2 for node in graph.nodes})


@pytest.mark.parametrize('name', GRAPHS)
def test_boxes_do_not_meet_and_arrows_go_around_them(name):
    layout = layout_of(GRAPHS[name])
    boxes = list(layout.boxes.values())
    for i, one in enumerate(boxes):
        for other in boxes[i + 1 :]:
            across = min(one.right, other.right) - max(one.left, other.left)
            along = min(one.bottom, other.bottom) - max(one.top, other.top)
            assert across <= 0 or along <= 0, (one.node.name, other.node.name)
    crossed = 0
    for edge, way in zip(GRAPHS[name].edges, layout.arrows, strict=True):
        ends = layout.boxes[edge.source], layout.boxes[edge.target]
        assert way[0][0] == ends[0].right
        x, y = way[-1]
        assert ends[1].left <= x <= ends[1].right
        assert ends[1].top <= y <= ends[1].bottom
        assert ends[0].left < ends[1].left
        assert all(a[0] == b[0] or a[1] == pytest.approx(b[1]) for a, b in pairwise(way))
        crossed += any(box.covers(a, b) for a, b in pairwise(way) for box in boxes if box not in ends)
    assert crossed <= (0.2 * len(layout.arrows) if name == 'unfolded' else 0)


def test_rows_are_resolutions():
    layout = layout_of(GRAPHS['unet'])
    assert layout.sizes == [(16, 16), (8, 8), (4, 4), (2, 2)]
    tops = [layout.boxes[f'encoders.{d}'].top for d in range(4)]
    assert tops == sorted(tops)
    assert len(set(tops)) == 4
    assert all(layout.boxes[f'decoders.{d}'].top == tops[d] for d in range(3))
    boxes = layout_of(GRAPHS['hrnet']).boxes
    assert boxes['stages.2.fusion'].rows == (0, 1, 2, 3)
    assert boxes['stages.2.fusion'].tall
    # streams of a stage stand below each other, the new one too, which comes later
    assert len({boxes[f'stages.2.branches.{i}'].left for i in range(4)}) == 1


def test_text_of_boxes():
    deformable = Node('backbone.stages.0.x', ('Dcn',) * 2, (1, 1), True, 12345, ((8, 4, 4),), ((8, 4, 4),))
    assert box_lines(deformable, 2, dilated=True) == ['stages.0.x', '2 × Dcn', 'dilation 1, 1', '8 × 4 × 4', '12,345']
    assert 'dilation 1, 1' not in box_lines(deformable, 2)
    plain = Node('a.b', ('Up', 'Conv'), (1, 2), False, 7, ((8, 4, 4),), ((8, 30),))
    assert box_lines(plain, 2, dilated=True) == ['a.b', 'Up, Conv', 'dilation 1, 2', '7']


def test_the_picture_is_the_same_every_time_and_says_what_there_is():
    graph = GRAPHS['hrnet']
    svg = network_picture(graph)
    assert svg == network_picture(graph)
    texts = re.findall(r'>([^<>]+)</text>', svg.decode())
    for text in ('stages.2.branches.3', 'dilation 1, 2, 4, 8, 16, 32', '6 × DeformableBlock', '64 × 3 × 3', '24 × 17'):
        assert text in texts
    assert f'{graph.parameters:,} parameters' in texts
    assert len(svg) < 150_000
    assert b'sans-serif' in svg  # for readers who lack the font


def test_png():
    png = network_picture(GRAPHS['unet'], 'png')
    assert png == network_picture(GRAPHS['unet'], 'png')
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert('RGB'))
    assert (pixels[:3] == 255).all()
    assert (pixels < 100).any()


def config(**model):
    return Config(dict(model=model))


def test_size_of_the_image():
    assert image_size(config(data_preprocessor=dict(size=(7, 5)))) == (7, 5)
    assert image_size(config(data_preprocessor=dict(size=(7, 5))), [3, 4]) == (3, 4)
    assert image_size(config(backbone=dict(target_size=(2, 3, 4)))) == (2, 3, 4)
    assert image_size(config(test_cfg=dict(window=(9, 9, 9)))) == (9, 9, 9)
    assert image_size(config(backbone=dict(spatial_dims=3)), [1, 2, 3]) == (1, 2, 3)


@pytest.mark.parametrize(
    ('model', 'size', 'message'),
    [
        ({}, None, 'states no size of images: give --size'),
        ({}, [5], 'two positive numbers, or three for a volume, got 5'),
        ({}, [5, 0], 'got 5 0'),
        (dict(data_preprocessor=dict(size=(7, 5))), [7, 5, 3], '2 positive numbers, got 7 5 3'),
        (dict(backbone=dict(spatial_dims=3)), [7, 5], '3 positive numbers, got 7 5'),
    ],
)
def test_wrong_sizes(model, size, message):
    with pytest.raises(ConfigError, match=message):
        image_size(config(**model), size)


def test_channels_of_the_image():
    assert image_channels(MedicalUNet(4, (2, 4))) == 4
    assert image_channels(nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(5, 6, 1))) == 5
    assert image_channels(HRNetDCN(in_channels=1, base_channels=8)) == 1
