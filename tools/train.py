"""Train the network of a config."""

import argparse

from mmseg_medical import apis, cli


def main(arguments: argparse.Namespace) -> None:
    apis.train(
        arguments.config,
        work_dir=arguments.work_dir,
        resume=arguments.resume,
        amp=arguments.amp,
        launcher=arguments.launcher,
        cfg_options=arguments.cfg_options,
    )


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file, e.g. configs/hacdr/idrid.py')
    parser.add_argument('--work-dir', help='folder for checkpoints and logs (default: work_dirs/<config name>)')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='auto|PATH',
        help='continue from the newest checkpoint of the work dir, or from the checkpoint named',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision (type: optim_wrapper.dtype)')
    cli.add_common_arguments(parser, launcher=True)
    cli.run(parser, main)
