"""Which back end is taken, what a missing one needs, and that none is imported before it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from deform_conv_cases import CASES, make_arguments

from mmseg_medical.ops.deform_conv import available_backends, modulated_deform_conv2d, selection
from mmseg_medical.ops.deform_conv.selection import BACKENDS, RULES, choose

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
NEEDS = {'numba': 'pip install numba', 'triton': 'triton', 'mmcv': 'make mmcv-ops'}


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make back ends absent, or all but those named present."""

    def hide(*names: str) -> None:
        for name, module in BACKENDS.items():
            monkeypatch.setattr(module, 'available', lambda name=name: name not in names)

    return hide


def test_the_rules_name_back_ends_that_exist():
    assert {rule.backend for rule in RULES} <= set(BACKENDS)
    assert all(rule.why and rule.dtypes and set(rule.dtypes) <= set(FLOATS) for rule in RULES)


@pytest.mark.parametrize('dtype', FLOATS)
@pytest.mark.parametrize('device', ['cpu', 'cuda', 'meta', 'mps'])
@pytest.mark.parametrize('missing', [(), ('numba',), ('triton',), ('triton', 'mmcv'), ('numba', 'triton', 'mmcv')])
def test_auto_takes_the_first_rule_that_fits(absent: Any, missing: tuple[str, ...], device: str, dtype: torch.dtype):
    absent(*missing)
    fits = [
        rule.backend
        for rule in RULES
        if rule.device == device and dtype in rule.dtypes and (device == 'meta' or rule.backend not in missing)
    ]
    assert choose('auto', device, dtype) == (fits[0] if fits else 'torch')


@pytest.mark.parametrize('dtype', FLOATS)
def test_auto_on_the_processor(absent: Any, dtype: torch.dtype):
    absent()
    assert choose('auto', 'cpu', dtype) == 'numba'
    absent('numba')
    assert choose('auto', 'cpu', dtype) == 'torch'


def test_auto_without_numba_computes_by_torch(absent: Any):
    absent('numba', 'triton', 'mmcv')
    assert available_backends() == ('torch',)
    case = CASES['few channels']
    arguments = make_arguments(case, grad=False)
    expected = modulated_deform_conv2d(*arguments, **case.options, backend='torch')
    assert torch.equal(modulated_deform_conv2d(*arguments, **case.options), expected)


@pytest.mark.parametrize('name', NEEDS)
def test_what_a_missing_back_end_needs(absent: Any, name: str):
    absent(name)
    case = CASES['few channels']
    with pytest.raises(ImportError, match=f"backend='{name}' cannot run here: .*{NEEDS[name]}.*or choose 'auto'"):
        modulated_deform_conv2d(*make_arguments(case), **case.options, backend=name)
    assert name not in available_backends()


@pytest.mark.parametrize(('name', 'near'), [('nunba', 'numba'), ('Triton', 'triton'), ('mcv', 'mmcv')])
def test_unknown_names(name: str, near: str):
    case = CASES['few channels']
    with pytest.raises(ValueError, match=f"backend='{name}' is unknown; choose one of auto, .*Did you mean {near}"):
        modulated_deform_conv2d(*make_arguments(case), **case.options, backend=name)


def test_the_default_is_auto(monkeypatch: pytest.MonkeyPatch):
    from mmseg_medical.ops.deform_conv import functional

    seen = []
    monkeypatch.setattr(functional, 'choose', lambda *call: seen.append(call) or 'torch')
    modulated_deform_conv2d(*make_arguments(CASES['one pixel']), **CASES['one pixel'].options)
    assert seen == [('auto', 'cpu', torch.float32)]
    assert selection.choose('torch', 'cpu', torch.float32) == 'torch'


def in_another_process(script: str, **environment: str) -> Any:
    """What a script run in a new interpreter prints, as JSON."""
    result = subprocess.run(
        [sys.executable, '-c', script], env=os.environ | environment, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_import_loads_no_back_end():
    """What torch itself loads for its compiler and its counter of operations, triton among it, is not ours to avoid."""
    script = """if True:
        import json, sys
        import torch, torch._dynamo, torch.utils.flop_counter
        before = set(sys.modules)
        import mmseg_medical.ops
        from mmseg_medical.ops.deform_conv import available_backends
        available_backends()
        print(json.dumps(sorted(set(sys.modules) - before)))
    """
    loaded = in_another_process(script)
    assert not {'numba', 'llvmlite', 'triton', 'onnx', 'onnxruntime'} & {name.split('.')[0] for name in loaded}
    package = 'mmseg_medical.ops.deform_conv'
    assert f'{package}.triton_backend' in loaded
    assert not [name for name in loaded if name.startswith((f'{package}.cpu', f'{package}.triton_kernels'))]


CALL = """if True:
    import json, sys
    sys.path.insert(0, 'tests/ops')
    import torch
    from deform_conv_cases import CASES, make_arguments
    from mmseg_medical.ops.deform_conv import modulated_deform_conv2d
    case = CASES['row, group a channel']
    with torch.no_grad():
        out = modulated_deform_conv2d(*make_arguments(case), **case.options, backend='numba')
    from mmseg_medical.ops.deform_conv.cpu.planar import forward
    hits, misses = forward.stats.cache_hits, forward.stats.cache_misses
    print(json.dumps([sum(hits.values()), sum(misses.values()), out.double().sum().item()]))
"""


def test_a_second_process_finds_the_kernels_compiled(tmp_path: Path):
    pytest.importorskip('numba')
    hits, misses, first = in_another_process(CALL, NUMBA_CACHE_DIR=str(tmp_path))
    assert (hits, misses) == (0, 1)
    assert list(tmp_path.rglob('*.nbc'))
    hits, misses, second = in_another_process(CALL, NUMBA_CACHE_DIR=str(tmp_path))
    assert (hits, misses) == (1, 0)
    assert first == second


def test_without_numba_installed():
    script = """if True:
        import json, sys
        sys.path.insert(0, 'tests/ops')
        sys.modules['numba'] = None
        import torch
        from deform_conv_cases import CASES, make_arguments
        from mmseg_medical.ops.deform_conv import available_backends, modulated_deform_conv2d
        case = CASES['few channels']
        out = modulated_deform_conv2d(*make_arguments(case), **case.options)
        print(json.dumps([available_backends(), list(out.shape)]))
    """
    names, shape = in_another_process(script)
    assert 'numba' not in names
    assert shape == [2, 5, 7, 11]
