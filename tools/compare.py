"""Compare several folders of predicted label maps against one folder of true ones, with paired tests.

    python tools/compare.py ours=predictions theirs=other_predictions --target labels --num-classes 3 --out comparison
    python tools/compare.py ours=work_dirs/a/test/metrics.json theirs=work_dirs/b/test/metrics.json --out comparison
    python tools/compare.py ours=work_dirs/a_{0,1,2}/test/metrics.json theirs=work_dirs/b_{0,1,2}/test/metrics.json

Files are NIfTI, NRRD, MHD, MHA, PNG, TIFF or npy and are paired by their names. What tools/test.py and
tools/evaluate.py measured of volumes is compared by their metrics.json, without --target and --num-classes. A name
given again is another run of the method: cases are compared by their mean over the runs, and the spread is told.
Writes comparison.json, comparison.csv, cases.csv, figures and report.html.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from mmseg_medical import cli
from mmseg_medical.evaluation.arguments import add_evaluation_arguments


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.evaluation.compare import common_cases, compare_tables, named_places
    from mmseg_medical.evaluation.compare_files import comparison_text, write_comparison
    from mmseg_medical.visualization.comparison_report import write_comparison_report

    places = named_places(arguments.methods)
    out = Path(arguments.out or 'comparison')
    files = any(Path(place).is_file() for runs in places.values() for place in runs)
    tables, failed = measured(places) if files else measure(places, arguments)
    comparison = compare_tables(common_cases(tables), arguments.seed)
    facts = {
        'methods': ', '.join(arguments.methods),
        'target': arguments.target or 'as measured',
        'command': shlex.join(sys.argv),
    }
    written = write_comparison(comparison, out, failed, {'places': places, 'target': arguments.target})
    written += write_comparison_report(comparison, out, failed, facts)
    print(comparison_text(comparison))
    print(f'Written to {out}: {", ".join(str(file.relative_to(out)) for file in written)}')
    lost = {case_id for failures in failed.values() for case_id in failures}
    if lost:
        for name, failures in failed.items():
            for case_id, error in failures.items():
                print(f'{name}, {case_id}: {error}', file=sys.stderr)
        cases = '1 case' if len(lost) == 1 else f'{len(lost)} cases'
        print(f'{cases} could not be evaluated for every method and left out of all', file=sys.stderr)
        sys.exit(1)


def measured(places: dict[str, list[str]]) -> tuple[dict, dict]:
    from mmseg_medical.evaluation.table import CaseTable

    for name, runs in places.items():
        for place in runs:
            if not Path(place).is_file():
                raise ValueError(f'{name}={place} is no file: give a metrics.json of every run, or folders alone')
    return {name: [CaseTable.load(place) for place in runs] for name, runs in places.items()}, {}


def measure(places: dict[str, list[str]], arguments: argparse.Namespace) -> tuple[dict, dict]:
    from mmseg_medical.evaluation.arguments import options_from
    from mmseg_medical.evaluation.compare import run_name
    from mmseg_medical.evaluation.folder_evaluation import evaluate_folders

    if arguments.target is None or arguments.num_classes is None:
        raise ValueError('folders are evaluated with --target DIR and --num-classes K')
    options = options_from(arguments)
    tables, failed = {}, {}
    for name, runs in places.items():
        tables[name] = []
        for number, place in enumerate(runs):
            print(f'{name}: {place}', file=sys.stderr)
            table, failures = evaluate_folders(place, arguments.target, options)
            tables[name].append(table)
            failed[run_name(name, number, len(runs))] = {failure.case_id: failure.error for failure in failures}
    return tables, failed


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'methods',
        nargs='+',
        metavar='NAME=PLACE',
        help='a method and the folder of its predictions, or its metrics.json; again for each further run',
    )
    add_evaluation_arguments(parser, required=False)
    parser.add_argument('--seed', type=int, default=0, help='of bootstrap and permutations (0)')
    cli.run(parser, main)
