"""Write pictures of samples as the network gets them: the augmented image, and its labels drawn over it."""

import argparse
from pathlib import Path

from mmseg_medical import apis, cli


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.visualization.browse import browse

    cfg = apis.load_config(arguments.config, arguments.cfg_options)
    dataset = apis.build_dataset(cfg, arguments.split)
    folder = arguments.output_dir or Path(cfg.get('work_dir') or apis.default_work_dir(cfg), 'browse')
    paths = browse(dataset, folder, arguments.number)
    print(f'{len(paths)} pictures of {len(dataset)} images in {folder}')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--output-dir', metavar='DIR', help='folder for the pictures (default: work_dirs/<config name>/browse)'
    )
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train', help='which data loader')
    parser.add_argument('--number', type=int, default=20, help='pictures at most (default: 20)')
    cli.add_common_arguments(parser)
    cli.run(parser, main)
