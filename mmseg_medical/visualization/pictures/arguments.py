"""The command line of pictures: kinds and their options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from mmseg_medical import errors

#: kind of picture -> what it shows
KINDS = {
    'grid': 'random slices with foreground: image, overlay, mask',
    'detail': 'one slice: values, overlay, mask, numbers',
    'overview': 'overlays of many cases',
    'triplets': 'image, truth and prediction with Dice, a case a row',
    'curves': 'loss, Dice, NSD and learning rate of trainings',
    'multiplanar': 'axial, coronal and sagittal slices of a volume, in mm',
    'surfaces': 'truth and prediction in space, side by side',
    'agreement': 'correct, false positive and false negative in space',
}
_SLICED = ('grid', 'detail', 'overview', 'triplets')
_IN_SPACE = ('surfaces', 'agreement')


class KindParser(argparse.ArgumentParser):
    """A parser whose first word is a kind of picture."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; an unknown kind is answered with those that look like it."""
        words = list(sys.argv[1:] if args is None else args)
        if words and not words[0].startswith('-') and words[0] not in KINDS:
            self._refuse(words[0])
        return super().parse_known_args(args, namespace)

    def _refuse(self, word: str) -> NoReturn:
        self.error(f'no KIND {word!r} among {", ".join(KINDS)}.{errors.did_you_mean(word, KINDS, cutoff=0.5)}')


def add_kinds(parser: argparse.ArgumentParser, add_config_options: Any) -> None:
    """Add a sub-command for each kind, with the options that it has.

    Args:
        parser (ArgumentParser): Gets them.
        add_config_options (Callable): Adds what all tools with a config share.
    """
    kinds = parser.add_subparsers(dest='kind', metavar='KIND', required=True, parser_class=argparse.ArgumentParser)
    for kind, shows in KINDS.items():
        one = kinds.add_parser(kind, help=shows, description=shows[0].upper() + shows[1:] + '.')
        one.add_argument('--debug', action='store_true', default=argparse.SUPPRESS, help='show tracebacks')
        one.add_argument('--out', required=True, metavar='FILE.png', help='the picture')
        one.add_argument('--title', default='', help='line above')
        if kind == 'curves':
            one.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='folders of trainings')
            one.add_argument('--metrics', nargs='+', default=(), help='logged names to draw instead of Dice and NSD')
            continue
        _add_source(one, add_config_options)
        _add_choice(one, kind)


def _add_source(parser: argparse.ArgumentParser, add_config_options: Any) -> None:
    source = parser.add_argument_group('cases: of a data set, or files that are paired by their names')
    source.add_argument('--config', metavar='FILE', help='config of the data set')
    source.add_argument('--split', choices=['train', 'val', 'test'], default=None, help='its data loader (val)')
    source.add_argument('--images', metavar='PATH', help='instead of --config: image or folder of images')
    source.add_argument('--labels', metavar='PATH', help='with --images: label maps, or <case>_<class> masks')
    source.add_argument('--classes', nargs='+', default=(), metavar='NAME', help='with --images: of labels 1, 2, ...')
    source.add_argument('--pred', metavar='PATH', help='predictions: --out of tools/test.py or tools/predict.py')
    add_config_options(source)


def _add_choice(parser: argparse.ArgumentParser, kind: str) -> None:
    many = kind in ('grid', 'overview', 'triplets')
    parser.add_argument(
        '--cases', nargs='+', default=(), metavar='ID', help='choose from these' if many else 'this one (the first)'
    )
    if kind not in ('triplets', 'agreement'):
        parser.add_argument('--of', choices=['truth', 'pred'], help='draw this one (truth where there is one)')
    if kind in _SLICED:
        parser.add_argument(
            '--plane', choices=['sagittal', 'coronal', 'axial'], default='axial', help='of volumes (axial)'
        )
    if many:
        number = {'grid': 9, 'overview': 20, 'triplets': 4}[kind]
        parser.add_argument('--number', type=_positive, default=number, help=f'slices at most ({number})')
        parser.add_argument('--seed', type=int, default=0, help='of the choice of cases and slices (0)')
    if kind in ('grid', 'overview'):
        number = {'grid': 3, 'overview': 5}[kind]
        parser.add_argument('--columns', type=_positive, default=number, help=f'side by side ({number})')
    if kind == 'detail':
        parser.add_argument('--slice', type=int, metavar='INDEX', help='instead of the one with most foreground')
    if kind == 'multiplanar':
        parser.add_argument('--number', type=_positive, default=3, help='slices of each plane (3)')
        for plane in ('axial', 'coronal', 'sagittal'):
            parser.add_argument(f'--{plane}', type=int, nargs='+', metavar='INDEX', help='these slices')
    if kind in _IN_SPACE:
        parser.add_argument('--html', metavar='FILE.html', help='write a page, too, in which the surfaces turn')
        parser.add_argument('--renderer', choices=['auto', 'pyvista', 'matplotlib'], default='auto', help='of the PNG')
        parser.add_argument('--sigma', type=float, default=0.5, help='Gaussian on the masks, in voxels (0.5)')
        parser.add_argument('--iterations', type=int, default=30, help='smoothing steps of the surfaces (30)')
    if kind == 'surfaces':
        parser.add_argument('--shell', action='store_true', help='with a translucent surface of the image')
    if kind == 'agreement':
        parser.add_argument('--structure', metavar='NAME', help='one class (all together)')


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'must be at least 1, got {number}')
    return number


def check_source(arguments: argparse.Namespace) -> None:
    """Refuse options that contradict each other.

    Raises:
        ConfigError: Neither or both of ``--config`` and ``--images``, or an option of the other one.
    """
    if (arguments.config is None) == (arguments.images is None):
        raise errors.ConfigError('name either a data set, --config FILE [--split SPLIT], or files, --images PATH')
    others: Sequence[str] = ('labels', 'classes') if arguments.config else ('split', 'cfg_options')
    for name in others:
        if getattr(arguments, name):
            option = '--' + name.replace('_', '-')
            raise errors.ConfigError(f'{option} belongs to {"--images" if arguments.config else "--config"}')
    if arguments.images and not (arguments.labels or arguments.pred):
        raise errors.ConfigError('there is nothing to draw over the images: name --labels or --pred')
