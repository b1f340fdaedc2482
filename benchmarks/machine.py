"""The machine a measurement was made on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    'torch',
    'numpy',
    'opencv-python',
    'pillow',
    'numba',
    'triton',
    'onnxruntime',
    'onedl-mmcv',
    'onedl-mmengine',
    'onedl-mmsegmentation',
)


def describe_machine() -> dict[str, Any]:
    """Processor, cores, accelerator and versions, for the JSON of a benchmark.

    Returns:
        dict: ``cpu``, ``cores``, ``gpu`` (None without), ``system``, ``python``, ``packages``, ``load_average``.
    """
    import torch

    return dict(
        cpu=_cpu_name(),
        cores=os.cpu_count(),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        system=f'{platform.system()} {platform.machine()}',
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name)) is not None},
        load_average=[round(value, 2) for value in os.getloadavg()],
    )


def _cpu_name() -> str:
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')), platform.processor()
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
