"""What all command-line tools share: options, and errors that end in one line."""

from __future__ import annotations

import argparse
import ast
import os
import sys
from collections.abc import Callable
from typing import Any

from mmseg_medical.errors import CheckpointError, ConfigError, error_text

# what a user can cause; anything else is a fault of the program and keeps its traceback
_USER_ERRORS = (ConfigError, CheckpointError, ImportError, OSError, ValueError)


class ConfigOptions(argparse.Action):
    """Turn ``key=value ...`` into a dict; values read like mmengine's ``DictAction``, blanks in them stay."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Add the pairs to what an earlier occurrence of the option gave."""
        options = dict(getattr(namespace, self.dest) or {})
        for pair in values:
            key, equals, value = pair.partition('=')
            if not key or not equals:
                parser.error(f'{option_string}: {pair!r} is not of the form key=value')
            options[key] = parse_value(value)
        setattr(namespace, self.dest, options)


def parse_value(text: str) -> Any:
    """Read an option's value: Python literals, ``true``/``false``, ``a,b`` and ``[a,b]`` as lists, else text.

    >>> parse_value('0.5'), parse_value('[1,2]'), parse_value('a,b'), parse_value('/data/A. Segmentation')
    (0.5, [1, 2], ['a', 'b'], '/data/A. Segmentation')
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        pass
    if text.lower() in ('true', 'false'):
        return text.lower() == 'true'
    if text[:1] + text[-1:] in ('[]', '()'):
        values = [parse_value(part.strip()) for part in _split(text[1:-1])]
        return values if text[0] == '[' else tuple(values)
    if len(parts := _split(text)) > 1:
        return [parse_value(part.strip()) for part in parts]
    return text


def _split(text: str) -> list[str]:
    """Split at the commas that stand outside brackets."""
    parts, depth = [''], 0
    for letter in text:
        depth += (letter in '([{') - (letter in ')]}')
        if letter == ',' and depth == 0:
            parts.append('')
        else:
            parts[-1] += letter
    return [part for part in parts if part.strip()]


def add_common_arguments(parser: argparse.ArgumentParser, launcher: bool = False) -> None:
    """Add ``--cfg-options`` and, for what runs distributed, ``--launcher``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='change the config, e.g. train_dataloader.batch_size=2 model.decode_head.num_classes=5 '
        'data_root="/my data/IDRiD" scale="[960,1440]"',
    )
    if launcher:
        parser.add_argument(
            '--launcher',
            choices=['none', 'pytorch', 'slurm', 'mpi'],
            default='none',
            help='how the processes were started; dist_*.sh and slurm_*.sh set it',
        )
        # torch.distributed.launch of old torch passes it
        parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def run(parser: argparse.ArgumentParser, main: Callable[[argparse.Namespace], None]) -> None:
    """Parse the command line and call ``main``; what the user can mend ends in one message and exit code 2."""
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    # Threads of torch that wait for each other by spinning take the cores from other processes, and from their own
    # data workers: with both of two cores busy otherwise, training was measured five times slower. Read when torch
    # is imported, which is why nothing here imports it.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    arguments = parser.parse_args()
    if 'local_rank' in arguments:
        os.environ.setdefault('LOCAL_RANK', str(arguments.local_rank))
    try:
        main(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except _USER_ERRORS as error:
        if arguments.debug:
            raise
        parser.exit(2, f'\n{parser.prog}: error: {error_text(error)}\n(--debug shows where it was raised)\n')
