"""An original checkpoint, as section 1.10 of the specification names it, becomes one of ours."""

import math
import runpy

import pytest
import torch
from golden import wave

from mmseg_medical import apis
from mmseg_medical.engine.original_checkpoints import convert, translate_hdc_hrnet
from mmseg_medical.errors import CheckpointError
from mmseg_medical.models.backbones import HRNetDCN

C, K = 32, 4
STREAMS = [C * 2**i for i in range(4)]


def unit(conv, norm, out_channels, in_channels, kernel):
    return {
        f'{conv}.weight': (out_channels, in_channels, kernel, kernel),
        f'{norm}.weight': (out_channels,),
        f'{norm}.bias': (out_channels,),
    }


def plain(name, out_channels, in_channels, *kernel):
    return {f'{name}.weight': (out_channels, in_channels, *kernel), f'{name}.bias': (out_channels,)}


def stage_shapes(s, depth):
    shapes = {}
    for j, width in enumerate(STREAMS[:s]):
        for i in range(depth):
            block = f'stage{s}.branches.{j}.{i}'
            shapes |= plain(f'{block}.offset_conv', 18, width, 3, 3) | plain(f'{block}.modulator_conv', 9, width, 3, 3)
            shapes |= plain(f'{block}.regular_conv', width, width, 3, 3)
            shapes |= {f'{block}.norm.weight': (width,), f'{block}.norm.bias': (width,)}
    for j in range(s):
        for i in range(s):
            if i != j:
                path = f'stage{s}.fuse.fuse.{j}.{i}'
                shapes |= unit(f'{path}.0', f'{path}.1', STREAMS[j], STREAMS[i], 3 if i < j else 1)
    return shapes


def original_shapes():
    """Standard stem, point refinement and deep supervision."""
    shapes = unit('stem.conv1', 'stem.bn1', 64, 3, 3) | unit('stem.conv2', 'stem.bn2', 64, 64, 3)
    for n in range(4):
        block = f'layer1.{n}'
        for k, sizes in enumerate(((64, 256 if n else 64, 1), (64, 64, 3), (256, 64, 1)), 1):
            shapes |= unit(f'{block}.conv{k}', f'{block}.bn{k}', *sizes)
    shapes |= unit('layer1.0.downsample.0', 'layer1.0.downsample.1', 256, 64, 1)
    for name, source, target in (('1.0', 256, C), ('1.1', 256, 2 * C), ('2.2', 2 * C, 4 * C), ('3.3', 4 * C, 8 * C)):
        shapes |= unit(f'transition{name}.0', f'transition{name}.1', target, source, 3)
    for s, depth in ((2, 2), (3, 4), (4, 6)):
        shapes |= stage_shapes(s, depth)
    shapes |= plain('seg_head', K, 15 * C, 1, 1)
    for i, width in enumerate(STREAMS):
        shapes |= plain(f'aux_heads.{i}', K, width, 1, 1)
    for i, (source, target) in {0: (15 * C + K, 128), 2: (128, 128), 4: (128, K)}.items():
        shapes |= plain(f'pointrend.mlp.{i}', target, source, 1)
    return shapes


def golden(name, shape):
    if len(shape) >= 2:
        n = torch.arange(math.prod(shape), dtype=torch.float64)
        return (2 * torch.sin(n + 1) / math.sqrt(math.prod(shape[1:]))).reshape(shape)
    return torch.zeros(shape) if name.endswith('bias') else torch.ones(shape)


@pytest.fixture(scope='module')
def original():
    return {name: golden(name, shape) for name, shape in original_shapes().items()}


def config(head='PointRendHead', **changes):
    cfg = apis.load_config('configs/_base_/models/hrnet_dcn_small.py')
    cfg.merge_from_dict({'model.backbone.stem': 'standard', 'model.decode_head.type': head, **changes})
    return cfg


def network(cfg):
    with torch.device('meta'):
        return apis.build_model(cfg)


def without(weights, *prefixes):
    return {name: value for name, value in weights.items() if not name.startswith(prefixes)}


def test_entries(original):
    assert len(original) == 453
    total = sum(value.numel() for value in original.values())
    assert total == 8_346_044 + 79_108 + 1_936


def test_converted_checkpoint_gives_the_golden_logits(original, tmp_path):
    weights = without(original, 'pointrend.')
    nested = {'model_state_dict': {f'module.{name}': value for name, value in weights.items()}, 'epoch': 150}
    torch.save(nested, tmp_path / 'src.pth')
    model = apis.build_model(config('AggregateHead')).double().eval()
    assert convert('hdc_hrnet', tmp_path / 'src.pth', tmp_path / 'dst.pth', model) == len(weights)
    assert torch.load(tmp_path / 'dst.pth', weights_only=True)['meta']['system'] == 'hdc_hrnet'
    with torch.no_grad():
        logits = model.encode_decode(wave(1, 3, 64, 96), [dict(img_shape=(64, 96))])
    expected = [0.755061502, -2.675912979, 3.460748853, -2.776379741]
    assert logits[0, :, 0, 0].tolist() == pytest.approx(expected, abs=1e-6)


def test_every_tensor_arrives_where_it_belongs(original):
    own = network(config()).state_dict()
    translated = translate_hdc_hrnet(original, own)
    assert {name: value.shape for name, value in translated.items()} == {n: v.shape for n, v in own.items()}
    places = {
        'backbone.stages.2.branches.3.5.modulation.bias': 'stage4.branches.3.5.modulator_conv.bias',
        'backbone.stages.1.fusion.paths.2.0.conv.weight': 'stage3.fuse.fuse.2.0.0.weight',
        'backbone.transitions.0.1.norm.bias': 'transition1.1.1.bias',
        'backbone.transitions.2.0.conv.weight': 'transition3.3.0.weight',
        'backbone.layer1.3.conv2.norm.weight': 'layer1.3.bn2.weight',
        'decode_head.points.mlp.4.bias': 'pointrend.mlp.4.bias',
    }
    for ours, theirs in places.items():
        assert translated[ours] is original[theirs]


def test_the_shearlet_head_keeps_its_names():
    model = network(config('AggregateHead', **{'model.decode_head.implicit': dict(type='ShearletHead')}))
    own = {name: value for name, value in model.state_dict().items() if name.startswith('decode_head.implicit')}
    names = {f'controller.net.{i}' for i in (0, 2, 4)} | {'coord_encoder.0', 'coord_encoder.2'}
    names |= {f'decoder.{i}' for i in (0, 2, 4)}
    expected = {f'shearlet_head.{name}.{kind}' for name in names for kind in ('weight', 'bias')}
    expected |= {'shearlet_head.freq_scales', 'shearlet_head.shearlet_basis.base_angles', 'shearlet_fusion'}
    weights = {'stem.conv1.weight': torch.zeros(64, 3, 3, 3), 'transition1.0.0.weight': torch.zeros(C, 256, 3, 3)}
    weights |= {name: torch.zeros(()) for name in expected} | {f'aux_heads.{i}.bias': torch.zeros(K) for i in range(4)}
    translated = translate_hdc_hrnet(weights, model.state_dict())
    assert {name for name in translated if name.startswith('decode_head.implicit')} == set(own)


@pytest.mark.parametrize(
    ('changes', 'remedy'),
    [
        ({'model.backbone.base_channels': 16}, r'set model\.backbone\.base_channels=32'),
        ({'model.backbone.stem': 'full'}, r'set model\.backbone\.stem=standard'),
        ({'model.backbone.in_channels': 1}, r'set model\.backbone\.in_channels=3'),
        ({'model.decode_head.num_classes': 14}, r'set model\.decode_head\.num_classes=4'),
        ({'model.decode_head.type': 'AggregateHead'}, r'it has pointrend\.\*.*type=PointRendHead'),
        ({'model.decode_head.supervision_weights': ()}, r'it has aux_heads\.\*.*supervision_weights='),
        ({'model.decode_head.implicit': dict(type='ShearletHead')}, r'it has no shearlet_head\.\*.*implicit=None'),
    ],
)
def test_another_configuration_is_named(original, changes, remedy):
    cfg = config(**changes)
    c = cfg.model.backbone.base_channels
    cfg.model.decode_head.in_channels = [c * 2**i for i in range(4)]
    with pytest.raises(CheckpointError, match=remedy):
        translate_hdc_hrnet(original, network(cfg).state_dict())


def test_missing_and_surplus_keys_are_listed(original, tmp_path):
    weights = {name: value for name, value in original.items() if name != 'stage3.branches.1.2.norm.bias'}
    weights['stage4.branches.0.0.gamma'] = torch.zeros(1)
    torch.save(weights, tmp_path / 'src.pth')
    with pytest.raises(CheckpointError) as caught:
        convert('hdc_hrnet', tmp_path / 'src.pth', tmp_path / 'dst.pth', network(config()))
    assert 'backbone.stages.1.branches.1.2.norm.bias' in str(caught.value)
    assert 'stage4.branches.0.0.gamma' in str(caught.value)


def test_another_network_is_refused_and_nothing_is_written(tmp_path):
    torch.save({'backbone.conv1.weight': torch.zeros(1)}, tmp_path / 'src.pth')
    with pytest.raises(CheckpointError, match='not a checkpoint of the released HDC-HRNet'):
        convert('hdc_hrnet', tmp_path / 'src.pth', tmp_path / 'dst.pth', network(config()))
    assert not (tmp_path / 'dst.pth').exists()


def test_the_tool_knows_the_system():
    tool = runpy.run_path('tools/model_converters/from_original.py')
    cfg = apis.load_config(tool['CONFIGS']['hdc_hrnet'])
    assert isinstance(network(cfg).backbone, HRNetDCN)
