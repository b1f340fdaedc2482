"""An original checkpoint, as section 1.6 of the specification names it, becomes one of ours."""

import math
import subprocess
import sys
import warnings

import pytest
import torch

from mmseg_medical import apis
from mmseg_medical.engine.original_checkpoints import convert, translate_rare_unet
from mmseg_medical.errors import CheckpointError

CONFIG = 'configs/rare_unet/hippocampus.py'
pytestmark = pytest.mark.filterwarnings('ignore:target_size .* leaves')


def convolution(name, out_channels, in_channels, kernel=3, transposed=False):
    pair = (in_channels, out_channels) if transposed else (out_channels, in_channels)
    return {f'{name}.weight': (*pair, kernel, kernel, kernel), f'{name}.bias': (out_channels,)}


def norm(name, channels):
    return {f'{name}.weight': (channels,), f'{name}.bias': (channels,)}


def row(name, in_channels, out_channels, number):
    """Convolution, norm and activation, counted through."""
    shapes = {}
    for k in range(number):
        shapes |= convolution(f'{name}.{3 * k}', out_channels, out_channels if k else in_channels)
        shapes |= norm(f'{name}.{3 * k + 1}', out_channels)
    return shapes


def original_shapes(gates=3, gate_depth=2, depth=5):
    c = [min(32 * 2**d, 320) for d in range(depth + 1)]
    shapes = {}
    for d in range(depth):
        shapes |= row(f'encoders.{d}.conv', c[d - 1] if d else 1, c[d], 2)
    shapes |= row('bn.conv', c[depth - 1], c[depth], 2)
    for i, d in enumerate(reversed(range(depth))):
        shapes |= convolution(f'up_convs.{i}', c[d], c[d + 1], transposed=True)
        shapes |= row(f'decoders.{i}.conv', 2 * c[d], c[d], 1)
    shapes |= convolution('final_conv', 3, c[0], 1)
    for d in range(1, gates + 1):
        shapes |= row(f'msb_blocks.{d - 1}.conv', 1, c[d], gate_depth)
        shapes |= convolution(f'ms_heads.{d - 1}', 3, c[d], 1)
    return shapes


def filled(shapes):
    """Numbers of section 9 of the specification."""
    weights = {}
    for name, shape in shapes.items():
        i = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
        one_axis = 0.01 * torch.cos(i) if name.endswith('bias') else 1 + 0.1 * torch.sin(i)
        weights[name] = (0.02 * torch.sin(i) if len(shape) > 1 else one_axis).reshape(shape)
    return weights


@pytest.fixture(scope='module')
def original():
    return filled(original_shapes())


@pytest.fixture(scope='module')
def network():
    return apis.build_model(apis.load_config(CONFIG)).double()


def save(weights, path):
    state = dict(epoch=7, model_state_dict=weights, optimizer_state_dict={}, config=dict(depth=5), best_metric=0.5)
    torch.save(state, path)


def test_shapes_add_up():
    shapes = original_shapes()
    assert (len(shapes), sum(map(math.prod, shapes.values()))) == (110, 32_734_604)


def test_converted_checkpoint_gives_the_golden_logits(original, network, tmp_path):
    """Our filling of section 9 under our names is theirs under their names, so every tensor is at its place."""
    save(original, tmp_path / 'src.pth')
    assert convert('rare_unet', tmp_path / 'src.pth', tmp_path / 'dst.pth', network) == 110
    weights = torch.load(tmp_path / 'dst.pth', weights_only=True)['state_dict']
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == {
        name: tuple(value.shape) for name, value in weights.items()
    }
    network.eval()
    image = torch.sin(0.01 * torch.arange(4 * 8 * 4, dtype=torch.float64)).reshape(1, 1, 4, 8, 4)
    with torch.no_grad():
        logits = network.decode_head(network.backbone(image))[0].flatten()
    expected = [0.52351766, 0.11101265, -0.07106194]
    assert [logits[0].item(), logits[len(logits) // 2].item(), logits[-1].item()] == pytest.approx(expected, abs=1e-7)


def test_every_tensor_goes_to_its_place(network):
    """Numbered tensors of one shape would be mistaken for each other by shapes alone."""
    names = {
        'encoders.3.conv.0.weight': 'backbone.unet.encoders.3.0.conv.weight',
        'encoders.3.conv.4.bias': 'backbone.unet.encoders.3.1.norm.bias',
        'bn.conv.3.weight': 'backbone.unet.encoders.5.1.conv.weight',
        'up_convs.0.weight': 'backbone.unet.ups.4.conv.weight',
        'up_convs.4.bias': 'backbone.unet.ups.0.conv.bias',
        'decoders.1.conv.1.weight': 'backbone.unet.decoders.3.0.0.norm.weight',
        'final_conv.bias': 'decode_head.classifiers.0.bias',
        'msb_blocks.0.conv.3.weight': 'backbone.gates.0.1.conv.weight',
        'ms_heads.2.weight': 'decode_head.classifiers.3.weight',
    }
    numbered = {name: torch.tensor(i) for i, name in enumerate(original_shapes())}
    translated = translate_rare_unet(numbered, network.state_dict())
    assert set(translated) == set(network.state_dict())
    assert {theirs: translated[ours] for theirs, ours in names.items()} == {name: numbered[name] for name in names}


def test_surplus_gates_are_left_out_with_a_warning(network):
    weights = dict.fromkeys(original_shapes(gates=4), torch.zeros(1))
    with pytest.warns(UserWarning, match=r'10 tensors of gates and heads below level 3 .*ms_heads\.3\.bias'):
        assert set(translate_rare_unet(weights, network.state_dict())) == set(network.state_dict())


def test_no_warning_without_surplus(original, network):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        translate_rare_unet(original, network.state_dict())


def test_another_depth_of_gates_is_named(network):
    shapes = dict.fromkeys(original_shapes(gate_depth=4), torch.zeros(1))
    message = r'its gates have 4 convolutions, those of the network 2: set model\.backbone\.gate_depth=4'
    with pytest.raises(CheckpointError, match=message):
        translate_rare_unet(shapes, network.state_dict())


def test_missing_and_strange_tensors_are_listed(original, network, tmp_path):
    weights = dict(original, strange=torch.zeros(1))
    del weights['decoders.2.conv.0.weight']
    save(weights, tmp_path / 'src.pth')
    with pytest.raises(CheckpointError) as caught:
        convert('rare_unet', tmp_path / 'src.pth', tmp_path / 'dst.pth', network)
    assert 'backbone.unet.decoders.2.0.0.conv.weight' in str(caught.value)
    assert 'strange' in str(caught.value)
    assert not (tmp_path / 'dst.pth').exists()


def test_the_tool_converts_and_refuses(tmp_path):
    save({'encoders.0.conv.0.weight': torch.zeros(1)}, tmp_path / 'src.pth')
    command = [sys.executable, 'tools/model_converters/from_original.py', 'rare_unet', 'src.pth', 'dst.pth']
    command[3:] = [str(tmp_path / name) for name in command[3:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert 'not a checkpoint of the released RARE-UNet' in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'dst.pth').exists()
