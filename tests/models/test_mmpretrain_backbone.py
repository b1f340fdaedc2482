"""A backbone of an optional package is refused precisely where the package is missing; its config is read anyway."""

import importlib.util

import pytest

from mmseg_medical import apis

CONFIG = 'configs/baselines/upernet_convnext_acdc.py'


def without(monkeypatch, name):
    found = importlib.util.find_spec
    known = {'mmpretrain': True, 'torchvision': True, name: False}

    def find_spec(wanted, *args):
        if wanted in known:
            return object() if known[wanted] else None
        return found(wanted, *args)

    monkeypatch.setattr(importlib.util, 'find_spec', find_spec)
    imported = importlib.import_module
    monkeypatch.setattr(importlib, 'import_module', lambda wanted: imported('math' if wanted in known else wanted))


@pytest.mark.parametrize(
    ('name', 'line'),
    [
        ('mmpretrain', r"mmpretrain is needed and not installed here: pip install 'mmseg-medical\[baselines\]'"),
        ('torchvision', r'torchvision, which is not installed here: install the one that was made for torch \d'),
    ],
)
def test_what_is_missing_is_named(monkeypatch, name, line):
    cfg = apis.load_config(CONFIG)
    without(monkeypatch, name)
    with pytest.raises(ImportError, match=line):
        apis.build_model(cfg)
