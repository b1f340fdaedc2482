"""Try many settings of one config and find the best.

    python tools/sweep.py configs/hippocampus/unet2d_none.py --space configs/hippocampus/spaces/grid2d.py --sampler grid

Every trial is trained and tested in <work dir>/trials; a later call goes on where this one ended, and calls side by
side, also on several machines, share the trials. Writes results.json, sweep.txt, sweep.md and pictures.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

from mmseg_medical import cli


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.engine.ablation.commands import Commands
    from mmseg_medical.engine.ablation.execution import Executor
    from mmseg_medical.engine.sweep import cluster, cluster_search, plan, report, results, search, space, storage, table

    storage.import_optuna()
    name = arguments.study or f'{Path(arguments.config).stem}_{Path(arguments.space).stem}'
    sweep = plan.Sweep(
        Path(arguments.config),
        space.read_space(arguments.space),
        Path(arguments.work_dir or Path('work_dirs', 'sweeps', name)),
        dict(arguments.cfg_options or {}),
        tuple(arguments.seeds),
        arguments.metric,
        arguments.objective,
        arguments.direction,
        arguments.sampler,
        arguments.pruner,
        arguments.trials,
        arguments.sampler_seed,
    )
    commands = Commands(Path(__file__).parent, train_options=plan.TRAIN_OPTIONS)
    executor = Executor(commands, arguments.jobs, tuple(arguments.gpus), say=lambda line: print(line, flush=True))
    nodes = cluster.read_cluster(
        arguments.launcher, arguments.ray_address, arguments.trial_cpus, arguments.trial_gpus, arguments.gpus
    )
    sweep.check()
    if arguments.dry_run:
        for labels in sweep.grid if sweep.grid is not None else ():
            print(sweep.space.title(labels))
        print(f'{sweep.total} trials, {len(sweep.seeds)} training(s) each')
        return
    with nodes.connected(executor.say) if nodes else nullcontext() as ray:
        study = storage.open_study(
            storage.open_storage(arguments.storage, sweep.work_dir),
            name,
            'maximize' if sweep.higher else 'minimize',
            sweep.identity(),
            str(sweep.work_dir),
        )
        slots = search.make_slots(sweep, study)
        try:
            if nodes:
                cluster_search.search_cluster(
                    ray, nodes, sweep, slots, executor, arguments.storage, arguments.retry_failed
                )
            else:
                search.search(sweep, slots, executor, arguments.retry_failed)
        finally:
            found = results.read_results(sweep, study)
            files = report.write_report(sweep, study, found)
    print(table.sweep_text(sweep, found))
    print(f'Written to {sweep.work_dir}: {", ".join(files)}')
    if any(result.status == 'failed' for result in found):
        print('Some trials failed; --retry-failed begins them again', file=sys.stderr)
        sys.exit(1)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file that is varied')
    parser.add_argument('--space', required=True, metavar='FILE', help='.py or .yaml file that says what is varied')
    parser.add_argument('--sampler', default='tpe', metavar='grid|random|tpe', help='how values are chosen (tpe)')
    parser.add_argument('--pruner', default='none', metavar='none|median|hyperband', help='gives up trials (none)')
    parser.add_argument('--trials', type=int, metavar='N', help='of the whole sweep (the grid; 20)')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0], metavar='N', help='of each trial (0)')
    parser.add_argument('--metric', default='dice', help='what is judged by, as it is logged (dice)')
    parser.add_argument(
        '--objective', choices=['val', 'test'], default='val', help='best validation, or the test (val)'
    )
    parser.add_argument('--direction', choices=['maximize', 'minimize'], help='default: as the metric says')
    parser.add_argument('--work-dir', metavar='DIR', help='default: work_dirs/sweeps/<config>_<space>')
    parser.add_argument(
        '--storage',
        metavar='URL',
        help='sqlite:///FILE, mysql://, postgresql://, redis:// or a file '
        'for a journal (sweep.journal in the work dir)',
    )
    parser.add_argument('--study', metavar='NAME', help='in the storage (<config>_<space>)')
    parser.add_argument('--sampler-seed', type=int, default=0, metavar='N', help='of what the sampler draws (0)')
    parser.add_argument('--jobs', type=int, metavar='N', help='trials at once (1; one a GPU; with Ray all with room)')
    parser.add_argument('--gpus', nargs='+', default=[], metavar='ID', help='of this machine, one trial on each')
    parser.add_argument('--launcher', choices=['local', 'ray'], default='local', help='where trials are run (local)')
    parser.add_argument('--ray-address', metavar='HOST:PORT|local', help='default: the cluster of this machine')
    parser.add_argument('--trial-cpus', type=int, metavar='N', help='of each trial with Ray (4)')
    parser.add_argument('--trial-gpus', type=float, metavar='N', help='of each trial with Ray, 0 to 1 (1)')
    parser.add_argument('--retry-failed', action='store_true', help='begin failed trials again')
    parser.add_argument('--dry-run', action='store_true', help='check the space, print what is to be tried')
    cli.add_common_arguments(parser)
    cli.run(parser, main)
