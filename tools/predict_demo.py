"""Segment phantom hippocampi, and a DICOM series where there is one, and draw the results; a minute on two cores."""

import argparse
import json
from pathlib import Path

from mmseg_medical import cli

ROOT = Path(__file__).resolve().parents[1]
PHANTOMS = 2


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.datasets.phantoms import write_decathlon
    from mmseg_medical.inference import BatchOptions, Predictor, find_cases, predict_cases

    predictor = Predictor(arguments.model, tta=True)
    work_dir = Path(arguments.work_dir)
    images = write_decathlon(work_dir / 'phantoms', num_cases=PHANTOMS, num_test=0, turned=True)
    inputs = [images / 'Task04_Hippocampus' / 'imagesTr']
    dicom = Path(arguments.dicom)
    if dicom.is_dir():
        inputs.append(dicom)
    else:
        print(f'no DICOM series at {dicom} (--dicom FOLDER): phantoms only')
    report = predict_cases(predictor, find_cases(inputs), BatchOptions(work_dir, overlay=True, overwrite=True))
    print_volumes(report)
    print('Phantoms show the way of a file; a network that learnt from brains finds no hippocampus in them.')
    print(f"""
Open  {work_dir / 'overlays'}
      each image with its labels, across each axis the slice with most of them
Also  {work_dir}
      label maps in NIfTI on the grid of their image, for any viewer; predictions.json""")
    failed = {name: case['error'] for name, case in report['cases'].items() if case['status'] == 'failed'}
    if failed:
        raise ValueError(f'not all cases could be segmented: {json.dumps(failed)}')


def print_volumes(report: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    done = {name: case for name, case in report['cases'].items() if case['status'] == 'done'}
    table = Table()
    table.add_column('case')
    table.add_column('seconds', justify='right')
    for name in report['model']['labels'][1:]:
        table.add_column(f'{name}, mm³', justify='right')
    for case_id, case in done.items():
        volumes = ('unknown' if volume is None else f'{volume:.0f}' for volume in case['volumes_mm3'].values())
        table.add_row(case_id, f'{case["seconds"]:.1f}', *volumes)
    Console().print(table)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--work-dir', default='work_dirs/predict_demo', help='folder for all that is made (default: %(default)s)'
    )
    parser.add_argument('--model', default=str(ROOT / 'data' / 'models' / 'hippocampus'), help='model directory')
    parser.add_argument('--dicom', default='data/hippocampus_dicom', help='folder with a series (default: %(default)s)')
    cli.run(parser, main)
