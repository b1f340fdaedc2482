"""Python code of the pages on evaluation runs, in the order of a page."""

import re

import numpy as np
import pytest
from conftest import ROOT

from mmseg_medical.geometry import Volume, write_volume

PAGES = [
    'evaluation.md',
    'surface_metrics.md',
    'evaluate_folders.md',
    'statistics.md',
    'lesion_metrics.md',
    'volumes.md',
    'decathlon.md',
    'losses.md',
    'sliding_window.md',
    'train_volumes.md',
    'slices.md',
    'hdc_hrnet.md',
    'hippocampus_inr.md',
    'uncertainty.md',
]
# `expression  # array([1.])`: what a line says that it yields
RESULT = re.compile(r'^(?P<code>[^#\n]+?)  # (?P<result>array\(.*\)|[\d.]+)$', re.MULTILINE)


@pytest.mark.parametrize('page', PAGES)
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if page == 'volumes.md':
        pytest.importorskip('nibabel')
        pytest.importorskip('SimpleITK')
        for number, name in enumerate(('image.nii.gz', 'labels.nrrd')):
            array = np.arange(60, dtype=np.uint8).reshape(3, 4, 5) % 3
            write_volume(Volume(array, np.diag([1.0, 1.0, 2.0 + number, 1.0])), name)
    snippets = re.findall(r'```python\n(.*?)```', (ROOT / 'docs' / page).read_text(), re.DOTALL)
    assert snippets
    names = {}
    for snippet in snippets:
        exec(compile(snippet, page, 'exec'), names)  # noqa: S102
        for line in RESULT.finditer(snippet):
            if '=' not in line['code']:
                assert repr(eval(line['code'], names)) == line['result']  # noqa: S307
