"""What every test shares."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _project_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configs are named relative to the project's root."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope='session')
def realdata() -> Path:
    """Folder of the real images, or a skip that says where they were looked for."""
    root = Path(os.environ.get('MMSEG_MEDICAL_REALDATA', ROOT.parent / 'shared' / 'realdata'))
    if not root.is_dir():
        pytest.skip(f'no real images at {root}; name their folder in MMSEG_MEDICAL_REALDATA')
    return root
