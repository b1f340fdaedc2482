"""Work shared out: what dies takes one item with it, and what cannot start does not start again and again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mmseg_medical.processes import share

SCRIPT = """
from mmseg_medical.processes import share

share(list(range(40)), abs, 2, lambda number, outcome: print(f'item {number}: {outcome.error}'))
"""


def half(number: int) -> int:
    if number == 3:
        os._exit(7)
    if number % 2:
        raise ValueError(f'{number} is odd')
    return number // 2


@pytest.mark.parametrize('jobs', [1, 2])
def test_each_item_has_its_outcome(jobs):
    found = {}
    share(range(7), half, jobs, found.__setitem__)
    assert {number: outcome.result for number, outcome in found.items() if outcome.error is None} == {
        0: 0,
        2: 1,
        4: 2,
        6: 3,
    }
    assert found[3].error == 'the process died with exit code 7'
    assert found[5].error == '5 is odd'


def test_processes_that_die_at_their_start_are_not_replaced(tmp_path):
    script = tmp_path / 'unguarded.py'
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith('item')]
    assert len(lines) == 40
    assert all('exit code 1, before it began; a script that starts processes needs `if __name__' in x for x in lines)
    assert done.stderr.count('bootstrapping phase') <= 2
