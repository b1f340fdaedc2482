"""Tell whether what is uncertain is wrong: risk-coverage curves of a folder of predictions.

    python tools/predict.py images --config CONFIG --checkpoint A.pth B.pth --out out --uncertainty
    python tools/analysis_tools/risk_coverage.py out labels --out out/risk

Reads <case>.nii.gz and uncertainty/<case>_<map>.nii.gz; writes risk_coverage.json and risk_coverage.png. Exit code 1:
some cases failed, the others are done.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from mmseg_medical import cli


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.evaluation.uncertainty_folders import case_curve, folder_risks, risk_report
    from mmseg_medical.files import atomic_write
    from mmseg_medical.visualization.risk_coverage_figure import risk_coverage_figure

    cases, failures = folder_risks(arguments.predictions, arguments.labels, arguments.map, arguments.jobs)
    for failure in failures:
        print(f'{failure.case_id}: {failure.error}', file=sys.stderr)
    if not cases:
        sys.exit(1)
    report = risk_report(cases, failures, arguments.map)
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    picture = risk_coverage_figure({case.case_id: case.voxels for case in cases}, case_curve(cases), arguments.map)
    with atomic_write(out / 'risk_coverage.png', 'wb') as file:
        file.write(picture)
    with atomic_write(out / 'risk_coverage.json') as file:
        json.dump(report, file, indent=1)
    voxels, over = report['voxels'], report['cases_curve']
    print(f'voxels: AURC {voxels["aurc"]:.4g}, best {voxels["optimal"]:.4g}, wrong {voxels["error_rate"]:.4g}')
    if over is not None:
        print(f'cases: AURC {over["aurc"]:.4g}, best {over["optimal"]:.4g}, 1 - Dice {over["mean_risk"]:.4g}')
    print(f'{len(cases)} cases, {len(failures)} failed; written to {out}')
    sys.exit(1 if failures else 0)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('predictions', help='folder that tools/predict.py --uncertainty wrote')
    parser.add_argument('labels', help='folder of the true labels, the same names')
    parser.add_argument('--map', default='entropy', help='foreground, variance, entropy (default), mutual_information')
    parser.add_argument('--jobs', type=int, default=1, help='processes')
    parser.add_argument('--out', required=True, help='folder of the results')
    cli.run(parser, main)
