"""Sweeps that take no time: stand-ins of the tools that leave the files of real ones."""

from __future__ import annotations

import contextlib
import json
import runpy
import sys
import threading
from pathlib import Path
from textwrap import dedent
from typing import Any

from ablation_cases import record
from mmengine.config import Config

from mmseg_medical.engine.ablation.children import Children
from mmseg_medical.engine.ablation.commands import Commands
from mmseg_medical.engine.ablation.execution import Executor
from mmseg_medical.engine.sweep.plan import TRAIN_OPTIONS, Sweep
from mmseg_medical.engine.sweep.search import make_slots
from mmseg_medical.engine.sweep.slots import Slots
from mmseg_medical.engine.sweep.space import read_space
from mmseg_medical.engine.sweep.storage import StudyStore, open_storage, open_study

CONFIG = """
    model = dict(type='Net', width=4, depth=2, head=dict(type='Plain', sizes=[1, 2]), losses=[dict(weight=1.0)])
    optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
    train_cfg = dict(max_epochs=3, val_interval=1)
    train_dataloader = dict(batch_size=1)
    val_dataloader = dict(batch_size=1)
    test_dataloader = dict(batch_size=1)
    test_evaluator = dict(type='CaseSegMetric')
    default_hooks = dict(checkpoint=dict(save_best='dice'))
"""
HEAD = """
    import json, sys, time
    from pathlib import Path
    config, words = Path(sys.argv[1]), sys.argv[2:]
    work = Path(words[words.index('--work-dir') + 1])
    given = dict(word.split('=', 1) for word in words if '=' in word and not word.startswith(('-', '/')))
    width, seed = int(given.get('model.width', 4)), int(given['randomness.seed'])
    def note(text):
        with open(config.parent / 'calls.txt', 'a') as file:
            file.write(f'{text}\\n')
    def mishap(name):
        path = config.parent / name
        return path.exists() and width in json.loads(path.read_text())
    # a dice that rises over the epochs, best for the width 8
    final = 0.9 - 0.01 * abs(width - 8) + 0.001 * seed
"""
TRAIN = (
    HEAD
    + """
    note(f'train {width} {seed}' + ' resumed' * ('--resume' in words))
    work.mkdir(parents=True, exist_ok=True)
    if mishap('broken'):
        print('CUDA out of memory')
        sys.exit(3)
    (work / 'epoch_1.pth').touch()
    for epoch in (1, 2, 3):
        dice = final - 0.1 * (epoch == 1) - 0.02 * (epoch == 3)
        metrics = {'dice': dice, 'dice.Anterior': dice + 0.01, 'nsd@2mm': 0.98, 'nsd@2mm.Anterior': 0.99, 'hd95': None}
        with open(work / 'validation.jsonl', 'a') as file:
            file.write(json.dumps({'step': epoch, 'metrics': metrics}) + '\\n')
        if epoch == 1 and mishap('endless'):
            note('waiting')
            time.sleep(600)
    (work / 'best_dice_epoch_2.pth').touch()
"""
)
TEST = (
    HEAD
    + """
    note(f'test {width} {seed} {Path(words[0]).name}')
    work.mkdir(parents=True, exist_ok=True)
    content = json.loads((Path(sys.argv[0]).parent / 'record.json').read_text())
    content['metrics'] = {'dice': final - 0.05, 'dice.Anterior': final}
    (work / 'test_record.json').write_text(json.dumps(content))
"""
)
WIDTHS = "parameters = {'model.width': [2, 8, 16]}\n"


def write(folder: Path, space: str = WIDTHS) -> Path:
    """Write stand-ins of the tools, a config and a space; return the config."""
    for name, text in (('train', TRAIN), ('test', TEST)):
        path = folder / 'tools' / f'{name}.py'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    (folder / 'tools' / 'record.json').write_text(json.dumps(record({})))
    (folder / 'space.py').write_text(dedent(space))
    config = folder / 'net.py'
    config.write_text(dedent(CONFIG))
    return config


def config() -> Config:
    """What :func:`write` writes, loaded."""
    return Config.fromstring(dedent(CONFIG), '.py')


def sweep(folder: Path, **options: Any) -> Sweep:
    """A sweep of what :func:`write` has written, a grid unless told otherwise."""
    space = read_space(folder / options.pop('space', 'space.py'))
    return Sweep(folder / 'net.py', space, folder / 'w', **{'sampler': 'grid', **options})


def store(of: Sweep, url: str | None = None) -> StudyStore:
    """Its study."""
    direction = 'maximize' if of.higher else 'minimize'
    return open_study(open_storage(url, of.work_dir), 'net', direction, of.identity(), str(of.work_dir))


def slots(of: Sweep, url: str | None = None) -> Slots:
    """Its trials."""
    return make_slots(of, store(of, url))


def executor(folder: Path, **options: Any) -> tuple[Executor, list[str]]:
    """One that looks at its children often."""
    said: list[str] = []
    commands = Commands(folder / 'tools', train_options=TRAIN_OPTIONS)
    return Executor(commands, children=Children(5, 0.05), say=said.append, **options), said


def in_process(monkeypatch: Any) -> None:
    """Call the stand-ins here, to spare the start of processes."""
    lock = threading.Lock()

    def call(self, command, log, environment, keep_open=(), watch=None) -> int:
        with lock, log.open('a') as file, contextlib.redirect_stdout(file):
            monkeypatch.setattr(sys, 'argv', list(command[1:]))
            try:
                runpy.run_path(command[1], run_name='__main__')
            except SystemExit as end:
                return end.code
        return 0

    monkeypatch.setattr(Children, 'call', call)


def calls(folder: Path) -> list[str]:
    """What the stand-ins were called for, in order."""
    path = folder / 'calls.txt'
    return path.read_text().splitlines() if path.exists() else []
