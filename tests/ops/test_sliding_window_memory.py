"""Peak memory of the sliding window, measured by the kernel in a fresh process."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_medical.ops import slide_memory_bytes

pytestmark = pytest.mark.skipif(
    not Path('/proc/self/clear_refs').exists(), reason='the kernel does not count peaks of resident memory'
)

MEASURE = """
import json, sys
from pathlib import Path
import torch
from mmseg_medical.ops import argmax_labels, slide_windows

def resident(key):
    status = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())
    return int(status[key].split()[0]) * 1024

def run(size, window, num_classes, channels, batch_size, keep, scale=1):
    image = torch.ones(channels, *size)
    forward = lambda x: torch.zeros(len(x), num_classes, *(scale * n for n in x.shape[2:]))
    Path('/proc/self/clear_refs').write_text('5')
    before = resident('VmRSS')
    decide = None if keep else argmax_labels
    slide_windows(
        forward, image, num_classes=num_classes, window=window, overlap=0.25, batch_size=batch_size, decide=decide,
        scale=[scale] * len(size),
    )
    return resident('VmHWM') - before

run((9, 9, 9), (8, 8, 8), 2, 1, 2, False)
print(json.dumps([run(*case) for case in json.loads(sys.argv[1])]))
"""

CASES = {
    'volume': ((192, 128, 160), (64, 64, 64), 14, 1, 2, False),
    'thrice as long': ((576, 128, 160), (64, 64, 64), 14, 1, 2, False),
    'many classes': ((128, 96, 96), (64, 64, 64), 60, 4, 1, False),
    'slab along the last axis': ((96, 96, 400), (96, 96, 96), 10, 1, 1, False),
    'scores kept': ((400, 128, 128), (64, 64, 64), 8, 1, 1, True),
    'finer than the image': ((96, 64, 80), (32, 32, 32), 14, 1, 2, False, 2),
    'two axes': ((1424, 2144), (960, 960), 5, 3, 2, False),
}


@pytest.fixture(scope='module')
def measured():
    command = [sys.executable, '-c', MEASURE, json.dumps(list(CASES.values()))]
    # freed memory goes back at once; else a case would be given what an earlier one left
    environment = {**os.environ, 'MALLOC_MMAP_THRESHOLD_': '65536'}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize('name', CASES)
def test_peak_is_the_formula(measured, name):
    size, window, num_classes, channels, batch_size, keep, *scale = CASES[name]
    formula = slide_memory_bytes(
        size,
        window,
        num_classes=num_classes,
        channels=channels,
        batch_size=batch_size,
        result_bytes=4 * num_classes if keep else 1,
        decide_bytes=0 if keep else 7,
        scale=scale * len(size) or None,
    )
    assert measured[name] == pytest.approx(formula, rel=0.05)


def test_the_merge_does_not_grow_with_the_slab_axis(measured):
    short, long = CASES['volume'][0], CASES['thrice as long'][0]
    grown = measured['thrice as long'] - measured['volume']
    assert grown == pytest.approx(math.prod(long) - math.prod(short), rel=0.3)  # the labels alone


def test_by_hand():
    # slab 4 x 10 of 2 classes and weights, importance and 2 classes of 16 points, batch of 3, its scores, uint8 labels
    # of 200 points, decided 40 at a time
    assert slide_memory_bytes((20, 10), (4, 4), num_classes=2, batch_size=3) == (
        4 * 3 * 40 + 4 * 3 * 16 + 4 * 3 * 16 + (4 * 3 * 2 * 16 + 7 * 40) + 200
    )
    network = slide_memory_bytes((20, 10), (4, 4), num_classes=2, network_bytes=10_000)
    assert network == 4 * 3 * 40 + 4 * 3 * 16 + 4 * 16 + 10_000 + 200
    along_the_other = slide_memory_bytes((20, 10), (4, 4), num_classes=2, axis=-1, decide_bytes=0)
    assert along_the_other == 4 * 3 * 80 + 4 * 3 * 16 + 4 * 16 + 4 * 2 * 16 + 200
