"""Measure a folder of predicted label maps, whoever made them, against a folder of true ones.

    python tools/evaluate.py --pred predictions --target labels --num-classes 3 --out evaluation

Files are NIfTI, NRRD, MHD, MHA, PNG, TIFF or npy and are paired by their names. Writes metrics.json, cases.csv,
figures and report.html.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmseg_medical import cli
from mmseg_medical.evaluation.arguments import add_evaluation_arguments


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.visualization.evaluation_report import write_evaluation_report

    from mmseg_medical.evaluation.arguments import options_from
    from mmseg_medical.evaluation.folder_evaluation import evaluate_folders, write_table
    from mmseg_medical.evaluation.table_text import table_text

    options = options_from(arguments)
    out = Path(arguments.out or Path(arguments.pred).absolute().with_name(f'{Path(arguments.pred).name}_evaluation'))
    table, failures = evaluate_folders(arguments.pred, arguments.target, options)
    facts = {'pred': str(arguments.pred), 'target': str(arguments.target)}
    files = write_table(table, out, failures, facts)
    files += write_evaluation_report(table, out, failures, facts)
    print(table_text(table))
    print('Written: ' + ', '.join(str(file) for file in files))
    if failures:
        for failure in failures:
            print(f'{failure.case_id}: {failure.error}', file=sys.stderr)
        print(f'{len(failures)} of {len(failures) + len(table.case_ids)} cases failed', file=sys.stderr)
        sys.exit(1)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pred', required=True, metavar='DIR', help='folder of the predicted label maps')
    add_evaluation_arguments(parser)
    cli.run(parser, main)
