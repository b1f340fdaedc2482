"""Parameters and multiply-accumulates of a network, as a table by module; deformable layers are counted."""

import argparse

from mmseg_medical import apis, cli


def main(arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from mmseg_medical.engine.complexity import measure

    cfg = apis.load_config(arguments.config, arguments.cfg_options)
    size = arguments.shape or cfg.model.get('data_preprocessor', {}).get('size')
    if size is None:
        raise apis.ConfigError(
            'the config states no input size (model.data_preprocessor.size): give --shape H W, of volumes --shape D H W'
        )
    channels = cfg.model.get('backbone', {}).get('in_channels', 3)
    rows = [row for row in measure(apis.build_model(cfg), tuple(size), channels) if row.parameters or row.macs]
    table = Table(title=f'{arguments.config}, input {" x ".join(map(str, (channels, *size)))}')
    table.add_column('module', overflow='fold')
    for name in ('parameters', 'GMACs', 'sampling GMACs'):
        table.add_column(name, justify='right')
    for row in rows:
        depth = row.name.count('.') + 1 if row.name else 0
        if depth <= arguments.depth:
            label = '  ' * depth + row.name.rpartition('.')[2] if row.name else 'network'
            table.add_row(label, f'{row.parameters:,}', f'{row.macs / 1e9:.3f}', f'{row.sampling_macs / 1e9:.3f}')
    Console(width=None if Console().is_terminal else 120).print(table)
    print(
        'GMACs: 10^9 multiply-accumulates of convolutions and matrix products (FLOPs are about twice as many).\n'
        'Deformable convolutions count as plain ones plus the convolution of their offsets; the bilinear sampling,\n'
        'which published tables leave out, stands apart. Norms, activations and resizing are not counted.'
    )


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--shape', nargs='+', type=int, metavar='N', help='input size, H W or D H W (default: of the data preprocessor)'
    )
    parser.add_argument('--depth', type=int, default=3, help='levels of the table (default: 3)')
    cli.add_common_arguments(parser)
    cli.run(parser, main)
