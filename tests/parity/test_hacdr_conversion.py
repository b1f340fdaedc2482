"""An original checkpoint, as section 1.7 of the specification names it, becomes one of ours."""

import math
import subprocess
import sys

import pytest
import torch
from golden import wave

from mmseg_medical import apis
from mmseg_medical.engine.original_checkpoints import convert, translate_hacdr
from mmseg_medical.errors import CheckpointError

DIMS, DEPTHS, HIDDEN = (32, 64, 160, 256), (3, 3, 5, 2), (256, 512, 640, 1024)


def convolution(name, out_channels, in_channels, kernel):
    return {f'{name}.weight': (out_channels, in_channels, *kernel), f'{name}.bias': (out_channels,)}


def batch_norm(name, channels):
    keys = dict.fromkeys(('weight', 'bias', 'running_mean', 'running_var'), (channels,))
    return {f'{name}.{key}': shape for key, shape in {**keys, 'num_batches_tracked': ()}.items()}


def deformable(name, out_channels, in_channels, kernel, *, groups=1, deform_groups=1):
    points = 3 * deform_groups * math.prod(kernel)
    return {
        **convolution(name, out_channels, in_channels // groups, kernel),
        **convolution(f'{name}.conv_offset', points, in_channels, kernel),
    }


def original_shapes():
    shapes = {
        **convolution('backbone.patch_embed1.proj.0', 16, 3, (3, 3)), **batch_norm('backbone.patch_embed1.proj.1', 16),
        **convolution('backbone.patch_embed1.proj.3', 32, 16, (3, 3)), **batch_norm('backbone.patch_embed1.proj.4', 32),
    }  # fmt: skip
    for i, (c, depth, hidden) in enumerate(zip(DIMS, DEPTHS, HIDDEN, strict=True), 1):
        if i > 1:
            embed = f'backbone.patch_embed{i}'
            shapes |= deformable(f'{embed}.proj', c, DIMS[i - 2], (3, 3), deform_groups=2)
            shapes |= batch_norm(f'{embed}.norm', c)
        for j in range(depth):
            block, gate = f'backbone.block{i}.{j}', f'backbone.block{i}.{j}.attn.spatial_gating_unit'
            shapes |= {f'{block}.layer_scale_{k}': (c,) for k in (1, 2)}
            shapes |= batch_norm(f'{block}.norm1', c) | batch_norm(f'{block}.norm2', c)
            shapes |= convolution(f'{block}.attn.proj_1', c, c, (1, 1)) | convolution(
                f'{block}.attn.proj_2', c, c, (1, 1)
            )
            shapes |= deformable(f'{gate}.conv0', c, c, (5, 5), groups=c)
            for k, length in enumerate((7, 11, 21)):
                shapes |= convolution(f'{gate}.conv{k}_1', c, 1, (1, length))
                shapes |= convolution(f'{gate}.conv{k}_2', c, 1, (length, 1))
            shapes |= deformable(f'{gate}.conv3_1', c, c, (1, 3), deform_groups=c)
            shapes |= deformable(f'{gate}.conv3_2', c, c, (3, 1), deform_groups=c)
            shapes |= convolution(f'{gate}.conv3', c, c, (1, 1))
            shapes |= convolution(f'{block}.DFFN.fc1', hidden, c, (1, 1)) | convolution(
                f'{block}.DFFN.fc2', c, hidden, (1, 1)
            )
            shapes |= convolution(f'{block}.DFFN.dwconv', hidden, 1, (3, 3))
        shapes |= {f'backbone.norm{i}.weight': (c,), f'backbone.norm{i}.bias': (c,)}
    for i, (wide, narrow) in {4: (416, 160), 3: (224, 64), 2: (96, 32)}.items():
        layer = f'decode_head.decoder{i}.layer'
        shapes |= convolution(f'{layer}.0', narrow, wide, (3, 3)) | batch_norm(f'{layer}.1', narrow)
        shapes |= convolution(f'{layer}.3', narrow, narrow, (3, 3)) | batch_norm(f'{layer}.4', narrow)
    shapes |= {'decode_head.align.conv.weight': (32, 32, 1, 1)} | batch_norm('decode_head.align.bn', 32)
    return shapes | convolution('decode_head.conv_seg', 5, 32, (1, 1))


def fill(name, shape):
    if 'layer_scale' in name:
        return torch.full(shape, 0.5)
    if len(shape) >= 2:
        n = torch.arange(math.prod(shape), dtype=torch.float64)
        return (2 * torch.sin(n + 1) / math.sqrt(math.prod(shape[1:]))).reshape(shape)
    if name.endswith('num_batches_tracked'):
        return torch.tensor(0)
    return torch.zeros(shape) if name.endswith(('bias', 'running_mean')) else torch.ones(shape)


@pytest.fixture(scope='module')
def original():
    return {name: fill(name, shape) for name, shape in original_shapes().items()}


@pytest.fixture(scope='module')
def network():
    return apis.build_model(apis.load_config('configs/hacdr/idrid.py'))


def test_shapes_add_up():
    backbone = {n: s for n, s in original_shapes().items() if n.startswith('backbone')}
    assert len(backbone) == 673
    parameters = [math.prod(s) for n, s in backbone.items() if not n.endswith(('mean', 'var', 'tracked'))]
    assert (len(parameters), sum(parameters)) == (580, 23_527_057)


@pytest.mark.parametrize(('nested', 'prefix'), [(True, ''), (True, 'module.'), (False, '')])
def test_converted_checkpoint_gives_the_golden_logits(original, network, tmp_path, nested, prefix):
    weights = {prefix + name: value for name, value in original.items()}
    torch.save({'state_dict': weights, 'meta': {'iter': 40000}} if nested else weights, tmp_path / 'src.pth')
    assert convert('hacdr', tmp_path / 'src.pth', tmp_path / 'new' / 'dst.pth', network) == len(original)
    assert [p.name for p in (tmp_path / 'new').iterdir()] == ['dst.pth']
    assert torch.load(tmp_path / 'new' / 'dst.pth', weights_only=True)['meta']['system'] == 'hacdr'
    model = apis.init_model('configs/hacdr/idrid.py', tmp_path / 'new' / 'dst.pth').double()
    with torch.no_grad():
        logits = model(wave(1, 3, 60, 92), mode='tensor')
    # The weights went through float32.
    expected = [0.002033244, -0.008861212, -0.016817704, -0.019198231, -0.015213521]
    assert logits[0, :, 0, 0].tolist() == pytest.approx(expected, abs=2e-6)


def test_missing_and_surplus_keys_are_listed(original, network, tmp_path):
    weights = dict(original)
    del weights['backbone.block2.1.attn.proj_1.weight']
    weights['backbone.block1.0.attn.spatial_gating_unit.optional_1.weight'] = torch.zeros(32, 32, 1, 7)
    torch.save(weights, tmp_path / 'src.pth')
    with pytest.raises(CheckpointError) as caught:
        convert('hacdr', tmp_path / 'src.pth', tmp_path / 'dst.pth', network)
    assert 'backbone.stages.1.1.attn.proj_in.weight' in str(caught.value)
    assert 'backbone.stages.0.0.attn.branches.optional.0.weight' in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ['src.pth']


def test_half_a_strip_pair_is_named(original):
    weights = dict(original)
    del weights['backbone.block1.0.attn.spatial_gating_unit.conv1_1.weight']
    with pytest.raises(CheckpointError, match=r'not backbone\.block1\.0\.attn\.spatial_gating_unit\.conv1_1\.weight'):
        translate_hacdr(weights)


def test_older_names():
    names = {
        'backbone.patch_embed1.proj.0.weight': 'backbone.stem.0.weight',
        'backbone.block3.4.mlp.dwconv.dwconv.bias': 'backbone.stages.2.4.ffn.depthwise.bias',
        'backbone.block1.0.attn.spatial_gating_unit.w1': 'backbone.stages.0.0.attn.spectral_gate.local_mlp.weight1',
        'backbone.block1.0.attn.spatial_gating_unit.b4': 'backbone.stages.0.0.attn.spectral_gate.branch_mlp.bias2',
    }
    assert list(translate_hacdr(dict.fromkeys(names, torch.zeros(1)))) == list(names.values())


def test_another_network_is_refused_and_nothing_is_written(tmp_path):
    torch.save({'backbone.conv1.weight': torch.zeros(1)}, tmp_path / 'src.pth')
    command = [
        sys.executable,
        'tools/model_converters/from_original.py',
        'hacdr',
        tmp_path / 'src.pth',
        tmp_path / 'dst.pth',
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert 'not a checkpoint of the released HACDR-Net' in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'dst.pth').exists()
