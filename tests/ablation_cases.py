"""Groups of configs that take no time: stand-ins of the tools that leave the files of real ones."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from textwrap import dedent

import numpy as np

from mmseg_medical.engine.ablation.group import Experiment
from mmseg_medical.engine.ablation.plan import Run, make_plan
from mmseg_medical.evaluation.json_files import json_ready
from mmseg_medical.evaluation.table import CaseTable

CONFIG = """
    model = dict(type='{name}')
    train_dataloader = dict(batch_size=1)
    test_dataloader = dict(batch_size=1)
    test_evaluator = dict(type='CaseSegMetric')
    default_hooks = dict(checkpoint=dict(save_best='dice'))
"""
# what a call was, for the tests; then files beside the config say what goes wrong
HEAD = """
    import json, os, shutil, sys, time
    from pathlib import Path
    config, words = Path(sys.argv[1]), sys.argv[2:]
    work = Path(words[words.index('--work-dir') + 1])
    seed = next(word for word in words if word.startswith('randomness.seed=')).partition('=')[2]
    def note(text):
        with open(config.parent / 'calls.txt', 'a') as file:
            file.write(f'{text}\\n')
    def mishap(name):
        if (config.parent / f'{config.stem}.{name}').exists():
            print(f'the {name} of {config.stem}', flush=True)
            return True
        return False
"""
TRAIN = (
    HEAD
    + """
    note(f'train {config.stem} {seed}' + ' resumed' * ('--resume' in words))
    work.mkdir(parents=True, exist_ok=True)
    if mishap('broken'):
        sys.exit(3)
    (work / 'iter_1.pth').touch()
    if mishap('endless'):
        note('waiting')
        time.sleep(600)
    (config.parent / 'environment.json').write_text(json.dumps(dict(os.environ)))
    if not mishap('forgetful'):
        (work / 'iter_2.pth').touch()
        (work / 'best_dice_iter_1.pth').touch()
    else:
        (work / 'iter_1.pth').unlink()
"""
)
TEST = (
    HEAD
    + """
    note(f'test {config.stem} {seed} {Path(words[0]).name}')
    work.mkdir(parents=True, exist_ok=True)
    if mishap('untestable'):
        sys.exit(4)
    for name in ('metrics', 'test_record'):
        source = config.parent / f'{config.stem}.{name}.{seed}.json'
        if source.exists():
            shutil.copy(source, work / f'{name}.json')
"""
)
SRUN = """\
    #!/bin/sh
    printf '%s\\n' "$*" >> {folder}/srun.txt
    while [ "${{1#-}}" != "$1" ]; do shift; done
    exec "$@"
"""


def write_tools(folder: Path) -> Path:
    """Write train.py and test.py, which do nothing but leave files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (('train', TRAIN), ('test', TEST)):
        (folder / f'{name}.py').write_text(dedent(text))
    return folder


def write_srun(folder: Path) -> str:
    """Write an srun that notes its arguments and runs the command at once; return a PATH that has it."""
    path = folder / 'bin' / 'srun'
    path.parent.mkdir(parents=True)
    path.write_text(dedent(SRUN).format(folder=folder))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f'{path.parent}{os.pathsep}{os.environ["PATH"]}'


def write_config(folder: Path, name: str, dice: float | np.ndarray = 0.5, seeds: tuple[int, ...] = (0, 1)) -> Path:
    """Write a config and what its tests will find: Dice of shape (cases, classes) or one of all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'{name}.py'
    path.write_text(dedent(CONFIG).format(name=name))
    for seed in seeds:
        write_measured(path, seed, dice)
    return path


def write_measured(config: Path, seed: int, dice: float | np.ndarray, cases: tuple[str, ...] | None = None) -> None:
    """Write what the test of a config with a seed will find."""
    values = np.full((3, 2), dice) if np.ndim(dice) == 0 else np.asarray(dice, np.float64)
    names = cases or tuple(f'case_{n}' for n in range(len(values)))
    classes = ('LV', 'RV')[: values.shape[1]]
    states = np.where(np.isnan(values), 3, 0).astype(np.int8)
    table = CaseTable(names, classes, ('dice',), values[..., None], states, {'unit': 'millimetres'})
    numbers = json_ready({'dice': float(np.nanmean(values)), 'mAUPR': 10.0 + seed, 'volume_mm3': 1.0})
    for name, content in (('metrics', table.to_dict()), ('test_record', record(numbers))):
        (config.parent / f'{config.stem}.{name}.{seed}.json').write_text(json.dumps(content))


def record(metrics: dict[str, float], **cost: object) -> dict:
    """What RecordHook writes."""
    known = dict(parameters=1234567, macs=2_500_000_000, sampling_macs=0, input_shape=[1, 8, 8], seconds_per_image=0.25)
    known |= dict(timed_images=2, peak_memory_bytes=3 * 2**20, memory='process resident', device='cpu')
    return {'format': 'mmseg_medical.test_record/1', 'metrics': metrics, 'cost': {**known, **cost}}


def plan(work_dir: Path, *configs: Path, **options: object) -> list[Run]:
    """Runs of configs under their own names."""
    return make_plan([Experiment(path.stem, path) for path in configs], work_dir, **options)


def calls(folder: Path) -> list[str]:
    """What the stand-ins were called for, in order."""
    path = folder / 'calls.txt'
    return path.read_text().splitlines() if path.exists() else []
