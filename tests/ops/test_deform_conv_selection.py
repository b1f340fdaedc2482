"""Which back end convolves, and what an absent one says."""

import subprocess
import sys

import pytest
import torch

from mmseg_medical.ops.deform_conv import available_backends, can_pack, modulated_deform_conv2d
from mmseg_medical.ops.deform_conv.selection import BACKENDS, RULES, choose


def call(backend):
    x = torch.randn(1, 4, 5, 5)
    offset, mask = torch.zeros(1, 18, 5, 5), torch.ones(1, 9, 5, 5)
    return modulated_deform_conv2d(x, offset, mask, torch.randn(4, 4, 3, 3), padding=1, backend=backend)


def test_rules_name_back_ends():
    assert {rule.backend for rule in RULES} <= set(BACKENDS)
    assert all(rule.why for rule in RULES)


@pytest.mark.parametrize(
    ('device', 'dtype', 'absent', 'expected'),
    [
        ('cpu', torch.float32, (), 'numba'),
        ('cpu', torch.float64, (), 'numba'),
        ('cpu', torch.bfloat16, (), 'numba'),
        ('cpu', torch.float32, ('numba',), 'torch'),
        ('cuda', torch.float16, (), 'triton'),
        ('cuda', torch.float64, (), 'mmcv'),
        ('cuda', torch.float32, ('triton',), 'mmcv'),
        ('cuda', torch.bfloat16, ('triton',), 'torch'),
        ('cuda', torch.float32, ('triton', 'mmcv'), 'torch'),
        ('meta', torch.float32, ('numba',), 'numba'),
        ('mps', torch.float32, (), 'torch'),
    ],
)
def test_first_rule_that_can_run_decides(monkeypatch, device, dtype, absent, expected):
    for name, module in BACKENDS.items():
        monkeypatch.setattr(module, 'available', lambda name=name: name not in absent)
    assert choose('auto', device, dtype) == expected


@pytest.mark.parametrize(
    ('name', 'words'), [('numba', 'pip install numba'), ('triton', 'triton'), ('mmcv', 'make mmcv-ops')]
)
def test_absent_back_end_says_what_it_needs(monkeypatch, name, words):
    monkeypatch.setattr(BACKENDS[name], 'available', lambda: False)
    with pytest.raises(ImportError, match=f"backend='{name}' cannot run here.*{words}"):
        call(name)
    assert name not in available_backends()
    assert torch.isfinite(call('auto')).all()


def test_can_pack_only_without_gradients_on_the_cpu(monkeypatch):
    x = torch.zeros(1, 4, 5, 5)
    assert not can_pack(x)
    with torch.no_grad():
        assert can_pack(x)
        assert not can_pack(x, 'torch')
        assert not can_pack(x.to('meta'))
        monkeypatch.setattr(BACKENDS['numba'], 'available', lambda: False)
        assert not can_pack(x)


def test_compilers_are_imported_by_those_who_need_them():
    # torch itself imports triton where it is installed
    names = {
        'numba',
        'llvmlite',
        'mmcv',
        'mmseg_medical.ops.deform_conv.cpu',
        'mmseg_medical.ops.deform_conv.triton_kernels',
    }
    code = f'import sys, mmseg_medical.ops; print(sorted({names} & set(sys.modules)))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'
