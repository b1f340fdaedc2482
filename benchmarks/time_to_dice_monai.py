"""MONAI's side of time_to_dice.py.

BasicUNet (3.5 M parameters at these widths), whole volumes padded with zeros to 48 x 64 x 48, z-score, Dice and cross
entropy, AdamW 1e-3 with polynomial decay, batches of two, flips and small shifts, prepared cases kept in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from time_to_dice_clock import CHECKS, TIMED_STEPS, Clock

from mmseg_medical import apis
from mmseg_medical.evaluation.functional import confusion_counts
from mmseg_medical.evaluation.functional.overlap import SCORES

SIZE = (48, 64, 48)
FEATURES = (25, 25, 50, 100, 200, 25)


def run(minutes: float, seed: int, threads: int, bfloat16: bool = False) -> dict[str, Any]:
    """Train for the given time and return the curve."""
    trial = _train(TIMED_STEPS, 0, seed, bfloat16)
    steps = round(minutes * 60 / trial.seconds_per_step)
    clock = _train(steps, CHECKS, seed, bfloat16)
    precision = 'bfloat16' if bfloat16 else 'float32'
    return dict(network='BasicUNet', precision=precision, batch=2, threads=threads, **clock.summary(steps))


def _cases(split: str) -> list[dict[str, str]]:
    cfg = apis.load_config('configs/rare_unet/unet3d_hippocampus_cpu.py')
    dataset = apis.build_dataset(cfg, split)
    entries = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [dict(image=entry['img_path'], label=entry['seg_map_path']) for entry in entries]


def _transforms(training: bool) -> Any:
    from monai import transforms as t

    keys = ('image', 'label')
    steps = [
        t.LoadImaged(keys=keys),
        t.EnsureChannelFirstd(keys=keys),
        t.NormalizeIntensityd(keys='image'),
    ]
    if training:
        steps += [
            t.SpatialPadd(keys=keys, spatial_size=SIZE),
            *(t.RandFlipd(keys=keys, prob=0.5, spatial_axis=axis) for axis in range(3)),
            t.RandAffined(keys=keys, prob=0.5, translate_range=3, mode=('bilinear', 'nearest'), padding_mode='zeros'),
        ]
    return t.Compose([*steps, t.EnsureTyped(keys=keys, track_meta=False)])


def _train(steps: int, checks: int, seed: int, bfloat16: bool) -> Clock:
    from monai.data import CacheDataset, DataLoader
    from monai.losses import DiceCELoss
    from monai.networks.nets import BasicUNet
    from monai.utils import set_determinism

    set_determinism(seed)
    cached = CacheDataset(_cases('train'), _transforms(training=True), progress=False)
    loader = DataLoader(cached, batch_size=2, shuffle=True, num_workers=1, persistent_workers=True, drop_last=True)
    held_back = CacheDataset(_cases('val'), _transforms(training=False), progress=False) if checks else ()
    network = BasicUNet(spatial_dims=3, in_channels=1, out_channels=3, features=FEATURES)
    loss = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=steps, power=0.9)
    clock, every = Clock(), -(-steps // max(checks, 1))
    clock.start()
    while clock.steps < steps:
        for batch in loader:
            with torch.autocast('cpu', torch.bfloat16, enabled=bfloat16):
                logits = network(batch['image'])
            value = loss(logits.float(), batch['label'])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            clock.step()
            if checks and (clock.steps % every == 0 or clock.steps == steps):
                clock.stop()
                clock.note(_dice(network, held_back, bfloat16))
                clock.start()
            if clock.steps == steps:
                break
    clock.stop()
    return clock


@torch.no_grad()
def _dice(network: torch.nn.Module, cases: Any, bfloat16: bool) -> list[float]:
    """Mean Dice of the two classes over the cases, each padded behind to what the network divides by."""
    network.eval()
    scores = []
    for case in cases:
        image, label = case['image'], case['label'][0]
        missing = [-n % 16 for n in label.shape]
        padded = torch.nn.functional.pad(image[None], [part for m in reversed(missing) for part in (0, m)])
        with torch.autocast('cpu', torch.bfloat16, enabled=bfloat16):
            predicted = network(padded)[0].argmax(0)
        predicted = predicted[tuple(slice(n) for n in label.shape)]
        counts = confusion_counts(predicted, label.long(), 3)
        scores.append(SCORES['dice'](counts.tp, counts.fp, counts.fn)[1:])
    network.train()
    return np.nanmean(scores, axis=0).tolist()
