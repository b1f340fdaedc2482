"""Draw the network of a config from the model itself: its parts, their sizes and parameters, what flows where.

python tools/analysis_tools/draw_network.py configs/hacdr/idrid.py --out hacdr.svg
python tools/analysis_tools/draw_network.py configs/rare_unet/hippocampus.py --training --out rare_unet.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmseg_medical import apis, cli
from mmseg_medical.errors import ConfigError
from mmseg_medical.files import atomic_write


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.visualization.network_graph import trace
    from mmseg_medical.visualization.network_input import image_channels, image_size
    from mmseg_medical.visualization.network_picture import network_picture

    kind = Path(arguments.out).suffix[1:].lower()
    if kind not in ('svg', 'png'):
        raise ConfigError(f'--out must end in .svg or .png, found {arguments.out}')
    cfg = apis.load_config(arguments.config, arguments.cfg_options)
    size = image_size(cfg, arguments.size)
    network = apis.build_model(cfg)
    graph = trace(network, size, image_channels(network), depth=arguments.depth, training=arguments.training)
    with atomic_write(arguments.out, 'wb') as file:
        file.write(network_picture(graph, kind))
    print(f'{len(graph.nodes)} boxes, {len(graph.edges)} arrows: {arguments.out}')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--out', required=True, metavar='FILE', help='picture to write, .svg or .png')
    parser.add_argument(
        '--size', nargs='+', type=int, metavar='N', help='H W or D H W of the image (default: that of the config)'
    )
    parser.add_argument('--depth', type=int, default=3, help='how far modules are unfolded (default: %(default)s)')
    parser.add_argument(
        '--training', action='store_true', help='as in training, where some networks use more of their parts'
    )
    cli.add_common_arguments(parser)
    cli.run(parser, main)
