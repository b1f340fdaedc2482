"""Test a checkpoint on the test split of a config."""

import argparse

from mmseg_medical import apis, cli


def main(arguments: argparse.Namespace) -> None:
    apis.test(
        arguments.config,
        arguments.checkpoint,
        work_dir=arguments.work_dir,
        out=arguments.out,
        show_dir=arguments.show_dir,
        tta=arguments.tta,
        launcher=arguments.launcher,
        cfg_options=arguments.cfg_options,
    )


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file the checkpoint was trained with')
    parser.add_argument('checkpoint', help='checkpoint file, e.g. work_dirs/idrid/iter_40000.pth')
    parser.add_argument('--work-dir', help='folder for the log (default: work_dirs/<config name>/test)')
    parser.add_argument(
        '--out',
        metavar='DIR',
        help='folder for predictions (label PNG on the native grid; multi-label: a PNG per lesion), '
        'metrics.json, per_image.csv and report.html',
    )
    parser.add_argument('--show-dir', metavar='DIR', help='folder for overlays of prediction and truth')
    parser.add_argument('--tta', action='store_true', help='average over the views of tta_pipeline or tta_cfg')
    cli.add_common_arguments(parser, launcher=True)
    cli.run(parser, main)
