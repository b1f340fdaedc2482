"""Make a model directory of a work dir: config, weights, labels, preprocessing, checksums, card.

python tools/export_model_dir.py work_dirs/unet3d_all data/models/hippocampus --half
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmseg_medical import cli


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.apis import load_config
    from mmseg_medical.errors import ConfigError
    from mmseg_medical.inference.loading import load_from_checkpoints
    from mmseg_medical.inference.model_card import CardFacts, metrics_text
    from mmseg_medical.inference.model_directory import export_model_directory, find_checkpoints, find_config

    work_dir = Path(arguments.work_dir)
    if not work_dir.is_dir():
        raise ConfigError(f'no work dir {work_dir}')
    checkpoints = find_checkpoints(work_dir, arguments.checkpoint or ())
    config = load_config(arguments.config or find_config(work_dir), arguments.cfg_options)
    measured = [Path(arguments.metrics)] if arguments.metrics else sorted(work_dir.glob('**/metrics.json'))
    out = Path(arguments.out)
    card = CardFacts(
        name=arguments.name or out.absolute().name,
        summary=arguments.summary,
        training_data=arguments.training_data,
        licence=arguments.licence,
        intended_use=arguments.intended_use,
        metrics='\n\n'.join(filter(None, (arguments.metrics_note, metrics_text(measured[-1]) if measured else ''))),
    )
    loaded = load_from_checkpoints(config, checkpoints, trusted=arguments.trust)
    export_model_directory(loaded, out, half=arguments.half, card=card, overwrite=arguments.overwrite)
    megabytes = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    print(f'{out}: {len(checkpoints)} network(s), {megabytes:.1f} MB, from {", ".join(map(str, checkpoints))}')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dir', metavar='WORK_DIR', help='folder of a training')
    parser.add_argument('out', metavar='OUT', help='folder to make')
    parser.add_argument(
        '--checkpoint', nargs='+', metavar='FILE', help='default: the best, else the newest; several are an ensemble'
    )
    parser.add_argument('--config', help='default: the one in the work dir')
    parser.add_argument('--half', action='store_true', help='store weights in half precision')
    parser.add_argument('--metrics', metavar='FILE', help='metrics.json for the card (default: in the work dir)')
    parser.add_argument('--metrics-note', default='', help='above the metrics of the card: what was measured, on what')
    parser.add_argument('--name', default='', help='heading of the card (default: name of OUT)')
    parser.add_argument('--summary', default='', help='one sentence for the card')
    parser.add_argument('--training-data', default='', help='for the card, with its licence')
    parser.add_argument('--licence', default='', help='of the weights')
    parser.add_argument('--intended-use', default='', help='for the card')
    parser.add_argument('--overwrite', action='store_true', help='replace an older model directory')
    parser.add_argument('--trust', action='store_true', help='read a checkpoint that may run code')
    cli.add_common_arguments(parser)
    cli.run(parser, main)
