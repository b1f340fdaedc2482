"""Average the results of the folds of a cross-validation.

python tools/analysis_tools/summarize_folds.py work_dirs/luna16_fold*/results/metrics.json
"""

from __future__ import annotations

import argparse
import json

from rich.console import Console
from rich.table import Table

from mmseg_medical import cli
from mmseg_medical.files import atomic_write


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.evaluation.fold_summary import summarize_folds
    from mmseg_medical.evaluation.json_files import json_ready

    found = summarize_folds(arguments.metrics)
    table = Table(
        'number', 'mean', 'std', 'folds', title=f'{len(arguments.metrics)} folds, masks: {found["mask_source"]}'
    )
    for name, of in found['numbers'].items():
        table.add_row(name, f'{of["mean"]:.4g}', f'{of["std"]:.4g}', str(of['n']))
    Console(soft_wrap=True).print(table)
    if arguments.out:
        with atomic_write(arguments.out) as file:
            file.write(json.dumps(json_ready(found), indent=2) + '\n')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('metrics', nargs='+', help='metrics.json of each fold')
    parser.add_argument('--out', metavar='FILE', help='JSON file to write')
    cli.run(parser, main)
