import pytest
import torch
from torch import nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models import HACDRNet, MedicalUNet, RAREUNet
from mmseg_medical.models.backbones import HRNetDCN
from mmseg_medical.models.layers.conv_group_norm import ConvGroupNorm
from mmseg_medical.visualization.network_graph import Edge, trace


def pairs(graph):
    return {(edge.source, edge.target) for edge in graph.edges}


def test_streams_dilations_and_fusions_of_hrnet_dcn():
    graph = trace(HRNetDCN(base_channels=8), (24, 17), depth=2)
    dilations = {0: (1, 1), 1: (1, 2, 4, 8), 2: (1, 2, 4, 8, 16, 32)}
    sizes = [(24, 17), (12, 9), (6, 5), (3, 3)]
    for stage, expected in dilations.items():
        for stream in range(stage + 2):
            node = graph.node(f'stages.{stage}.branches.{stream}')
            assert node.dilations == expected
            assert node.blocks == ('DeformableBlock',) * len(expected)
            assert node.deformable
            assert node.outputs == ((8 * 2**stream, *sizes[stream]),)
            c = 8 * 2**stream
            assert node.parameters == len(expected) * (9 * c**2 + 246 * c + 27)
            assert Edge(node.name, f'stages.{stage}.fusion', node.outputs[0]) in graph.edges
        fusion = graph.node(f'stages.{stage}.fusion')
        assert fusion.outputs == tuple((8 * 2**i, *sizes[i]) for i in range(stage + 2))
    assert ('stem', 'layer1') in pairs(graph)
    assert {('layer1', 'transitions.0.0'), ('layer1', 'transitions.0.1')} <= pairs(graph)
    # the new stream comes from the coarsest one alone
    (new,) = (edge for edge in graph.edges if edge.target == 'transitions.1.0')
    assert new == Edge('stages.0.fusion', 'transitions.1.0', (16, 12, 9))
    assert ('stages.1.fusion', 'stages.2.branches.0') in pairs(graph)
    assert graph.parameters == sum(node.parameters for node in graph.nodes)
    assert {edge.shape for edge in graph.edges if edge.target == 'logits'} == set(graph.node('logits').outputs)


def test_depth_unfolds_the_fusion_and_keeps_rows_of_blocks():
    net = HRNetDCN(base_channels=8, blocks=[['basic']] * 3)
    names = {node.name for node in trace(net, (16, 16), depth=1).nodes}
    assert {'stem', 'layer1', 'stages.0', 'stages.2'} <= names
    names = {node.name for node in trace(net, (16, 16), depth=3).nodes}
    assert {'layer1', 'stages.0.branches.0', 'stages.0.fusion.paths.1.0'} <= names
    assert 'stages.0.fusion' not in names


@pytest.mark.parametrize('size', [(16, 16), (13, 7)])
def test_a_u_net_has_skips(size):
    graph = trace(MedicalUNet(1, (4, 8, 16), spatial_dims=2), size, 1)
    assert pairs(graph) == {
        *(('image', 'encoders.0'), ('encoders.0', 'encoders.1'), ('encoders.1', 'encoders.2')),
        *(('encoders.2', 'decoders.1'), ('decoders.1', 'decoders.0'), ('decoders.0', 'logits')),
        *(('encoders.0', 'decoders.0'), ('encoders.1', 'decoders.1')),
    }
    # what enlarges belongs to the step that it enlarges for
    assert graph.node('decoders.0').blocks == ('Upsample', 'PlainStage')
    assert graph.parameters == sum(node.parameters for node in graph.nodes)


def test_gates_of_rare_unet_are_entered_in_training_only():
    net = RAREUNet(channels=(2, 4, 8), target_size=(8, 8, 16), num_gates=1)
    assert not any(node.name.startswith('gates') for node in trace(net, (8, 8, 16), 1).nodes)
    graph = trace(net, (8, 8, 16), 1, training=True)
    assert {('image', 'gates.0'), ('gates.0', 'unet.encoders.2'), ('gates.0', 'unet.decoders.1')} <= pairs(graph)
    order = [node.name for node in graph.nodes]
    assert all(order.index(edge.source) < order.index(edge.target) for edge in graph.edges)


def test_stages_of_hacdr_net():
    graph = trace(HACDRNet(embed_dims=(8, 8, 16, 16), depths=(1, 1, 2, 1)), (64, 96))
    assert graph.node('stages.2').blocks == ('HACDRBlock',) * 2
    assert graph.node('stages.3').outputs == ((16, 2, 3),)
    assert ('stages.1', 'logits') in pairs(graph)
    # the norms behind the stages are functions of the parameters
    assert graph.parameters - sum(node.parameters for node in graph.nodes) == 2 * (8 + 8 + 16 + 16)


class Circle(nn.Module):
    """Two layers, one of which runs again behind the other."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.unused = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.first(self.second(self.first(x)) * 2) + x


def test_a_layer_that_runs_twice():
    graph = trace(Circle(), (5, 4))
    assert [node.name for node in graph.nodes] == ['image', 'first', 'second', 'logits']
    assert pairs(graph) == {('image', 'first'), ('first', 'second'), ('first', 'logits'), ('image', 'logits')}


class Row(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.block = nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), ConvGroupNorm(4, 4)

    def forward(self, x):
        return self.block(self.norm(self.conv(x)).relu())


def test_a_convolution_and_its_norm_are_one_node():
    graph = trace(Row(), (9, 9))
    assert [node.blocks for node in graph.nodes] == [(), ('Conv2d', 'BatchNorm2d'), ('ConvGroupNorm',), ()]
    assert graph.nodes[1].parameters == 3 * 4 * 9 + 4 + 8
    assert pairs(graph) == {('image', 'norm'), ('norm', 'block'), ('block', 'logits')}


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.second(self.first(x) + x)


def test_a_layer_that_reads_something_else_too_is_a_node_of_its_own():
    assert pairs(trace(Skip(), (4, 4))) == {
        *(('image', 'first'), ('image', 'second'), ('first', 'second'), ('second', 'logits')),
    }


def test_the_network_is_left_as_it_was():
    net = Row().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert trace(net, (9, 9)) == trace(net, (9, 9))
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_wrong_images_and_depths():
    with pytest.raises(ConfigError, match=r'Row takes no image of 3 channels and size \(1, 1\): RuntimeError'):
        trace(Row(), (1, 1))
    with pytest.raises(ConfigError, match='depth must be positive, got 0'):
        trace(Row(), (9, 9), depth=0)
