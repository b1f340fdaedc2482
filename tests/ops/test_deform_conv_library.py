"""The operator as torch's compilers, exporters, counters and wrappers see it."""

import shutil
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmseg_medical.models.layers import ModulatedDeformConv2dPack
from mmseg_medical.ops import modulated_deform_conv2d

needs_compiler = pytest.mark.skipif(not (shutil.which('g++') or shutil.which('clang++')), reason='no C++ compiler')
OPERATOR = torch.ops.mmseg_medical.modulated_deform_conv2d


def arguments(dtype=torch.float32, channels=8):
    torch.manual_seed(0)
    x, offset, mask = torch.randn(2, channels, 7, 9), torch.randn(2, 18, 7, 9) + 0.3, torch.rand(2, 9, 7, 9)
    offset = offset.floor() + 0.25 + 0.5 * (offset - offset.floor())  # the derivative exists
    tensors = (x, offset, mask, torch.randn(6, channels, 3, 3), torch.randn(6))
    return [t.to(dtype).requires_grad_() for t in tensors]


def operator(*tensors):
    return modulated_deform_conv2d(*tensors, padding=1, backend='numba')


@pytest.mark.parametrize('channels', [3, 8])
def test_opcheck(channels):
    hyper = ([1, 1], [1, 1], [1, 1], 1, 1, 'numba')
    tensors = arguments(torch.float64, channels)
    torch.library.opcheck(OPERATOR, (*tensors, *hyper))
    x, offset, mask, weight, _ = (t.detach() for t in tensors)
    flow = torch.randn(2, 6, 7, 9, dtype=torch.float64)
    backward = torch.ops.mmseg_medical.modulated_deform_conv2d_backward
    torch.library.opcheck(backward, (flow, x, offset, mask, weight, *hyper, [True, False, True, True]))
    pack = torch.ops.mmseg_medical.modulated_deform_conv2d_pack
    branch = (torch.randn(27, channels, 3, 3).double(), torch.randn(27).double())
    torch.library.opcheck(pack, (x, *branch, weight, None, *hyper[:-1]))


@pytest.mark.parametrize('channels', [3, 8])
def test_gradcheck(channels):
    tensors = [
        t.detach()[:, :, :4, :5].requires_grad_() if i < 3 else t
        for i, t in enumerate(arguments(torch.float64, channels))
    ]
    assert torch.autograd.gradcheck(operator, tensors, fast_mode=True)


@needs_compiler
@pytest.mark.parametrize('backend', ['auto', 'torch'])
def test_compiles_without_a_break(backend):
    def step(*tensors):
        return modulated_deform_conv2d(*tensors, padding=1, backend=backend).sigmoid().sum()

    tensors = arguments()
    compiled = torch.compile(step, fullgraph=True)
    torch.testing.assert_close(compiled(*tensors), step(*tensors))
    found = torch.autograd.grad(compiled(*tensors), tensors)
    for got, expected in zip(found, torch.autograd.grad(step(*tensors), tensors), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@needs_compiler
def test_whole_layer_compiles_for_inference():
    layer = ModulatedDeformConv2dPack(8, 8, 3, padding=1).eval()
    x = torch.randn(1, 8, 9, 11)
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(layer, fullgraph=True)(x), layer(x))


@pytest.mark.parametrize('backend', ['numba', 'torch'])
def test_exports(backend):
    layer = ModulatedDeformConv2dPack(8, 8, 3, padding=1, backend=backend).eval()
    x = torch.randn(1, 8, 9, 11)
    program = torch.export.export(layer, (x,))
    assert any('modulated_deform_conv2d' in str(node.target) for node in program.graph.nodes) == (backend == 'numba')
    torch.testing.assert_close(program.module()(x), layer(x))


def test_autocast_trains():
    layer = nn.Sequential(nn.Conv2d(4, 8, 3), ModulatedDeformConv2dPack(8, 8, 3, padding=1), nn.Conv2d(8, 2, 1))
    with torch.autocast('cpu', torch.bfloat16):
        loss = layer(torch.randn(2, 4, 9, 9)).float().square().mean()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.dtype == torch.float32 for p in layer.parameters())


def test_counts_as_a_plain_convolution():
    with FlopCounterMode(display=False) as counter:
        operator(*(t.detach().to('meta') for t in arguments()))
    assert counter.get_total_flops() == 2 * 2 * 6 * 8 * 9 * 7 * 9


def test_wrong_shapes_reach_the_caller_of_the_raw_operator():
    x, offset, mask, weight, bias = (t.detach() for t in arguments())
    with pytest.raises(ValueError, match='mask has shape'):
        OPERATOR(x, offset, mask[:, :4], weight, bias, [1, 1], [1, 1], [1, 1], 1, 1, 'numba')


def test_data_parallel_averages_gradients(tmp_path):
    code = f"""
import torch, torch.distributed as dist, sys
from torch.nn.parallel import DistributedDataParallel
from mmseg_medical.models.layers import ModulatedDeformConv2dPack
rank = int(sys.argv[1])
torch.set_num_threads(1)
dist.init_process_group('gloo', init_method='file://{tmp_path}/meet', rank=rank, world_size=2)
torch.manual_seed(0)
layer = ModulatedDeformConv2dPack(4, 4, 3, padding=1)
x = torch.randn(2, 4, 6, 6)
alone = torch.autograd.grad(layer(x).square().mean(), list(layer.parameters()))
parallel = DistributedDataParallel(layer)
parallel(x[rank:rank + 1]).square().mean().backward()
for parameter, expected in zip(layer.parameters(), alone):
    torch.testing.assert_close(parameter.grad, expected)
dist.destroy_process_group()
"""
    children = [subprocess.Popen([sys.executable, '-c', code, str(rank)], stderr=subprocess.PIPE) for rank in (0, 1)]
    for child in children:
        _, errors = child.communicate(timeout=120)
        assert child.returncode == 0, errors.decode()[-2000:]
