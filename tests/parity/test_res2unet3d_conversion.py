"""An original checkpoint, as section 2.1 of the specification names it, becomes one of ours."""

import math

import pytest
import torch

from mmseg_medical import apis
from mmseg_medical.engine.original_checkpoints import convert, translate_res2unet3d
from mmseg_medical.errors import CheckpointError

CONFIG = 'configs/_base_/models/res2unet3d.py'
MODES = {1: 'sigmoid', 2: 'softmax'}


def norm(name, channels):
    parts = dict.fromkeys(('weight', 'bias', 'running_mean', 'running_var'), (channels,))
    return {f'{name}.{part}': shape for part, shape in (parts | {'num_batches_tracked': ()}).items()}


def block(name, a, b):
    w = b // 4
    shapes = {f'{name}.conv1.weight': (b, a, 1, 1, 1), f'{name}.conv3.weight': (b, b, 1, 1, 1)}
    shapes |= norm(f'{name}.bn1', b) | norm(f'{name}.bn3', b) | norm(f'{name}.shortcut.1', b)
    for i in range(3):
        shapes |= {f'{name}.convs.{i}.weight': (w, w, 3, 3, 3)} | norm(f'{name}.bns.{i}', w)
    shapes |= {f'{name}.se.fc.0.weight': (b // 16, b), f'{name}.se.fc.0.bias': (b // 16,)}
    shapes |= {f'{name}.se.fc.2.weight': (b, b // 16), f'{name}.se.fc.2.bias': (b,)}
    return shapes | {f'{name}.shortcut.0.weight': (b, a, 1, 1, 1)}


def original_shapes(channels):
    shapes = block('enc1.block', 1, 32) | block('bottleneck', 256, 512)
    for i, c in ((2, 64), (3, 128), (4, 256)):
        shapes |= block(f'enc{i}.block', c // 2, c)
    for i, c in ((1, 32), (2, 64), (3, 128), (4, 256)):
        shapes |= {f'dec{i}.up.weight': (2 * c, c, 2, 2, 2), f'dec{i}.up.bias': (c,)}
        shapes |= block(f'dec{i}.block', 2 * c, c)
    return shapes | {'final.weight': (channels, 32, 1, 1, 1), 'final.bias': (channels,)}


def filled(channels):
    """Numbers of section 10 of the specification."""
    weights = {}
    for name, shape in original_shapes(channels).items():
        i = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
        if name.endswith('num_batches_tracked'):
            weights[name] = torch.tensor(0)
        elif name.endswith(('running_mean', 'running_var')):
            weights[name] = torch.full(shape, float(name.endswith('var')), dtype=torch.float64)
        elif len(shape) > 1:
            weights[name] = (0.02 * torch.sin(i)).reshape(shape)
        else:
            weights[name] = 0.01 * torch.cos(i) if name.endswith('bias') else 1 + 0.1 * torch.sin(i)
    return weights


def network(channels):
    return apis.build_model(apis.load_config(CONFIG, {'model.decode_head.mode': MODES[channels]}))


@pytest.mark.parametrize(('channels', 'parameters'), [(1, 4_801_277), (2, 4_801_310)])
def test_names_and_shapes_add_up(channels, parameters):
    shapes = original_shapes(channels)
    assert len(shapes) == 370
    learnt = [shape for name, shape in shapes.items() if 'running' not in name and 'num_batches' not in name]
    assert sum(map(math.prod, learnt)) == parameters


@pytest.mark.parametrize(
    ('channels', 'expected', 'prefix'),
    [(1, [0.005463320, 0.005439882, 0.005413874], ''), (2, [0.005463320, -0.002699337, -0.002761803], 'module.')],
)
def test_converted_checkpoint_gives_the_golden_logits(channels, expected, prefix, tmp_path):
    torch.save({prefix + name: value for name, value in filled(channels).items()}, tmp_path / 'src.pth')
    net = network(channels).double().eval()
    assert convert('res2unet3d', tmp_path / 'src.pth', tmp_path / 'dst.pth', net) == 370
    written = torch.load(tmp_path / 'dst.pth', weights_only=True)['state_dict']
    assert set(written) == set(net.state_dict())
    image = torch.sin(0.01 * torch.arange(32**3, dtype=torch.float64)).reshape(1, 1, 32, 32, 32)
    with torch.no_grad():
        logits = net.decode_head(net.backbone(image))[0].flatten()
    found = [logits[0].item(), logits[len(logits) // 2].item(), logits[-1].item()]
    assert found == pytest.approx(expected, abs=1e-9)


def test_every_tensor_goes_to_its_place():
    """Numbered tensors of one shape would be mistaken for each other by shapes alone."""
    names = {
        'enc1.block.conv1.weight': 'backbone.encoders.0.0.conv1.weight',
        'enc4.block.bns.2.running_var': 'backbone.encoders.3.0.norms.2.running_var',
        'bottleneck.bn3.bias': 'backbone.encoders.4.0.norm3.bias',
        'bottleneck.se.fc.2.weight': 'backbone.encoders.4.0.se.expand.weight',
        'dec4.up.bias': 'backbone.ups.3.conv.bias',
        'dec1.block.shortcut.1.num_batches_tracked': 'backbone.decoders.0.0.0.shortcut.1.num_batches_tracked',
        'dec2.block.convs.1.weight': 'backbone.decoders.1.0.0.convs.1.weight',
        'final.bias': 'decode_head.classifiers.0.bias',
    }
    numbered = {name: torch.full((2,), float(i)) for i, name in enumerate(original_shapes(2))}
    own = network(2).state_dict()
    translated = translate_res2unet3d(numbered, own)
    assert set(translated) == set(own)
    assert {a: float(translated[b][0]) for a, b in names.items()} == {a: float(numbered[a][0]) for a in names}


def test_another_number_of_channels_is_named():
    with pytest.raises(CheckpointError, match=r'has 1 channels, .* network 2: set model\.decode_head\.mode=sigmoid'):
        translate_res2unet3d(filled(1), network(2).state_dict())


def test_missing_and_strange_tensors_are_listed(tmp_path):
    weights = dict(filled(2), strange=torch.zeros(1))
    del weights['dec3.block.conv3.weight']
    torch.save(weights, tmp_path / 'src.pth')
    with pytest.raises(CheckpointError) as caught:
        convert('res2unet3d', tmp_path / 'src.pth', tmp_path / 'dst.pth', network(2))
    assert 'backbone.decoders.2.0.0.conv3.weight' in str(caught.value)
    assert 'strange' in str(caught.value)
    assert not (tmp_path / 'dst.pth').exists()


def test_another_system_is_refused(tmp_path):
    torch.save({'encoders.0.conv.0.weight': torch.zeros(1)}, tmp_path / 'src.pth')
    with pytest.raises(CheckpointError, match='not a checkpoint of the replicated 3D-Res2UNet'):
        convert('res2unet3d', tmp_path / 'src.pth', tmp_path / 'dst.pth', network(2))
