"""Python code of docs/predict.md."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT
from tiny_volume_model import image, work_dir

from mmseg_medical.geometry import write_volume
from mmseg_medical.inference import ComponentFilter, export_model_directory
from mmseg_medical.inference.loading import load_from_checkpoints


def test_page(tmp_path, monkeypatch):
    pytest.importorskip('safetensors')
    work = work_dir(tmp_path / 'work')
    export_model_directory(load_from_checkpoints(work / 'tiny.py', work / 'epoch_1.pth'), tmp_path / 'model')
    write_volume(image(), tmp_path / 'case.nii.gz')
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for snippet in re.findall(r'```python\n(.*?)```', (ROOT / 'docs' / 'predict.md').read_text(), re.DOTALL):
        exec(compile(snippet, 'predict.md', 'exec'), names)  # noqa: S102
    assert (tmp_path / 'out' / 'case.nii.gz').is_file()
    ComponentFilter.from_config(names['test_cfg']['component_filter']).check(names['segmentation'].names)
