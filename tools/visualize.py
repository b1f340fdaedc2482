r"""Draw cases, predictions and trainings as PNG; surfaces also as a page that turns.

    python tools/visualize.py grid --config configs/rare_unet/hippocampus.py --split val --out grid.png
    python tools/visualize.py surfaces --images images --labels labels --pred predictions --cases hippocampus_006 \
        --out surfaces.png --html surfaces.html
    python tools/visualize.py curves work_dirs/a work_dirs/b --out curves.png

`tools/visualize.py KIND --help` lists the options of a kind.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from mmseg_medical import apis, cli
from mmseg_medical.visualization.pictures.arguments import KindParser, add_kinds, check_source


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.visualization.pictures.kinds import draw_cases, draw_curves
    from mmseg_medical.visualization.pictures.rendering import chosen_renderer

    if arguments.kind == 'curves':
        written = draw_curves(arguments)
    else:
        check_source(arguments)
        written = draw_cases(arguments, source_of(arguments))
    if getattr(arguments, 'renderer', None) == 'auto' and chosen_renderer() == 'matplotlib':
        print("drawn by matplotlib; PyVista draws it better: pip install 'mmseg-medical[pictures]'", file=sys.stderr)
    print(f'Written: {", ".join(map(str, written))}')


def source_of(arguments: argparse.Namespace) -> Any:
    from mmseg_medical.visualization.pictures.sources import DatasetCases, FileCases

    pred = None if arguments.pred is None else Path(arguments.pred)
    if arguments.config is None:
        labels = None if arguments.labels is None else Path(arguments.labels)
        return FileCases(Path(arguments.images), labels, pred, arguments.classes)
    cfg = apis.load_config(arguments.config, arguments.cfg_options)
    return DatasetCases(apis.build_dataset(cfg, arguments.split or 'val'), pred)


if __name__ == '__main__':
    parser = KindParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_kinds(parser, cli.add_common_arguments)
    cli.run(parser, main)
