"""ONNX files say what their networks say, in onnxruntime; a file that does not is never left."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from mmseg_medical.engine import onnx_export as module
from mmseg_medical.engine.onnx_export import FORMS, MIN_AGREEMENT, export_onnx
from mmseg_medical.engine.onnx_parity import Parity, compare, runs_deform_conv
from mmseg_medical.models import ModulatedDeformConv2dPack
from mmseg_medical.ops import modulated_deform_conv2d
from mmseg_medical.registry import MODELS

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

DIMS = (8, 8, 16, 16)
needs_deform_conv = pytest.mark.skipif(not runs_deform_conv(), reason='this onnxruntime has no DeformConv')


def build(multi_label: bool = False, **backbone) -> nn.Module:
    """A narrow HACDR-Net whose parameters and statistics have left their initial values, as training does."""
    init_default_scope('mmseg_medical')
    preprocessor = dict(type='SegDataPreProcessor', mean=[120, 110, 90], std=[60, 50, 40], bgr_to_rgb=True)
    loss = dict(type='mmseg.CrossEntropyLoss', use_sigmoid=multi_label)
    net = MODELS.build(
        dict(
            type='MedicalEncoderDecoder',
            data_preprocessor=preprocessor,
            backbone=dict(type='HACDRNet', embed_dims=DIMS, depths=(1, 1, 1, 1), ffn_ratios=(2, 2, 2, 2), **backbone),
            decode_head=dict(type='HACDRHead', in_channels=DIMS, channels=8, multi_label=multi_label, loss_decode=loss),
            test_cfg=dict(mode='whole', **(dict(threshold=0.4) if multi_label else {})),
        )
    )
    logging.disable(logging.INFO)  # mmengine's line for every parameter
    net.init_weights()
    logging.disable(logging.NOTSET)
    generator = torch.Generator().manual_seed(0)
    for layer in net.modules():
        if isinstance(layer, ModulatedDeformConv2dPack):
            nn.init.normal_(layer.conv_offset.weight, std=0.1, generator=generator)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.1, generator=generator)
            nn.init.uniform_(layer.running_var, 0.5, 1.5, generator=generator)
    for name, parameter in net.named_parameters():
        if 'layer_scale' in name:
            nn.init.constant_(parameter, 0.5)
    nn.init.normal_(net.decode_head.conv_seg.weight, std=3.0, generator=generator)
    return net


def run(path: Path, image: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return torch.from_numpy(session.run(['logits'], {'image': image.numpy()})[0])


def logits_of(net: nn.Module, image: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return net.eval().encode_decode(image, [dict(img_shape=image.shape[2:])])


def expect_parity(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert expected.std() > 0.1
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-4
    assert (found.argmax(1) == expected.argmax(1)).double().mean() >= MIN_AGREEMENT


def properties(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def operators(path: Path) -> Counter:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize(
    ('form', 'mode'),
    [
        pytest.param('deform_conv', 'released', marks=needs_deform_conv),
        pytest.param('deform_conv', 'paper', marks=needs_deform_conv),
        ('grid_sample', 'released'),
    ],
)
def test_parity(form, mode, tmp_path):
    net, path = build(mode=mode).train(), tmp_path / 'new folder' / 'net.onnx'
    parity = export_onnx(net, path, (77, 93), form=form)
    assert parity.difference <= 1e-4
    assert parity.agreement >= MIN_AGREEMENT
    assert net.training
    deformable = [layer for layer in net.modules() if isinstance(layer, ModulatedDeformConv2dPack)]
    assert {layer.backend for layer in deformable} == {'auto'}
    count = operators(path)
    kinds = {'deform_conv': 'DeformConv', 'grid_sample': 'GridSample'}
    assert {name: count[kind] for name, kind in kinds.items()} == {**dict.fromkeys(kinds, 0), form: len(deformable)}
    image = torch.randn(1, 3, 77, 93)
    expect_parity(run(path, image), logits_of(net, image))


@needs_deform_conv
def test_dynamic_axes_take_any_batch_and_size(tmp_path):
    net, path = build(), tmp_path / 'net.onnx'
    export_onnx(net, path, (64, 96), dynamic=True)
    assert 'N, 3, H, W' in properties(path)['image']
    for shape in [(1, 3, 77, 93), (3, 3, 33, 31), (2, 3, 160, 40)]:
        image = torch.randn(shape)
        expect_parity(run(path, image), logits_of(net, image))


def test_raw_images_are_normalised_inside(tmp_path):
    net, path = build(), tmp_path / 'net.onnx'
    export_onnx(net, path, (41, 57), raw=True)
    loaded = torch.randint(0, 256, (3, 41, 57), dtype=torch.uint8)  # as OpenCV reads it, BGR
    prepared = net.data_preprocessor(dict(inputs=[loaded]))['inputs']
    expect_parity(run(path, loaded.flip(0)[None]), logits_of(net, prepared))
    told = properties(path)
    assert told['image'] == '(1, 3, 41, 57), channels RGB, uint8, 0 to 255'
    assert 'mean' not in told


def test_the_file_describes_itself(tmp_path):
    net, path = build(multi_label=True), tmp_path / 'net.onnx'
    net.dataset_meta = dict(classes=('EX', 'MA', 'SE', 'HE', 'IR'))
    parity = export_onnx(net, path, (32, 40), notes={'config': 'idrid.py'})
    assert parity.difference <= 1e-4
    told = properties(path)
    assert told['image'].startswith('(1, 3, 32, 40), channels RGB, float32, (value - mean) / std')
    assert json.loads(told['mean']) == [120, 110, 90]
    assert json.loads(told['std']) == [60, 50, 40]
    assert 'sigmoid, positive above 0.4' in told['logits']
    assert json.loads(told['classes']) == ['EX', 'MA', 'SE', 'HE', 'IR']
    assert json.loads(told['test_cfg'])['mode'] == 'whole'
    assert told['config'] == 'idrid.py'
    assert told['form'] in FORMS
    assert sys.prefix.encode() not in path.read_bytes()
    assert b'stack_trace' not in path.read_bytes()


@needs_deform_conv
def test_the_operator_is_translated_argument_by_argument(tmp_path):
    """Every hyper-parameter differs from its neighbour; positions on and beyond the border, and NaN."""

    class Layer(nn.Module):
        def forward(self, image, offset, mask, weight):
            hyper = dict(stride=(2, 1), padding=(0, 3), dilation=(1, 2), groups=2, deform_groups=4, backend='numba')
            return modulated_deform_conv2d(image, offset, mask, weight, **hyper)

    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, 8, 9, 7, generator=generator)
    weight = torch.randn(6, 4, 2, 3, generator=generator)
    size = (4, 9)
    offset = torch.randn(2, 2 * 4 * 6, *size, generator=generator) * 3
    mask = torch.rand(2, 4 * 6, *size, generator=generator)
    border = torch.tensor([0.0, -0.5, -1.0, -1 + 1e-3, 0.5, torch.nan, torch.inf, 1e20])
    flat = offset.view(-1)
    flat[::3] = border[torch.arange(len(flat[::3])) % len(border)]
    arguments = (image, offset, mask, weight)
    operator = torch.ops.mmseg_medical.modulated_deform_conv2d.default
    program = torch.onnx.export(
        Layer().eval(), arguments, dynamo=True, verbose=False, custom_translation_table={operator: module._deform_conv}
    )
    program.save(tmp_path / 'layer.onnx')
    session = onnxruntime.InferenceSession(str(tmp_path / 'layer.onnx'), providers=['CPUExecutionProvider'])
    names = [entry.name for entry in session.get_inputs()]
    found = session.run(None, dict(zip(names, (a.numpy() for a in arguments), strict=True)))[0]
    torch.testing.assert_close(torch.from_numpy(found), Layer()(*arguments), rtol=1e-5, atol=1e-5)


def test_a_file_that_disagrees_is_not_left(tmp_path):
    path = tmp_path / 'net.onnx'
    path.write_text('older')
    with pytest.raises(ValueError, match=r'not written: logits .* float32 itself moves logits'):
        export_onnx(build(), path, (32, 40), tolerance=0.0)
    assert [file.name for file in tmp_path.iterdir()] == ['net.onnx']
    assert path.read_text() == 'older'


@pytest.mark.parametrize('parity', [Parity(float('inf'), 1.0), Parity(float('nan'), 1.0), Parity(0.0, 0.9998)])
def test_what_counts_as_disagreement(parity, tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'compare', lambda *args, **kwargs: parity)
    monkeypatch.setattr(module, '_trace', lambda *args: _Program())
    with pytest.raises(ValueError, match='is not written'):
        export_onnx(build(), tmp_path / 'net.onnx', (32, 40))
    assert not list(tmp_path.iterdir())


class _Program:
    """Stands in for what the exporter returns where only what is done with it is tested."""

    def __init__(self) -> None:
        self.model = type('Model', (), dict(metadata_props={}))()

    def save(self, path: Path, external_data: bool) -> None:
        path.write_text(json.dumps(self.model.metadata_props))


def test_comparison_sees_nan_and_each_image(tmp_path):
    class Double(nn.Module):
        def forward(self, image):
            return torch.cat((image, 1 - image), dim=1)

    axes = {'image': {0: torch.export.Dim.DYNAMIC}}
    program = torch.onnx.export(
        Double().eval(), (torch.zeros(2, 1, 4, 5),), dynamo=True, verbose=False, input_names=['image'],
        output_names=['logits'], dynamic_shapes=axes,
    )  # fmt: skip
    path = tmp_path / 'net.onnx'
    program.save(path)
    images = [torch.zeros(1, 1, 4, 5), torch.ones(3, 1, 4, 5)]
    assert compare(Double(), path, images) == Parity(0.0, 1.0)
    shifted = compare(lambda image: Double()(image) + image * torch.tensor([-0.5, 1.0]).view(1, 2, 1, 1), path, images)
    assert shifted == Parity(1.0, 0.0)
    assert compare(lambda image: Double()(image) * torch.nan, path, images).difference == float('inf')
    negative = compare(lambda image: Double()(image) - 0.5, path, images[:1], multi_label=True)
    assert negative == Parity(0.5, 1.0)


@pytest.mark.parametrize(
    ('runs', 'given', 'expected'),
    [
        (True, dict(form='auto'), 'deform_conv'),
        (False, dict(form='auto'), 'grid_sample'),
        (False, dict(form='deform_conv', tolerance=None), 'deform_conv'),
        (True, dict(form='grid_sample'), 'grid_sample'),
        (False, dict(form='deform_conv'), "does not run DeformConv.*form='grid_sample'"),
        (True, dict(form='grid_sample', dynamic=True), "axes cannot be dynamic.*form='deform_conv'"),
        (False, dict(dynamic=True), 'axes cannot be dynamic'),
        (True, dict(form='gridsample'), 'unknown; choose one of auto, deform_conv, grid_sample. Did you mean grid_s'),
    ],
)
def test_choice_of_the_form(runs, given, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'runs_deform_conv', lambda: runs)
    monkeypatch.setattr(module, '_trace', lambda *args: _Program())
    monkeypatch.setattr(module, 'compare', lambda *args, **kwargs: Parity(0.0, 1.0))
    path = tmp_path / 'net.onnx'
    if expected in FORMS:
        export_onnx(build(), path, (32, 40), **given)
        assert json.loads(path.read_text())['form'] == expected
    else:
        with pytest.raises(ValueError, match=expected):
            export_onnx(build(), path, (32, 40), **given)


@pytest.mark.parametrize('package', ['onnx', 'onnxscript', 'onnxruntime'])
def test_missing_packages_are_named(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'needs {package}, not installed here: pip install -e \.\[export\]'):
        export_onnx(build(), tmp_path / 'net.onnx', (32, 40))


def test_places_that_cannot_be_written_are_found_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(module, '_trace', lambda *args: pytest.fail('the work began'))
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match='file'):
        export_onnx(build(), tmp_path / 'file' / 'net.onnx', (32, 40))
    with pytest.raises(IsADirectoryError, match='is a folder; name the file'):
        export_onnx(build(), tmp_path, (32, 40))


def test_what_onnx_lacks_is_named(tmp_path):
    with pytest.raises(ValueError, match=r'cannot be written as ONNX: .*complex'):
        export_onnx(build(spectral_gate=True), tmp_path / 'net.onnx', (32, 40))
    assert not list(tmp_path.iterdir())


def test_only_encoder_decoders(tmp_path):
    with pytest.raises(ValueError, match='EncoderDecoder and its subclasses can be exported, found Linear'):
        export_onnx(nn.Linear(1, 1), tmp_path / 'net.onnx', (32, 40))


def test_the_example_of_the_documents_runs(tmp_path, monkeypatch):
    code = re.search(r'```python\n(.*?)```', Path('docs/deployment.md').read_text(), re.DOTALL).group(1)
    net = build()
    photograph = np.random.default_rng(0).integers(0, 256, (80, 112, 3), dtype=np.uint8)
    monkeypatch.chdir(tmp_path)
    export_onnx(net, 'hacdr.onnx', (40, 56))
    cv2.imwrite('photograph.jpg', photograph)
    names: dict = {}
    exec(code, names)  # noqa: S102
    loaded = torch.from_numpy(cv2.resize(cv2.imread('photograph.jpg'), (56, 40))).permute(2, 0, 1)
    expected = logits_of(net, net.data_preprocessor(dict(inputs=[loaded]))['inputs'])
    expect_parity(torch.from_numpy(names['logits']), expected)
    assert names['labels'].shape == (40, 56)
