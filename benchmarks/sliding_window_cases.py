"""What the benchmark of sliding windows runs, and on which sides."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from resident_memory import PeakMemory
from torch import Tensor, nn

from mmseg_medical.ops import argmax_labels, slide_windows, sliding_windows
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
        network=network,
    )
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
        memory = PeakMemory()
        start = time.perf_counter()
        result = run(case, network, image)
        seconds = time.perf_counter() - start
        peak = memory.extra_mb()
        if result is not None:
            np.save(out, (result if len(result) == 1 else argmax_labels(result)).numpy())
    return {'seconds': seconds, 'forward_seconds': network.seconds, 'extra_mb': peak}
