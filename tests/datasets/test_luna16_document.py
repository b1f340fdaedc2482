"""The page on LUNA16 says what the code does."""

from __future__ import annotations

import re

from conftest import ROOT

from mmseg_medical.registry import METRICS, TRANSFORMS

PAGE = (ROOT / 'docs' / 'luna16.md').read_text()
# `expression  # value`: what a line says that it yields
RESULT = re.compile(r'^(?P<code>[^#\n=]+?)  # (?P<result>\d+|\(\(.*\))$', re.MULTILINE)


def test_snippets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)
    names: dict = {}
    results = 0
    for snippet in snippets:
        exec(compile(snippet, 'luna16.md', 'exec'), names)  # noqa: S102
        for line in RESULT.finditer(snippet):
            assert repr(eval(line['code'], names)) == line['result']  # noqa: S307
            results += 1
    assert (len(snippets), results) == (2, 2)


def test_names():
    for name in set(re.findall(r'`(\w+)\(', PAGE)):
        if name not in ('Predictor',):
            assert TRANSFORMS.get(name) is not None, name
    metric = METRICS.build(dict(type='NoduleSegMetric', froc=True))
    metric.dataset_meta = dict(classes=('background', 'nodule'))
    logged = set(metric.logged_names())
    table = PAGE.partition('## Metrics')[2].partition('## Prediction')[0]
    words = set(re.findall(r'`((?:n|lesion|false)_\w+|froc|sensitivity@[\d.]+)`', table))
    assert words - {'n_scan'} <= logged
    assert {name.rpartition('_')[0] for name in logged if name.startswith('dice')} == {'dice'}
