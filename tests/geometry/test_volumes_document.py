"""The code of docs/volumes.md runs."""

import re

import numpy as np
from affines import tilted
from conftest import ROOT

from mmseg_medical.geometry import SUFFIXES, Volume, read_volume, write_volume

TEXT = (ROOT / 'docs' / 'volumes.md').read_text()


def test_snippet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shifted = tilted()
    shifted[:3, 3] += shifted[:3, 0]
    write_volume(Volume(np.zeros((3, 5, 7), np.float32), tilted()), 'image.nii.gz')
    write_volume(Volume(np.full((3, 5, 7), 2, np.int16), shifted), 'labels.nrrd')
    names = {}
    for snippet in re.findall(r'```python\n(.*?)```', TEXT, re.DOTALL):
        exec(snippet, names)  # noqa: S102
    written = read_volume('out/labels.nii.gz')
    assert written.array[:, 0, 0].tolist() == [0, 2, 2]
    assert written.array.dtype == np.uint8
    np.testing.assert_allclose(written.affine, tilted(), atol=1e-6)
    prediction = read_volume('out/prediction.nii.gz')
    np.testing.assert_allclose(prediction.affine, tilted(), atol=1e-6)
    assert not prediction.array.any()  # the image is 0 everywhere: of equal scores the lower class


def test_every_format_is_listed():
    table = set(re.findall(r'`(\.[a-z.]+)`', TEXT.partition('| format')[2].partition('\n\n')[0]))
    assert table == set(SUFFIXES)
