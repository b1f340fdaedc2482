"""Draw the nodules of a chest scan: the slice with most of the mask, all nodules, projections.

python tools/analysis_tools/draw_nodules.py scan.mhd prediction.mhd figures --truth masks/scan.mhd
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmseg_medical import cli


def main(arguments: argparse.Namespace) -> None:
    import numpy as np

    from mmseg_medical.datasets.lung_nodules import read_annotations
    from mmseg_medical.geometry import file_stem, read_labels, read_volume
    from mmseg_medical.visualization import nodule_figures as figures

    image, mask = read_volume(arguments.image), read_labels(arguments.mask)
    truth = read_labels(arguments.truth) if arguments.truth else None
    lungs = read_labels(arguments.lungs) if arguments.lungs else None
    series = arguments.series or file_stem(arguments.image) or Path(arguments.image).name
    drawn = {
        'slice': figures.slice_figure(image, mask, truth, arguments.slice, series),
        'projections': figures.projection_figure(image, mask, truth, lungs, series),
    }
    if arguments.annotations:
        nodules = read_annotations(arguments.annotations).get(series, np.zeros((0, 4)))
        drawn['nodules'] = figures.montage_figure(image, mask, nodules, truth, series)
    for name, figure in drawn.items():
        path = Path(arguments.out) / f'{series}_{name}.png'
        figures.write_figure(figure, path)
        print(f'written: {path}')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('image', help='scan')
    parser.add_argument('mask', help='label map, not 0 in nodules')
    parser.add_argument('out', help='folder of the figures')
    parser.add_argument('--truth', help='label map whose outline is drawn')
    parser.add_argument('--lungs', help='map of the lungs, outside of which projections show nothing')
    parser.add_argument('--annotations', help='annotations.csv: also draw every nodule of the series')
    parser.add_argument('--series', help='its name there (default: that of the file)')
    parser.add_argument('--slice', type=int, help='default: the one with the largest area of the mask')
    cli.run(parser, main)
