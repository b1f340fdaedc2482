"""What the documents point to exists."""

import re

import pytest
from conftest import ROOT

DOCUMENTS = [
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    ROOT / 'data' / 'README.md',
    *sorted((ROOT / 'docs').rglob('*.md')),
]


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_pictures(path):
    links = re.findall(r'\]\(([^)#]+)\)', path.read_text())
    missing = [link for link in links if '://' not in link and not (path.parent / link).exists()]
    assert not missing
