"""Train and test a group of configs alike, and compare them in one table.

    python tools/run_ablation.py configs/hacdr/idrid_naloss.py configs/hacdr/ablations/loss --metric mAUPR --gpus 0 1

Every config is trained and tested in <work dir>/<name>/seed<seed>; a later call goes on where this one ended, and does
nothing twice. Writes ablation.txt, ablation.md and ablation.json.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from mmseg_medical import cli


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.engine.ablation.commands import Commands, Slurm
    from mmseg_medical.engine.ablation.comparison import compare_runs
    from mmseg_medical.engine.ablation.execution import Executor
    from mmseg_medical.engine.ablation.group import group_name, read_group
    from mmseg_medical.engine.ablation.plan import choose_baseline, make_plan
    from mmseg_medical.engine.ablation.state import read_state
    from mmseg_medical.engine.ablation.table import ablation_text, write_ablation

    group = read_group(arguments.group)
    baseline = choose_baseline(group, arguments.baseline)
    work_dir = Path(arguments.work_dir or Path('work_dirs', 'ablations', group_name(arguments.group)))
    runs = make_plan(group, work_dir, arguments.seeds, arguments.cfg_options)
    srun_args = tuple(word for words in arguments.srun_args for word in shlex.split(words))
    executor = Executor(
        Commands(Path(__file__).parent),
        arguments.jobs,
        tuple(arguments.gpus),
        Slurm(arguments.partition, srun_args) if arguments.launcher == 'slurm' else None,
        arguments.again,
        say=lambda line: print(line, flush=True),
    )
    if arguments.dry_run:
        for command in executor.pending(runs):
            print(shlex.join(command))
        return
    failed = executor.execute(runs)
    for title, error in failed.items():
        print(f'{title}: {error}', file=sys.stderr)
    if not arguments.runs_only:
        states = [read_state(run) for run in runs]
        ablation = compare_runs(runs, states, baseline, arguments.metric, arguments.classes)
        files = write_ablation(ablation, work_dir, {'group': arguments.group, 'command': shlex.join(sys.argv)})
        print(ablation_text(ablation))
        print(f'Written to {work_dir}: {", ".join(file.name for file in files)}')
    if failed:
        print(f'{len(failed)} of {len(runs)} runs failed; the same call tries them again', file=sys.stderr)
        sys.exit(1)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'group',
        nargs='+',
        metavar='GROUP',
        help='config, NAME=CONFIG, folder of configs, start of their names (ablations/loss: ablations/loss_*.py), '
        'or a .txt file with one of these a line',
    )
    parser.add_argument('--baseline', metavar='NAME', help='config that the others are tested against (the first)')
    parser.add_argument('--metric', default='dice', help='what is compared: by case, or a logged number (dice)')
    parser.add_argument('--classes', nargs='+', metavar='NAME', help='that count in the mean of a case (all)')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0], metavar='N', help='of each config (0)')
    parser.add_argument('--work-dir', metavar='DIR', help='default: work_dirs/ablations/<name of the first word>')
    parser.add_argument('--jobs', type=int, metavar='N', help='runs at once (1; one a GPU; all of them with SLURM)')
    parser.add_argument('--gpus', nargs='+', default=[], metavar='ID', help='of this machine, one run on each')
    parser.add_argument('--launcher', choices=['local', 'slurm'], default='local', help='where runs are done (local)')
    parser.add_argument('--partition', help='of SLURM')
    parser.add_argument(
        '--srun-args', action='append', default=[], metavar='WORDS', help='for srun: --srun-args="--time=24:00:00"'
    )
    parser.add_argument('--again', action='store_true', help='begin runs afresh whose config has changed')
    parser.add_argument('--runs-only', action='store_true', help='write no table')
    parser.add_argument('--dry-run', action='store_true', help='print the commands of what is left to do')
    cli.add_common_arguments(parser)
    cli.run(parser, main)
