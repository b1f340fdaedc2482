"""Are the borders that an implicit head draws between voxels right? Trained at 2 mm, asked at 1 mm.

    python benchmarks/finer_than_trained.py make data/MSD work_dirs/half/data
    for config in unet3d_none unet3d_inr; do for seed in 0 1 2; do
      python tools/train.py configs/hippocampus/${config}_cpu.py --work-dir work_dirs/half/${config}_$seed \
        --cfg-options data_root=work_dirs/half/data randomness.seed=$seed \
        train_dataloader.dataset.pipeline.5.patch_size="[24,32,24]"
    done; done
    python benchmarks/finer_than_trained.py measure work_dirs/half/data \
        none=work_dirs/half/unet3d_none_{0,1,2} siren=work_dirs/half/unet3d_inr_{0,1,2}

``make`` writes Task04 with voxels of 2 mm, means of 2 x 2 x 2 voxels and the labels strongest around their centres, and
beside it the labels of 1 mm. ``measure`` scores at 1 mm what each network finds in images of 2 mm: its labels of 2 mm
enlarged, its probabilities interpolated linearly, and, where it has an implicit head, the head asked at 1 mm.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import describe_machine
from torch.nn.functional import avg_pool3d, interpolate

from mmseg_medical.evaluation.cases import evaluate_case
from mmseg_medical.evaluation.compare import Comparison, compare_tables, named_places
from mmseg_medical.evaluation.compare_files import comparison_text, pair_rows, run_rows
from mmseg_medical.evaluation.options import EvaluationOptions
from mmseg_medical.evaluation.table import CaseTable, headline_metrics
from mmseg_medical.geometry import Volume, read_labels, read_volume, write_volume
from mmseg_medical.inference import Predictor
from mmseg_medical.ops import resize_labels

TASK = 'Task04_Hippocampus'
FINE = 'labelsFine'
RESULTS = Path(__file__).parent / 'results' / 'finer_than_trained.json'
OPTIONS = EvaluationOptions(3, {'Anterior': (1,), 'Posterior': (2,)})


def make(source: Path, out: Path) -> None:
    """Write the task with voxels of twice the length."""
    source, out = source / TASK, out / TASK
    for name in ('imagesTr', 'labelsTr', FINE):
        (out / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(source / 'dataset.json', out)
    images = sorted(file for file in (source / 'imagesTr').glob('*.nii.gz') if not file.name.startswith('.'))
    for file in images:
        image, labels = read_volume(file), read_labels(source / 'labelsTr' / file.name)
        even = tuple(slice(n - n % 2) for n in image.size)
        fine = labels.array[even]
        size = tuple(n // 2 for n in fine.shape)
        affine = np.asarray(image.affine) @ np.array([[2, 0, 0, 0.5], [0, 2, 0, 0.5], [0, 0, 2, 0.5], [0, 0, 0, 1.0]])
        mean = avg_pool3d(torch.from_numpy(image.array[even].astype(np.float32))[None], 2)[0]
        coarse = resize_labels(torch.from_numpy(fine.astype(np.int64)), size)
        write_volume(Volume(mean.numpy(), affine), out / 'imagesTr' / file.name)
        write_volume(Volume(coarse.numpy().astype(np.uint8), affine), out / 'labelsTr' / file.name)
        write_volume(Volume(fine, image.affine), out / FINE / file.name)


def _enlarged(predictor: Predictor, image: Path) -> np.ndarray:
    return np.kron(predictor.predict(image).labels.array, np.ones((2, 2, 2), np.uint8))


def _interpolated(predictor: Predictor, image: Path) -> np.ndarray:
    found = predictor.predict(image, probabilities=True).probabilities
    values = torch.from_numpy(np.moveaxis(found.array, -1, 0).copy())[None]  # type: ignore[union-attr]
    return interpolate(values, scale_factor=2, mode='trilinear', align_corners=False)[0].argmax(0).numpy()


def _asked(predictor: Predictor, image: Path) -> np.ndarray:
    return predictor.predict(image).labels.array


def _ways(work_dir: str) -> Iterator[tuple[str, Predictor, Callable[[Predictor, Path], np.ndarray]]]:
    (config,) = Path(work_dir).glob('*.py')
    weights = Path(work_dir, (Path(work_dir) / 'last_checkpoint').read_text().strip())
    coarse = Predictor(config, weights)
    yield 'enlarged', coarse, _enlarged
    yield 'linear', coarse, _interpolated
    if coarse.cfg.model.decode_head.type == 'ImplicitVolumeHead':
        yield 'asked', Predictor(config, weights, scale=2), _asked


def measure(data: Path, methods: Sequence[str], out: Path) -> None:
    """Score all methods, and compare them."""
    folder = data / TASK
    tables: dict[str, list[CaseTable]] = {}
    for name, places in named_places(methods).items():
        for place in places:
            for way, predictor, predict in _ways(place):
                split = json.loads(Path(predictor.cfg.val_dataloader.dataset.split_file).read_text())['val']
                cases = [_score(folder, case, predictor, predict) for case in split]
                tables.setdefault(f'{name}, {way}', []).append(CaseTable.from_cases(cases, OPTIONS))
    comparison = compare_tables(tables)
    print(comparison_text(comparison))
    out.write_text(json.dumps({'machine': describe_machine(), **_content(comparison)}, indent=1) + '\n')


def _content(comparison: Comparison) -> dict[str, Any]:
    shown = headline_metrics(comparison.metrics)
    methods = {
        method: {
            name: {metric: {key: of[metric][key] for key in ('mean', 'ci_low', 'ci_high')} for metric in shown}
            for name, of in table.summary().items()
        }
        for method, table in comparison.tables.items()
    }
    head, *rows = pair_rows(comparison)
    pairs = [dict(zip(head, row, strict=True)) for row in rows if row[1] in shown]
    return {
        'conventions': comparison.conventions(),
        'methods': methods,
        'pairs': pairs,
        'runs': run_rows(comparison, shown),
    }


def _score(folder: Path, case: str, predictor: Predictor, predict: Callable) -> Any:
    image = folder / 'imagesTr' / f'{case}.nii.gz'
    truth = read_labels(folder / FINE / image.name)
    found = predict(predictor, image).astype(np.uint8)
    return evaluate_case(case, found, truth.array, OPTIONS, truth.spacing_mm)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    making = commands.add_parser('make')
    making.add_argument('source', type=Path, help='folder with Task04_Hippocampus')
    making.add_argument('out', type=Path)
    measuring = commands.add_parser('measure')
    measuring.add_argument('data', type=Path, help='what make wrote')
    measuring.add_argument('methods', nargs='+', metavar='NAME=WORK_DIR')
    measuring.add_argument('--out', type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.command == 'make':
        make(arguments.source, arguments.out)
    else:
        measure(arguments.data, arguments.methods, arguments.out)
