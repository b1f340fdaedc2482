"""The CUDA back end's kernels through Triton's compiler, which needs no GPU: types and limits of a device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import compile_triton_kernels as script
import pytest

pytest.importorskip('triton')
SHARED_MEMORY = 232448  # bytes a block can have on an H100


def test_kernels_compile(tmp_path: Path):
    """One test for all cases: importing torch and triton costs more than compiling most of them."""
    environment = {name: value for name, value in os.environ.items() if name != 'TRITON_INTERPRET'}
    result = subprocess.run(
        [sys.executable, script.__file__], env=environment | {'TRITON_CACHE_DIR': str(tmp_path)}, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert list(found) == [script.label_of(case, *mode) for case in script.CASES for mode in script.MODES]
    assert {label: len(kernels) for label, kernels in found.items()} == dict.fromkeys(found, 3)
    assert {label: kernels for label, kernels in found.items() if max(kernels) > SHARED_MEMORY} == {}
