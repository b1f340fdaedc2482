"""The code of docs/volume_pipelines.md runs, and yields what it says."""

import re

import pytest
from conftest import ROOT

from mmseg_medical.datasets import transforms

TEXT = (ROOT / 'docs' / 'volume_pipelines.md').read_text()
RESULT = re.compile(r'^(?P<code>[^#\n=]+?)  # (?P<result>.+)$', re.MULTILINE)


def test_snippets():
    pytest.importorskip('torchio')
    names, results = {}, 0
    for snippet in re.findall(r'```python\n(.*?)```', TEXT, re.DOTALL):
        exec(compile(snippet, 'volume_pipelines.md', 'exec'), names)  # noqa: S102
        for line in RESULT.finditer(snippet):
            assert str(eval(line['code'], names)) == line['result']  # noqa: S307
            results += 1
    assert results == 8


def test_every_transform_of_volumes_is_listed():
    listed = set(re.findall(r'`([A-Z]\w+)`', TEXT.partition('## Transforms')[2].partition('\n## ')[0]))
    of_volumes = {name for name in transforms.__all__ if 'olume' in getattr(transforms, name).__module__}
    assert of_volumes <= listed
