"""Write a network as an ONNX file for onnxruntime and the like, and check it against the network."""

import argparse
from pathlib import Path

from mmseg_medical import apis, cli


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.engine.onnx_export import export_onnx

    model = apis.init_model(arguments.config, arguments.checkpoint, cfg_options=arguments.cfg_options)
    preprocessor = model.cfg.model.get('data_preprocessor', {})
    size = arguments.shape or model.test_cfg.get('crop_size') or preprocessor.get('size')
    if size is None:
        raise apis.ConfigError('the config states no input size (model.data_preprocessor.size): give --shape H W')
    notes = {'config': Path(arguments.config).name, 'checkpoint': Path(arguments.checkpoint or 'none: random').name}
    parity = export_onnx(
        model,
        arguments.out,
        tuple(size),
        form=arguments.form,
        dynamic=arguments.dynamic,
        raw=arguments.raw,
        tolerance=None if arguments.no_check else arguments.tolerance,
        notes=notes,
    )
    print(f'{arguments.out}: input image, output logits; its metadata_props say what they are')
    if parity:
        print(f'largest difference of a logit {parity.difference:.1e}, {parity.agreement:.4%} of pixels decided alike')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file; without it the weights are random')
    parser.add_argument('--out', required=True, metavar='FILE', help='file to write, e.g. model.onnx')
    parser.add_argument(
        '--shape', nargs=2, type=int, metavar=('H', 'W'), help="size of the image (default: the config's)"
    )
    parser.add_argument(
        '--form',
        default='auto',
        help='of deformable convolutions: deform_conv, the operator DeformConv; grid_sample, twice as slow, for '
        'runtimes without it; auto, what the onnxruntime here runs (default)',
    )
    parser.add_argument('--dynamic', action='store_true', help='leave batch, height and width open')
    parser.add_argument('--raw', action='store_true', help='take uint8 images and normalise inside')
    parser.add_argument('--tolerance', type=float, default=1e-4, help='largest difference of a logit (default: 1e-4)')
    parser.add_argument('--no-check', action='store_true', help='do not compare file and network in onnxruntime')
    cli.add_common_arguments(parser)
    cli.run(parser, main)
