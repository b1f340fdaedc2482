"""Importing the package is cheap and registers nothing."""

from __future__ import annotations

import json
import subprocess
import sys

PROBE = """
import json, sys, time
import torch
before = set(sys.modules)
start = time.perf_counter()
import mmseg_medical
package = time.perf_counter() - start
import mmseg_medical.apis, mmseg_medical.cli
apis = time.perf_counter() - start
after_apis = set(sys.modules) - before
import mmseg_medical.registry as registry
registries = {name: sorted(value.module_dict) for name, value in vars(registry).items()
              if isinstance(value, registry.Registry)}
print(json.dumps(dict(package=package, apis=apis, modules=sorted(after_apis), registries=registries)))
"""
OPTIONAL = {'wandb', 'mlflow', 'tensorboard', 'nibabel', 'SimpleITK', 'blosc2', 'zarr', 'numba', 'triton', 'mmpretrain'}
OPTIONAL |= {
    'timm',
    'torchvision',
    'optuna',
    'ray',
    'pyvista',
    'onnx',
    'onnxruntime',
    'sklearn',
    'monai',
    'cc3d',
    'edt',
}


def test_import_is_light():
    probe = json.loads(subprocess.run([sys.executable, '-c', PROBE], capture_output=True, text=True, check=True).stdout)
    assert probe['package'] <= 1.5
    assert probe['apis'] <= 1.5
    top = {name.split('.')[0] for name in probe['modules']}
    assert not top & OPTIONAL
    assert not top & {'mmengine', 'mmseg', 'mmcv'}
    assert len(probe['registries']) >= 5
    assert {name: modules for name, modules in probe['registries'].items() if modules} == {}
