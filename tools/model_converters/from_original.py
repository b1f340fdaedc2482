"""Translate a checkpoint of an original repository into one that ours load strictly."""

import argparse
from pathlib import Path

from mmseg_medical import apis, cli
from mmseg_medical.engine.original_checkpoints import TRANSLATIONS, convert

FOLDER = Path(__file__).resolve().parents[2] / 'configs'
CONFIGS = {
    'hacdr': FOLDER / 'hacdr' / 'idrid.py',
    'hdc_hrnet': FOLDER / '_base_' / 'models' / 'hrnet_dcn.py',
    'hippocampus2d': FOLDER / '_base_' / 'models' / 'hippocampus_unet2d.py',
    'hippocampus3d': FOLDER / 'hippocampus' / 'unet3d_inr_balanced.py',
    'rare_unet': FOLDER / 'rare_unet' / 'hippocampus.py',
    'res2unet3d': FOLDER / '_base_' / 'models' / 'res2unet3d.py',
}


def main(arguments: argparse.Namespace) -> None:
    network = apis.build_model(apis.load_config(arguments.config or CONFIGS[arguments.system]))
    tensors = convert(arguments.system, arguments.src, arguments.dst, network, trusted=arguments.trust)
    print(f'{arguments.dst}: {tensors} tensors')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('system', choices=sorted(TRANSLATIONS), help='published system that SRC belongs to')
    parser.add_argument('src', metavar='SRC', help='original checkpoint; state_dict nested or not, module. or not')
    parser.add_argument('dst', metavar='DST', help='file to write')
    parser.add_argument('--config', help='of the network that DST must fit (default: the published configuration)')
    parser.add_argument('--trust', action='store_true', help='unpickle SRC even if it holds more than tensors')
    cli.run(parser, main)
