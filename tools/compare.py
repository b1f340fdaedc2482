"""Compare several folders of predicted label maps against one folder of true ones, with paired tests.

    python tools/compare.py ours=predictions theirs=other_predictions --target labels --num-classes 3 --out comparison
    python tools/compare.py ours=work_dirs/a/test/metrics.json theirs=work_dirs/b/test/metrics.json --out comparison

Files are NIfTI, NRRD, MHD, MHA, PNG, TIFF or npy and are paired by their names. What tools/test.py and
tools/evaluate.py measured of volumes is compared by their metrics.json, without --target and --num-classes. Writes
comparison.json, comparison.csv, cases.csv, figures and report.html.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from mmseg_medical import cli
from mmseg_medical.evaluation.arguments import add_evaluation_arguments


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.evaluation.compare import common_cases, compare_tables, named_folders
    from mmseg_medical.evaluation.compare_files import comparison_text, write_comparison
    from mmseg_medical.visualization.comparison_report import write_comparison_report

    folders = named_folders(arguments.methods)
    out = Path(arguments.out or 'comparison')
    tables, failed = measured(folders) if any(map(os.path.isfile, folders.values())) else measure(folders, arguments)
    comparison = compare_tables(common_cases(tables), arguments.seed)
    facts = {
        'methods': ', '.join(arguments.methods),
        'target': arguments.target or 'as measured',
        'command': shlex.join(sys.argv),
    }
    files = write_comparison(comparison, out, failed, {'folders': folders, 'target': arguments.target})
    files += write_comparison_report(comparison, out, failed, facts)
    print(comparison_text(comparison))
    print(f'Written to {out}: {", ".join(str(file.relative_to(out)) for file in files)}')
    lost = {case_id for failures in failed.values() for case_id in failures}
    if lost:
        for name, failures in failed.items():
            for case_id, error in failures.items():
                print(f'{name}, {case_id}: {error}', file=sys.stderr)
        cases = '1 case' if len(lost) == 1 else f'{len(lost)} cases'
        print(f'{cases} could not be evaluated for every method and left out of all', file=sys.stderr)
        sys.exit(1)


def measured(files: dict[str, str]) -> tuple[dict, dict]:
    from mmseg_medical.evaluation.table import CaseTable

    for name, file in files.items():
        if not Path(file).is_file():
            raise ValueError(f'{name}={file} is no file: give a metrics.json of every method, or folders alone')
    return {name: CaseTable.load(file) for name, file in files.items()}, {name: {} for name in files}


def measure(folders: dict[str, str], arguments: argparse.Namespace) -> tuple[dict, dict]:
    from mmseg_medical.evaluation.arguments import options_from
    from mmseg_medical.evaluation.folder_evaluation import evaluate_folders

    if arguments.target is None or arguments.num_classes is None:
        raise ValueError('folders are evaluated with --target DIR and --num-classes K')
    options = options_from(arguments)
    tables, failed = {}, {}
    for name, folder in folders.items():
        print(f'{name}: {folder}', file=sys.stderr)
        tables[name], failures = evaluate_folders(folder, arguments.target, options)
        failed[name] = {failure.case_id: failure.error for failure in failures}
    return tables, failed


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'methods',
        nargs='+',
        metavar='NAME=PLACE',
        help='a method and the folder of its predictions, or its metrics.json',
    )
    add_evaluation_arguments(parser, required=False)
    parser.add_argument('--seed', type=int, default=0, help='of bootstrap and permutations (0)')
    cli.run(parser, main)
