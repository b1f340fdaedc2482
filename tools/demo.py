"""Train and test a small HACDR-Net on phantom fundus images; a few minutes on two cores."""

import argparse
import json
import time
import warnings
from pathlib import Path

from mmseg_medical import apis, cli

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'hacdr' / 'demo.py'
TRAIN_IMAGES, TEST_IMAGES, SIZE = 16, 6, (534, 804)


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.datasets.phantoms import write_idrid

    warnings.filterwarnings('ignore')
    start = time.monotonic()
    work_dir = Path(arguments.work_dir)
    options = {'data_root': str(work_dir / 'data'), **(arguments.cfg_options or {})}
    cfg = apis.load_config(CONFIG, options)

    print(f'1. Drawing {TRAIN_IMAGES + TEST_IMAGES} phantom photographs, in the folder tree of IDRiD')
    write_idrid(work_dir / 'data', num_train=TRAIN_IMAGES, num_test=TEST_IMAGES, size=SIZE)
    print(f'2. Training a small HACDR-Net on {TRAIN_IMAGES} of them, {cfg.train_cfg.max_iters} iterations')
    runner = apis.train(cfg, work_dir=work_dir)
    print(f'3. Testing it on the other {TEST_IMAGES}')
    checkpoint = Path(runner.work_dir, f'iter_{cfg.train_cfg.max_iters}.pth')
    results, overlays = work_dir / 'results', work_dir / 'overlays'
    apis.test(cfg, checkpoint, work_dir=work_dir / 'test', out=results, show_dir=overlays)
    print_results(results)
    print_places(work_dir)
    print(f'\nDone in {(time.monotonic() - start) / 60:.1f} minutes.')


def print_results(results: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from mmseg_medical.datasets.lesions import LESION_NAMES

    metrics = json.loads((results / 'metrics.json').read_text())
    print('\nLesions found on photographs that the network had not seen, in percent:')
    table = Table()
    table.add_column('lesion')
    for name in ('AUPR', 'by chance', 'Dice'):
        table.add_column(name, justify='right')
    for code, name in LESION_NAMES.items():
        counts = metrics['pooled']['classes'][code]
        chance = 100 * (counts['tp'] + counts['fn']) / sum(counts[key] for key in ('tp', 'fp', 'fn', 'tn'))
        aupr = metrics['metrics'][f'AUPR.{code}']
        table.add_row(f'{name} ({code})', f'{aupr:.1f}', f'{chance:.2f}', f'{counts["dice"]:.1f}')
    Console().print(table)
    print(
        'AUPR: area under the precision-recall curve over all pixels; a network that knows nothing reaches "by\n'
        'chance", the share of the lesion in the pixels. Dice: overlap of predicted and true pixels.'
    )


def print_places(work_dir: Path) -> None:
    print(f"""
Open  {work_dir / 'results' / 'report.html'}
      all of it on one page: numbers, curves, the best, median and worst photograph
Also  {work_dir / 'overlays'}
      each test photograph with prediction and truth side by side (EX red, MA yellow, SE green, HE blue)
      {work_dir / 'results' / 'curves'}
      loss and learning rate of the training, precision-recall of the test
      {work_dir / 'results' / 'predictions'}
      label images on the grid of the photographs""")


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--work-dir', default='work_dirs/demo', help='folder for all that is made (default: %(default)s)'
    )
    cli.add_common_arguments(parser)
    cli.run(parser, main)
