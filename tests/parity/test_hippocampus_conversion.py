"""Original checkpoints, as section 3.1 of the hippocampus specification names them, become ours."""

import math
import subprocess
import sys

import pytest
import torch
from hippocampus_networks import build, fingerprint
from sine_fill import wave

from mmseg_medical.engine.original_checkpoints import convert, translate_hippocampus
from mmseg_medical.errors import CheckpointError


def convolution(name, source, target, kernel, axes, bias=True, transposed=False):
    pair = (source, target) if transposed else (target, source)
    shapes = {f'{name}.weight': (*pair, *(kernel,) * axes)}
    return shapes | ({f'{name}.bias': (target,)} if bias else {})


def stage(name, source, target, axes, batch_norm):
    shapes = {}
    for k in (0, 1):
        conv, norm = (f'net.{3 * k}', f'net.{3 * k + 1}') if batch_norm else (f'conv{k + 1}', f'norm{k + 1}')
        shapes |= convolution(f'{name}.{conv}', target if k else source, target, 3, axes, bias=False)
        shapes |= {f'{name}.{norm}.weight': (target,), f'{name}.{norm}.bias': (target,)}
        if batch_norm:
            shapes |= {f'{name}.{norm}.running_mean': (target,), f'{name}.{norm}.running_var': (target,)}
            shapes |= {f'{name}.{norm}.num_batches_tracked': ()}
    return shapes


def linear(name, source, target):
    return {f'{name}.weight': (target, source), f'{name}.bias': (target,)}


def original_shapes(axes, base, depth, head, batch_norm):
    """``head``: 'none', 'inr' (hidden 64), 'supervised', or projection, hidden and number of sine layers."""
    c = [base * 2**i for i in range(depth + 1)]
    shapes = {}
    for i in range(depth):
        shapes |= stage(f'unet.encoders.{i}', c[i - 1] if i else 1, c[i], axes, batch_norm)
    shapes |= stage('unet.bottleneck', c[depth - 1], c[depth], axes, batch_norm)
    for i, d in enumerate(reversed(range(depth))):
        shapes |= convolution(f'unet.upconvs.{i}', c[d + 1], c[d], 2, axes, transposed=True)
        shapes |= stage(f'unet.decoders.{i}', 2 * c[d], c[d], axes, batch_norm)
        if head == 'supervised':
            shapes |= convolution(f'unet.seg_heads.{i}', c[d], 3, 1, axes)
    if head in ('none', 'inr'):
        shapes |= convolution('unet.seg_heads.0', base, base, 1, axes)
    if head == 'none':
        shapes |= convolution('final_conv', base, 3, 1, axes)
    elif head == 'inr':
        shapes |= linear('inr.0', base + 2, 64) | linear('inr.2', 64, 3)
    elif head != 'supervised':
        projection, hidden, layers = head
        shapes |= convolution('feature_proj', base, projection, 1, axes)
        for k in range(layers):
            shapes |= linear(f'inr.net.{k}.linear', hidden if k else axes + projection, hidden)
        shapes |= linear('inr.final', hidden, 3)
        shapes['cached_coords'] = (1, 30, axes)
    return shapes


def filled(shapes):
    """Numbers of section 11 of the specification."""
    weights = {}
    for name, shape in shapes.items():
        i = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
        if 'running' in name or not shape:
            values = torch.full_like(i, float(name.endswith('var')))
        elif len(shape) > 1:
            values = 0.02 * torch.sin(i)
        else:
            values = 0.01 * torch.cos(i) if name.endswith('bias') else 1 + 0.1 * torch.sin(i)
        weights[name] = values.reshape(shape).to(torch.int64 if not shape else torch.float64)
    return weights


#: our config, the original's arguments, size of the image, golden numbers
CASES = {
    'none': ((2, 32, 4, 'none', False), (64, 64), [-0.00105331, 0.00591162, 0.00422591, -0.00520446, -0.00903093]),
    'inr': ((2, 32, 4, 'inr', False), (64, 64), [-0.00099889, 0.00542877, 0.00587995, -0.00124289, -0.00735367]),
    'supervised': (
        (2, 32, 4, 'supervised', False),
        (64, 64),
        [0.01010851, 0.16553794, -0.15248627, -0.13317951, -0.48637370],
    ),
    'siren': (
        (2, 32, 4, (8, 64, 2), True),
        (64, 64),
        [-0.04114461, 0.03067637, 0.01648355, -0.08216745, -0.07979468],
    ),
    '3d light': (
        (3, 16, 3, (4, 32, 2), True),
        (16, 32, 16),
        [-0.00396598, 0.02209872, 0.00781602, -0.01461668, -0.00578655],
    ),
}


def save(weights, path):
    torch.save(dict(epoch=7, model_state_dict=weights, optimizer_state_dict={}, best_dice=0.8, config={}), path)


@pytest.mark.parametrize('name', CASES)
def test_converted_checkpoints_give_the_golden_logits(name, tmp_path):
    arguments, size, expected = CASES[name]
    network = build(name).double()
    save(filled(original_shapes(*arguments)), tmp_path / 'src.pth')
    system = f'hippocampus{arguments[0]}d'
    written = convert(system, tmp_path / 'src.pth', tmp_path / 'dst.pth', network)
    weights = torch.load(tmp_path / 'dst.pth', weights_only=True)['state_dict']
    assert written == len(weights) == len(network.state_dict())
    network.eval()
    with torch.no_grad():
        logits = network.decode_head(network.backbone(wave(1, 1, *size)))[0]
    assert fingerprint(logits) == pytest.approx(expected, abs=1e-6)


def test_every_tensor_goes_to_its_place():
    """Tensors of one shape would be mistaken for each other by shapes alone."""
    numbered = {name: torch.tensor(i) for i, name in enumerate(original_shapes(3, 24, 4, (8, 48, 3), True))}
    numbered['unet.upconvs.0.weight'] = torch.zeros(1, 1, 1, 1, 1)
    own = build('3d balanced').state_dict()
    del own['backbone.encoders.0.0.conv.weight']  # numbers have no channels to compare
    translated = translate_hippocampus(numbered, own, 3)
    names = {
        'unet.encoders.2.net.3.weight': 'backbone.encoders.2.1.conv.weight',
        'unet.encoders.2.net.4.running_var': 'backbone.encoders.2.1.norm.running_var',
        'unet.bottleneck.net.1.bias': 'backbone.encoders.4.0.norm.bias',
        'unet.upconvs.3.bias': 'backbone.ups.0.conv.bias',
        'unet.decoders.0.net.0.weight': 'backbone.decoders.3.0.0.conv.weight',
        'feature_proj.bias': 'decode_head.projection.bias',
        'inr.net.0.linear.weight': 'decode_head.implicit.first.weight',
        'inr.net.2.linear.bias': 'decode_head.implicit.rest.1.bias',
        'inr.final.weight': 'decode_head.implicit.rest.2.weight',
    }
    assert {theirs: translated[ours] for theirs, ours in names.items()} == {name: numbered[name] for name in names}
    assert set(translated) - set(own) == {'backbone.encoders.0.0.conv.weight'}
    named = translate_hippocampus(filled(original_shapes(2, 32, 4, 'none', False)), build('none').state_dict(), 2)
    assert set(named) == set(build('none').state_dict())


@pytest.mark.parametrize(
    ('system', 'network', 'arguments', 'message'),
    [
        ('hippocampus2d', 'none', (3, 8, 3, (4, 32, 2), True), 'kernels have 3 axes: convert it as hippocampus3d'),
        (
            'hippocampus2d',
            'none',
            (2, 8, 4, 'none', False),
            r'begins with 8 channels .* network 32 and 4.*channels=\[8, ',
        ),
        (
            'hippocampus3d',
            '3d light',
            (3, 16, 2, (4, 32, 2), True),
            r'divided 2 times, .*16 and 3: set .*=\[16, 32, 64\]',
        ),
        (
            'hippocampus3d',
            '3d none',
            (3, 24, 4, (8, 48, 3), True),
            'its head has implicit and projection, .* classifiers',
        ),
        ('hippocampus3d', '3d light', (3, 16, 3, (4, 32, 3), True), r'decode_head\.implicit\.rest\.2\.weight'),
    ],
)
def test_networks_that_do_not_fit(system, network, arguments, message, tmp_path):
    weights = {name: torch.zeros(shape) for name, shape in original_shapes(*arguments).items()}
    save(weights, tmp_path / 'src.pth')
    with pytest.raises(CheckpointError, match=message):
        convert(system, tmp_path / 'src.pth', tmp_path / 'dst.pth', build(network))
    assert not (tmp_path / 'dst.pth').exists()


def test_missing_and_strange_tensors_are_listed(tmp_path):
    weights = filled(original_shapes(3, 16, 3, (4, 32, 2), True)) | {'strange': torch.zeros(1)}
    del weights['unet.decoders.1.net.0.weight']
    save(weights, tmp_path / 'src.pth')
    with pytest.raises(CheckpointError) as caught:
        convert('hippocampus3d', tmp_path / 'src.pth', tmp_path / 'dst.pth', build('3d light'))
    assert 'backbone.decoders.1.0.0.conv.weight' in str(caught.value)
    assert 'strange' in str(caught.value)
    assert not (tmp_path / 'dst.pth').exists()


def test_the_tool_converts_and_refuses(tmp_path):
    save({'encoders.0.conv.0.weight': torch.zeros(1)}, tmp_path / 'src.pth')
    command = [sys.executable, 'tools/model_converters/from_original.py', 'hippocampus3d', 'src.pth', 'dst.pth']
    command[3:] = [str(tmp_path / name) for name in command[3:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert 'not a checkpoint of the hippocampus U-Nets' in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'dst.pth').exists()
