"""Write pictures of samples as the network gets them: the augmented image, and its labels drawn over it."""

import argparse

from mmseg_medical import apis, cli


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.visualization.browse import browse

    cfg = apis.load_config(arguments.config, arguments.cfg_options)
    dataset = apis.build_dataset(cfg, arguments.split)
    paths = browse(dataset, arguments.output_dir, arguments.number)
    print(f'{len(paths)} pictures of {len(dataset)} images in {arguments.output_dir}')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--output-dir', required=True, metavar='DIR', help='folder for the pictures')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train', help='which data loader')
    parser.add_argument('--number', type=int, default=20, help='pictures at most (default: 20)')
    cli.add_common_arguments(parser)
    cli.run(parser, main)
