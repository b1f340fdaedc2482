"""Dice on held-back hippocampi after equal time of training: our recipe beside MONAI's BasicUNet.

    python benchmarks/time_to_dice.py [--minutes 20] [--methods ours monai monai_bfloat16] [--together] [--out FILE]

Each method gets a process of its own, one after the other, or all at once with ``--together``, so that they see the
same machine: give each its cores with ``--threads``. Some steps tell how many fit into the time, so that its
learning rate ends where the time ends. The time is that of loading, augmentation and steps; validation is left out.
All train on the same cases and are scored on the same ones held back, on their native grid, without test-time
augmentation. Methods that are not measured stay as they are in the file. Needs MONAI.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import time_to_dice_monai
from machine import describe_machine
from time_to_dice_clock import CHECKS, TIMED_STEPS, Clock

from mmseg_medical import apis

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / 'results' / 'time_to_dice.json'
CONFIG = ROOT / 'configs' / 'rare_unet' / 'unet3d_hippocampus_cpu.py'


def ours(minutes: float, seed: int, threads: int) -> dict[str, Any]:
    """Train the config with the runner, as tools/train.py does."""
    trial = _run(TIMED_STEPS, 0, seed)
    steps = round(minutes * 60 / trial.seconds_per_step)
    clock = _run(steps, CHECKS, seed)
    return dict(
        config=str(CONFIG.relative_to(ROOT)), precision='bfloat16', batch=2, threads=threads, **clock.summary(steps)
    )


def _run(steps: int, checks: int, seed: int) -> Clock:
    from mmengine.hooks import Hook

    clock = Clock()

    class ClockHook(Hook):
        priority = 'LOWEST'

        def before_train_epoch(self, runner: Any) -> None:
            clock.start()

        def after_train_iter(self, runner: Any, batch_idx: int, **_: Any) -> None:
            clock.step()

        def before_val(self, runner: Any) -> None:
            clock.stop()

        def after_val_epoch(self, runner: Any, metrics: dict[str, float]) -> None:
            names = runner.val_dataloader.dataset.metainfo['classes'][1:]
            clock.note([metrics[f'dice.{name}'] for name in names])

        def after_val(self, runner: Any) -> None:
            clock.start()

    cfg = apis.load_config(CONFIG, {'randomness.seed': seed})
    cfg.log_level = 'ERROR'
    cfg.train_cfg.max_iters, cfg.param_scheduler[-1].end = steps, steps
    cfg.train_cfg.val_interval = -(-steps // checks) if checks else steps + 1
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=steps + 1, save_last=False)
    with tempfile.TemporaryDirectory() as folder:
        cfg.work_dir = folder
        runner = apis.build_runner(cfg)
        runner.register_hook(ClockHook())
        runner.train()
    clock.stop()
    return clock


METHODS = {
    'ours': ours,
    'monai': time_to_dice_monai.run,
    'monai_bfloat16': lambda *arguments: time_to_dice_monai.run(*arguments, bfloat16=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=20)
    parser.add_argument('--methods', nargs='+', choices=list(METHODS), default=list(METHODS))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--together', action='store_true', help='run all methods at the same time')
    parser.add_argument('--out', type=Path, default=RESULTS)
    parser.add_argument('--worker', action='store_true', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        import torch

        torch.set_num_threads(arguments.threads)
        result = METHODS[arguments.methods[0]](arguments.minutes, arguments.seed, arguments.threads)
        arguments.out.write_text(json.dumps(result))
        return
    results = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    groups = [arguments.methods] if arguments.together else [[name] for name in arguments.methods]
    for names in groups:
        with tempfile.TemporaryDirectory() as folder:
            answers = {name: Path(folder) / f'{name}.json' for name in names}
            workers = [_start(name, answer, arguments) for name, answer in answers.items()]
            codes = [worker.wait() for worker in workers]
            if any(codes):
                sys.exit('a method failed, see above')
            for name, answer in answers.items():
                setting = dict(seed=arguments.seed, together=len(names), machine=describe_machine())
                results[name] = {**json.loads(answer.read_text()), **setting}
                print(name, json.dumps(results[name]['curve'][-1]))
        arguments.out.write_text(json.dumps(results, indent=2) + '\n')


def _start(name: str, answer: Path, arguments: argparse.Namespace) -> subprocess.Popen:
    options = [f'--minutes={arguments.minutes}', f'--seed={arguments.seed}', f'--threads={arguments.threads}']
    environment = {**os.environ, 'OMP_NUM_THREADS': str(arguments.threads)}
    return subprocess.Popen(
        [sys.executable, __file__, '--worker', '--methods', name, f'--out={answer}', *options],
        cwd=ROOT,
        env=environment,
    )


if __name__ == '__main__':
    main()
