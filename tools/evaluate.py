"""Measure a folder of predicted label maps, whoever made them, against a folder of true ones.

    python tools/evaluate.py --pred predictions --target labels --num-classes 3 --out evaluation

Files are NIfTI, NRRD, MHD, MHA, PNG, TIFF or npy and are paired by their names. Writes metrics.json, cases.csv,
figures and report.html.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from mmseg_medical import cli
from mmseg_medical.evaluation.arguments import add_evaluation_arguments


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.evaluation.arguments import options_from
    from mmseg_medical.evaluation.folder_evaluation import evaluate_folders
    from mmseg_medical.evaluation.table_files import write_table
    from mmseg_medical.evaluation.table_text import table_text
    from mmseg_medical.visualization.evaluation_report import write_evaluation_report

    options = options_from(arguments)
    pred = Path(arguments.pred).absolute()
    out = Path(arguments.out or pred.with_name(f'{pred.name}_evaluation'))
    table, failures = evaluate_folders(arguments.pred, arguments.target, options)
    failed = {failure.case_id: failure.error for failure in failures}
    facts = {'pred': str(arguments.pred), 'target': str(arguments.target), 'command': shlex.join(sys.argv)}
    files = write_table(table, out, failed, facts)
    files += write_evaluation_report(table, out, failed, facts)
    print(table_text(table))
    print(f'Written to {out}: {", ".join(str(file.relative_to(out)) for file in files)}')
    if failed:
        for case_id, error in failed.items():
            print(f'{case_id}: {error}', file=sys.stderr)
        print(f'{len(failed)} of {len(failed) + len(table.case_ids)} cases could not be evaluated', file=sys.stderr)
        sys.exit(1)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pred', required=True, metavar='DIR', help='folder of the predicted label maps')
    add_evaluation_arguments(parser)
    cli.run(parser, main)
