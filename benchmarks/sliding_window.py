"""Sliding windows: this package's streaming merge against MONAI's on a volume and mmseg's on a fundus photograph.

python benchmarks/sliding_window.py [--cases 'one convolution'] [--repeats 3] [--threads 2]

Every side runs in a fresh process, and the sides of a case take turns. Seconds are those of the whole call; the
network's own are clocked inside it, so that ``over_forwards`` is how much longer than its forwards a call took,
whatever else the machine did. Extra memory is the peak of the resident set less that before the call, which holds the
image and the network. Ours ends with labels; the others end with scores, which leaves them an argmax to do.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from machine import describe_machine
from mmengine.config import ConfigDict
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from mmseg_medical.ops import argmax_labels, slide_memory_bytes, slide_windows, sliding_windows
from mmseg_medical.ops.window_grid import overlap_stride, window_weights

VOLUME = dict(channels=1, classes=14, window=(96, 96, 96), weights='gaussian', batch_size=1, theirs='MONAI')
FUNDUS = dict(channels=3, classes=5, window=(960, 960), weights='constant', batch_size=1, theirs='mmseg')
IDEAL, OURS = 'forwards alone', 'ours'
CASES: dict[str, dict[str, Any]] = {
    # the cheapest network shows the merge
    'one convolution': VOLUME | dict(size=(512, 512, 300), network='convolution', stride=(48, 48, 48)),
    'four windows at a time': VOLUME
    | dict(size=(512, 512, 300), network='convolution', stride=(48, 48, 48), batch_size=4),
    'U-Net': VOLUME | dict(size=(512, 512, 300), network='unet', stride=(72, 72, 72)),
    # memory must not grow with the slab's axis but by the labels
    'short': VOLUME | dict(size=(256, 256, 256), network='convolution', stride=(72, 72, 72), theirs=None),
    'twice as long': VOLUME | dict(size=(512, 256, 256), network='convolution', stride=(72, 72, 72), theirs=None),
    'four times as long': VOLUME | dict(size=(1024, 256, 256), network='convolution', stride=(72, 72, 72), theirs=None),
    'fundus': FUNDUS | dict(size=(2848, 4288), network='convolution', stride=(640, 640)),
}
TARGETS = {
    'MONAI': {'time over MONAI, at most': 1.0, 'memory over MONAI, at most': 0.25},
    'mmseg': {'time of the merge, mmseg over ours, at least': 5.0},
    'memory over formula, at most': 1.05,
    'U-Net: over forwards, at most': 0.03,
}


class Timed(nn.Module):
    """A network that adds up its seconds."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.seconds = network, 0.0

    def forward(self, windows: Tensor) -> Tensor:
        """Scores of the windows."""
        start = time.perf_counter()
        scores = self.network(windows)
        self.seconds += time.perf_counter() - start
        return scores


def build_network(case: dict[str, Any]) -> Timed:
    torch.manual_seed(0)
    rank = len(case['size'])
    if case['network'] == 'convolution':
        return Timed((nn.Conv2d if rank == 2 else nn.Conv3d)(case['channels'], case['classes'], 1))
    from monai.networks.nets import BasicUNet

    return Timed(BasicUNet(rank, case['channels'], case['classes'], features=(8, 8, 16, 32, 64, 8)).eval())


def run_ideal(case: dict[str, Any], network: nn.Module, image: Tensor) -> None:
    """Forwards on the windows as they lie in the image, and nothing else."""
    places = sliding_windows(case['size'], case['window'], case['stride'])
    for first in range(0, len(places), case['batch_size']):
        parts = [image[(slice(None), *place)] for place in places[first : first + case['batch_size']]]
        network(parts[0][None] if len(parts) == 1 else torch.stack(parts))


def run_ours(case: dict[str, Any], network: nn.Module, image: Tensor) -> Tensor:
    if case['theirs'] == 'mmseg':
        from mmseg_medical.models.segmentors.medical_encoder_decoder import MedicalEncoderDecoder

        return _slide_2d(MedicalEncoderDecoder, case, network, image)
    return slide_windows(
        network,
        image,
        num_classes=case['classes'],
        window=case['window'],
        stride=case['stride'],
        weights=case['weights'],
        batch_size=case['batch_size'],
        decide=argmax_labels,
    )


def run_theirs(case: dict[str, Any], network: nn.Module, image: Tensor) -> Tensor:
    if case['theirs'] == 'mmseg':
        from mmseg.models import EncoderDecoder

        return _slide_2d(EncoderDecoder, case, network, image)
    from monai.inferers import sliding_window_inference

    overlap = 1 - case['stride'][0] / case['window'][0]
    assert overlap_stride(case['window'], overlap) == tuple(case['stride'])
    importance = window_weights(case['window'], case['weights'])  # MONAI's own Gaussian is cut off at 0.001
    return sliding_window_inference(
        image[None], case['window'], case['batch_size'], network, overlap=overlap, roi_weight_map=importance
    )[0]


def _slide_2d(segmentor: type, case: dict[str, Any], network: nn.Module, image: Tensor) -> Tensor:
    """The method of a segmentor whose network is ours to choose."""
    stub = SimpleNamespace(
        test_cfg=ConfigDict(crop_size=case['window'], stride=case['stride']),
        out_channels=case['classes'],
        encode_decode=lambda crops, metas: network(crops),
    )
    if hasattr(segmentor, '_window_logits'):
        stub._window_logits = partial(segmentor._window_logits, stub)
    return segmentor.slide_inference(stub, image[None], [{}])[0]


def run_in_child(case: dict[str, Any], side: str, threads: int, out: str) -> dict[str, float]:
    """One call on one side; its labels go to the file ``out``."""
    torch.set_num_threads(threads)
    run: Callable = {IDEAL: run_ideal, OURS: run_ours}.get(side, run_theirs)
    network = build_network(case)
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(case['channels'], *case['size'], generator=generator)
    with torch.inference_mode():
        small = tuple(slice(0, min(2 * w, n)) for w, n in zip(case['window'], case['size'], strict=True))
        crop = image[(slice(None), *small)].clone()
        run({**case, 'size': crop.shape[1:]}, network, crop)  # libraries and their buffers
        del crop
        network.seconds = 0.0
        ctypes.CDLL(None).malloc_trim(0)  # what the small call freed is not to be had for nothing
        Path('/proc/self/clear_refs').write_text('5')  # sets the peak to the present (man 5 proc)
        before = _resident_bytes('VmRSS')
        start = time.perf_counter()
        result = run(case, network, image)
        seconds = time.perf_counter() - start
        peak = _resident_bytes('VmHWM') - before
        if result is not None:
            np.save(out, (result if len(result) == 1 else argmax_labels(result)).numpy())
    return {'seconds': seconds, 'forward_seconds': network.seconds, 'extra_mb': peak / 1e6}


def _resident_bytes(field: str) -> int:
    line = next(row for row in Path('/proc/self/status').read_text().splitlines() if row.startswith(field))
    return 1024 * int(line.split()[1])


def measure_case(name: str, repeats: int, threads: int) -> dict[str, Any]:
    """Sides take turns; medians, and what they say about each other."""
    case = CASES[name]
    sides = [side for side in (IDEAL, case['theirs'], OURS) if side is not None]
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for side in sides:
                out = str(Path(folder, f'{side}.npy'))
                command = [sys.executable, __file__, '--child', json.dumps([name, side, threads, out])]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                runs[side].append(json.loads(done.stdout.splitlines()[-1]))
                print(name, side, runs[side][-1], flush=True)
        labels = [np.load(path) for side in sides if (path := Path(folder, f'{side}.npy')).exists()]
    figures: dict[str, Any] = {side: _summary(found) for side, found in runs.items()}
    figures['windows'] = len(sliding_windows(case['size'], case['window'], case['stride']))
    figures |= _compare(case, figures)
    if len(labels) == 2:
        figures['labels_equal'] = float((labels[0] == labels[1]).mean())
    return figures


def _summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    seconds, forward = ([run[key] for run in runs] for key in ('seconds', 'forward_seconds'))
    outside = [whole - part for whole, part in zip(seconds, forward, strict=True)]
    return {
        'seconds': round(statistics.median(seconds), 3),
        'all_seconds': [round(value, 3) for value in seconds],
        'merge_seconds': round(statistics.median(outside), 3),
        'over_forwards': round(statistics.median(o / f for o, f in zip(outside, forward, strict=True)), 4),
        'extra_mb': round(statistics.median(run['extra_mb'] for run in runs), 1),
    }


def _compare(case: dict[str, Any], figures: dict[str, Any]) -> dict[str, Any]:
    ours, theirs = figures[OURS], case['theirs']
    found = {f'time over {IDEAL}': round(ours['seconds'] / figures[IDEAL]['seconds'], 3)}
    formula = slide_memory_bytes(
        case['size'],
        case['window'],
        num_classes=case['classes'],
        channels=case['channels'],
        batch_size=case['batch_size'],
        **(dict(result_bytes=4 * case['classes'], decide_bytes=0) if theirs == 'mmseg' else {}),
        network_bytes=round(figures[IDEAL]['extra_mb'] * 1e6),
    )
    found['formula_mb'] = round(formula / 1e6, 1)
    found['memory over formula'] = round(ours['extra_mb'] / found['formula_mb'], 3)
    if theirs is not None:
        found[f'time over {theirs}'] = round(ours['seconds'] / figures[theirs]['seconds'], 3)
        found[f'memory over {theirs}'] = round(ours['extra_mb'] / figures[theirs]['extra_mb'], 3)
        merges = figures[theirs]['merge_seconds'] / ours['merge_seconds']
        found[f'time of the merge, {theirs} over ours'] = round(merges, 2)
    return found


def print_table(cases: dict[str, Any]) -> None:
    table = Table('case', 'side', 's', 's beside forwards', 'extra MB', title='sliding windows')
    for name, figures in cases.items():
        for side, row in figures.items():
            if isinstance(row, dict):
                table.add_row(name, side, *(str(row[key]) for key in ('seconds', 'merge_seconds', 'extra_mb')))
        ratios = ', '.join(f'{key}: {value}' for key, value in figures.items() if ' ' in key and key != IDEAL)
        table.add_row('', ratios, '', '', '')
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--cases', nargs='+', choices=list(CASES), default=list(CASES))
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results' / 'sliding_window.json')
    parser.add_argument('--child', type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, *rest = arguments.child
        print(json.dumps(run_in_child(CASES[name], *rest)))
        return
    machine = describe_machine()
    machine['packages']['monai'] = version('monai')
    cases = {name: measure_case(name, arguments.repeats, arguments.threads) for name in arguments.cases}
    results = {
        'what': 'seconds and extra resident memory of sliding-window inference, a fresh process a run',
        'arguments': {'repeats': arguments.repeats, 'threads': arguments.threads},
        'definitions': {name: CASES[name] for name in arguments.cases},
        'cases': cases,
        'targets': TARGETS,
        'machine': machine,
    }
    arguments.out.write_text(json.dumps(results, indent=2) + '\n')
    print_table(cases)


if __name__ == '__main__':
    main()
