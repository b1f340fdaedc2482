"""Segment images with a trained model, on their own grid.

    python tools/predict.py images --model data/models/hippocampus --out predictions --overlay

INPUT is a file, a folder of files, or a folder with a DICOM series. Writes <case>.nii.gz (or the suffix of the input)
and predictions.json. Exit code 0: all cases are done; 1: some failed, the others are done; 2: nothing could be begun.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from mmseg_medical import cli


def main(arguments: argparse.Namespace) -> None:
    with contextlib.redirect_stdout(sys.stderr):  # of --json nothing else may be on stdout
        report = predict(arguments)
    counts = report['counts']
    if arguments.json:
        print(json.dumps(report, indent=1))
    else:
        done = ', '.join(f'{number} {status}' for status, number in counts.items() if number)
        print(f'{done}; written to {arguments.out}')
    if counts['failed']:
        print(f'{counts["failed"]} of {sum(counts.values())} cases failed', file=sys.stderr)
        sys.exit(1)


def predict(arguments: argparse.Namespace) -> dict[str, Any]:
    from mmseg_medical.inference import BatchOptions, Predictor, RegionFolder, find_cases, predict_cases

    regions = None
    if arguments.regions is not None:
        values = tuple(arguments.region_values or ())
        regions = RegionFolder(Path(arguments.regions), values, arguments.region_margin_mm)
    options = BatchOptions(
        Path(arguments.out),
        arguments.format,
        probabilities=arguments.save_probabilities,
        overlay=arguments.overlay,
        overwrite=arguments.overwrite,
        uncertainty=arguments.uncertainty,
        regions=regions,
    )
    cases = find_cases(arguments.input, arguments.modalities or (), arguments.series_uid)
    components: dict[str, Any] = {}
    if arguments.min_volume_mm3 is not None:
        components['min_volume_mm3'] = arguments.min_volume_mm3
    if arguments.min_diameter_mm is not None:
        components['min_diameter_mm'] = arguments.min_diameter_mm
    if arguments.keep_largest is not None:
        components['keep_largest'] = arguments.keep_largest or True
    predictor = Predictor(
        model_of(arguments),
        arguments.checkpoint,
        device=arguments.device,
        tta=arguments.tta,
        precision=arguments.precision,
        component_filter=components or None,
        trusted=arguments.trust,
        scale=arguments.scale[0] if len(arguments.scale) == 1 else arguments.scale,
        planes=arguments.planes or (),
        mc_dropout=arguments.mc_dropout,
        seed=arguments.seed,
    )
    return predict_cases(predictor, cases, options)


def model_of(arguments: argparse.Namespace) -> Any:
    from mmseg_medical.apis import load_config
    from mmseg_medical.errors import ConfigError

    if (arguments.model is None) == (arguments.config is None):
        raise ConfigError('name either a model directory, --model DIR, or --config FILE with --checkpoint FILE')
    if arguments.model is not None:
        if arguments.cfg_options or arguments.checkpoint:
            raise ConfigError('--checkpoint and --cfg-options belong to --config; a model directory is complete')
        return Path(arguments.model)
    if not arguments.checkpoint:
        raise ConfigError('--config needs --checkpoint FILE, of an ensemble several')
    return load_config(arguments.config, arguments.cfg_options)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('input', nargs='+', metavar='INPUT', help='file, folder of files, or DICOM folder')
    parser.add_argument('--model', metavar='DIR', help='model directory, see tools/export_model_dir.py')
    parser.add_argument('--config', help='config file, instead of --model')
    parser.add_argument('--checkpoint', nargs='+', metavar='FILE', help='its weights; several are averaged')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the results')
    parser.add_argument('--format', metavar='SUFFIX', help="of the label maps, e.g. .nii.gz (default: the input's)")
    parser.add_argument('--save-probabilities', action='store_true', help='write them to OUT/probabilities')
    parser.add_argument('--overlay', action='store_true', help='draw image and labels into OUT/overlays')
    parser.add_argument('--tta', action='store_true', help='average mirrored views (tta_cfg, tta_pipeline)')
    parser.add_argument('--precision', choices=['float32', 'bfloat16', 'float16'], help="default: the config's")
    parser.add_argument(
        '--scale', type=int, nargs='+', default=[1], metavar='N', help='divide voxels into N an axis (implicit heads)'
    )
    parser.add_argument('--planes', nargs='+', metavar='PLANE', help='axial coronal sagittal: averaged (slices)')
    parser.add_argument('--uncertainty', action='store_true', help='write maps of it to OUT/uncertainty')
    parser.add_argument('--mc-dropout', type=int, default=0, metavar='N', help='average N samples of dropout')
    parser.add_argument('--seed', type=int, default=0, help='of the samples of dropout')
    parser.add_argument('--min-volume-mm3', type=float, help='take smaller connected parts out')
    parser.add_argument('--min-diameter-mm', type=float, help='the same by the diameter of a ball of their volume')
    parser.add_argument('--keep-largest', nargs='*', metavar='LABEL', help='largest part alone, of all or these labels')
    parser.add_argument('--regions', metavar='DIR', help='label maps, named as the cases; labels outside are dropped')
    parser.add_argument('--region-values', nargs='+', type=int, metavar='N', help='labels of the region (default: all)')
    parser.add_argument('--region-margin-mm', type=float, default=0.0, metavar='MM', help='kept around the region')
    parser.add_argument('--modalities', nargs='+', metavar='END', help='ends of the names of files that are one case')
    parser.add_argument('--series-uid', metavar='UID', help='DICOM series of a folder with several')
    parser.add_argument('--device', default='cpu', help='e.g. cuda:0')
    parser.add_argument('--overwrite', action='store_true', help='do finished cases again')
    parser.add_argument('--trust', action='store_true', help='read checkpoints and models that may run code')
    parser.add_argument('--json', action='store_true', help='print the report, and nothing else, to stdout')
    cli.add_common_arguments(parser)
    cli.run(parser, main)
