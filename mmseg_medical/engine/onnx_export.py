"""Networks as ONNX files, deformable convolutions included; a file that disagrees with its network is not left."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from mmengine.model import revert_sync_batchnorm
from mmseg.models import EncoderDecoder
from torch import Tensor, nn

import mmseg_medical
from mmseg_medical.engine.onnx_parity import Parity, compare, require, runs_deform_conv
from mmseg_medical.errors import did_you_mean
from mmseg_medical.files import atomic_path
from mmseg_medical.models.layers import ModulatedDeformConv2d

# The back end whose graph becomes the form: numba's is one operator, torch's decomposes to grid_sample.
_BACKENDS = {'deform_conv': 'numba', 'grid_sample': 'torch'}
FORMS = ('auto', *_BACKENDS)
# The first that has DeformConv, GridSample's mode 'linear' and Gelu.
_OPSET = 20
MIN_AGREEMENT = 0.9999


def export_onnx(
    segmentor: EncoderDecoder,
    out: str | Path,
    size: tuple[int, int],
    *,
    form: str = 'auto',
    dynamic: bool = False,
    raw: bool = False,
    tolerance: float | None = 1e-4,
    notes: dict[str, str] | None = None,
) -> Parity | None:
    """Write the network, from image to logits, as one ONNX file that describes itself in its ``metadata_props``.

    Input ``image`` (N, channels, H, W): float32 as the data preprocessor leaves it or, ``raw``, uint8. Output
    ``logits`` (N, C, H, W): float32, unnormalised. What lies around one forward pass (sliding windows, test-time
    augmentation, the native grid) is left to the caller.

    Args:
        segmentor: Network; it is not changed.
        out: File to write; it appears under its name only when it has passed the check.
        size: Height and width of the image in pixels.
        form: Of deformable convolutions: ``'deform_conv'``, ONNX's operator ``DeformConv``; ``'grid_sample'``,
            ``GridSample`` and matrix products, for runtimes without it; ``'auto'``, the first where the installed
            onnxruntime runs it.
        dynamic: Leave N, H and W open; ``size`` is then what the file is checked with. Not with ``'grid_sample'``.
        raw: Take values 0 to 255 and normalise inside.
        tolerance: Largest difference of a logit that passes; besides, ``MIN_AGREEMENT`` of the pixels have to be
            decided alike. None skips the check.
        notes: Further ``metadata_props``.

    Returns:
        Parity: Of the file with the network, on noise; None without the check.

    Raises:
        ImportError: A package is missing; the message says how to install it.
        ValueError: The form is unknown or cannot be had, the network has an operator that ONNX has not, or the file
            does not agree with the network.
        OSError: ``out`` cannot be written.
    """
    require('onnx', 'onnxscript', *(() if tolerance is None else ('onnxruntime',)))
    if not isinstance(segmentor, EncoderDecoder):
        raise ValueError(
            f"only mmseg's EncoderDecoder and its subclasses can be exported, found {type(segmentor).__name__}"
        )
    if Path(out).is_dir():
        raise IsADirectoryError(f'{out} is a folder; name the file to write')
    form = _choose(form, dynamic, checked=tolerance is not None)
    network = _Logits(segmentor, raw)
    images = [network.example(2 if dynamic else 1, size)]
    if dynamic:
        images.append(network.example(1, (size[0] // 2 + 1, size[1] // 2 + 3)))
    with atomic_path(out) as temporary:
        temporary.touch()  # whether the folder can be written is known before the work, not after
        program = _trace(network, images[0], form, dynamic)
        program.model.metadata_props.update({**network.describe(images[0], dynamic), 'form': form, **(notes or {})})
        program.save(temporary, external_data=False)
        if tolerance is None:
            return None
        parity = compare(network, temporary, images, multi_label=network.multi_label)
        if not (parity.difference <= tolerance and parity.agreement >= MIN_AGREEMENT):
            raise ValueError(
                f'{out} is not written: logits of the ONNX file differ from those of the network by up to '
                f'{parity.difference:.1e} (expected at most {tolerance:.0e}), {parity.agreement:.3%} of the pixels are '
                f'decided alike (expected at least {MIN_AGREEMENT:.2%}). {_rounding(network, images[0])}'
            )
    return parity


class _Logits(nn.Module):
    """A copy of a segmentor, on the CPU, as one forward pass from image to logits."""

    def __init__(self, segmentor: EncoderDecoder, raw: bool) -> None:
        super().__init__()
        self.segmentor = revert_sync_batchnorm(copy.deepcopy(segmentor))
        self.raw = raw
        self.multi_label = getattr(segmentor, 'multi_label', False) or segmentor.out_channels == 1
        self.float().cpu().eval()
        self.use('auto')

    def use(self, backend: str) -> None:
        """Give all deformable convolutions a back end."""
        for module in self.modules():
            if isinstance(module, ModulatedDeformConv2d):
                module.backend = backend

    @property
    def statistics(self) -> dict[str, Tensor]:
        """Mean and standard deviation of the channels, if the data preprocessor normalises."""
        buffers = dict(self.segmentor.data_preprocessor.named_buffers())
        return {name: buffers[name] for name in ('mean', 'std') if name in buffers}

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, C, H, W)."""
        image = image.to(next(self.parameters()).dtype)
        if self.raw and self.statistics:
            image = (image - self.statistics['mean']) / self.statistics['std']
        return self.segmentor.encode_decode(image, [dict(img_shape=image.shape[2:])])

    def example(self, batch: int, size: tuple[int, int]) -> Tensor:
        """Noise (N, channels, H, W), always the same."""
        shape = (batch, len(self.statistics.get('mean', 'RGB')), *size)
        generator = torch.Generator().manual_seed(0)
        if self.raw:
            return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        return torch.randn(shape, generator=generator)

    def describe(self, image: Tensor, dynamic: bool) -> dict[str, str]:
        """What somebody needs who has the file and not this package."""
        # images are loaded as BGR; the preprocessor turns the channels round if it is told to
        order = 'RGB' if getattr(self.segmentor.data_preprocessor, '_channel_conversion', False) else 'BGR'
        values = 'uint8, 0 to 255' if self.raw else 'float32, (value - mean) / std of values 0 to 255'
        shape = f'(N, {image.shape[1]}, H, W)' if dynamic else str(tuple(image.shape))
        outside = {} if self.raw else self.statistics
        threshold = self.segmentor.test_cfg.get('threshold') or getattr(self.segmentor.decode_head, 'threshold', None)
        activation = f'sigmoid, positive above {threshold or 0.5}' if self.multi_label else 'softmax over the classes'
        meta = getattr(self.segmentor, 'dataset_meta', None) or {}
        return {
            'producer': f'mmseg_medical {mmseg_medical.__version__}',
            'image': f'{shape}, channels {order if image.shape[1] == 3 else "as loaded"}, {values}',
            **{name: json.dumps(buffer.flatten().tolist()) for name, buffer in outside.items()},
            'logits': f'(N, {self.segmentor.out_channels} classes, H, W), float32; probabilities: {activation}',
            'classes': json.dumps(meta.get('classes')),
            'test_cfg': json.dumps(dict(self.segmentor.test_cfg), default=str),
        }


def _choose(form: str, dynamic: bool, checked: bool) -> str:
    if form not in FORMS:
        raise ValueError(f'form={form!r} is unknown; choose one of {", ".join(FORMS)}.{did_you_mean(form, FORMS)}')
    if form == 'deform_conv' and checked and not runs_deform_conv():
        raise ValueError(
            "the installed onnxruntime does not run DeformConv, so form='deform_conv' cannot be checked: update it to "
            "1.25 or later, choose form='grid_sample', or skip the check if the file is for another runtime"
        )
    if form == 'auto':
        # HACDR-Net at 960 x 1440 on one thread: 5.7 s as DeformConv, 11.5 s as GridSample, either within 4e-6.
        form = 'deform_conv' if runs_deform_conv() else 'grid_sample'
    if form == 'grid_sample' and dynamic:
        raise ValueError(
            'the GridSample form pads maps to sizes that are fixed when it is written, so its axes cannot be dynamic: '
            "choose form='deform_conv' (onnxruntime 1.25 or later runs it), or write a file for each size"
        )
    return form


def _trace(network: _Logits, image: Tensor, form: str, dynamic: bool) -> torch.onnx.ONNXProgram:
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    axes = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    network.use(_BACKENDS[form])
    try:
        with _quiet():
            program = torch.onnx.export(
                network,
                (image,),
                dynamo=True,
                opset_version=_OPSET,
                input_names=['image'],
                output_names=['logits'],
                dynamic_shapes={'image': axes} if dynamic else None,
                custom_translation_table={torch.ops.mmseg_medical.modulated_deform_conv2d.default: _deform_conv},
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ValueError(f'the network cannot be written as ONNX: {_first_cause(error)}') from error
    network.use('auto')
    program = cast(torch.onnx.ONNXProgram, program)
    # The exporter notes behind every node which lines of Python it came from, with the paths of this machine.
    ClearMetadataAndDocStringPass()(program.model)
    return program


def _deform_conv(
    input: Any,
    offset: Any,
    mask: Any,
    weight: Any,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    deform_groups: int,
    backend: str,
) -> Any:
    """Our operator as ONNX's; offsets and masks are laid out alike."""
    from onnxscript import opset19

    return opset19.DeformConv(
        input,
        weight,
        offset,
        bias,
        mask,
        strides=stride,
        pads=[*padding, *padding],
        dilations=dilation,
        group=groups,
        offset_group=deform_groups,
    )


def _rounding(network: _Logits, image: Tensor) -> str:
    with torch.no_grad():
        error = float((network(image) - copy.deepcopy(network).double()(image)).abs().max())
    return (
        f'float32 itself moves logits of this network by up to {error:.1e} against float64; if that is as much, the '
        'file is no worse than the network: raise the tolerance or skip the check.'
    )


def _first_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes on packages that it could have used and on torch's own old code."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel('ERROR')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', FutureWarning)
            yield
    finally:
        logger.setLevel(level)
