from __future__ import annotations

import os

import pytest

from mmseg_medical.engine.cpu import usable_cpus

CORES = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


@pytest.mark.parametrize(
    ('text', 'limit'),
    [('max 100000', CORES), ('50000 100000', 1), ('100000 100000', 1), ('6400000 100000', 64), ('', CORES)],
)
def test_quota_of_a_container(tmp_path, text, limit):
    (tmp_path / 'cpu.max').write_text(text + '\n')
    assert usable_cpus(tmp_path / 'cpu.max') == min(CORES, limit)


def test_no_quota(tmp_path):
    assert usable_cpus(tmp_path / 'none') == CORES
