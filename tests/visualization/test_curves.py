import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_medical.evaluation.functional import PrecisionRecallHistogram
from mmseg_medical.visualization import precision_recall_figure, read_scalars, training_figures


def write_run(work_dir: Path, stamp: str, entries: list[dict], tail: str = '') -> None:
    folder = work_dir / stamp / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(json.dumps(entry) for entry in entries) + '\n' + tail)


def test_reads_a_resumed_training_and_skips_tests(tmp_path: Path) -> None:
    write_run(
        tmp_path, '20260101_000000', [{'loss': 9 - i, 'lr': 0.1, 'iter': i, 'step': i} for i in (1, 2, 3)], '{"lo'
    )
    write_run(
        tmp_path, '20260102_000000', [{'loss': 1.0, 'step': 3}, {'mIoU': 50.0, 'step': 3}, {'loss': 0.5, 'step': 4}]
    )
    write_run(tmp_path, '20260103_000000', [{'mIoU': 99.0, 'step': 0}])
    series = read_scalars(tmp_path)
    assert series['loss'] == [(1, 8), (2, 7), (3, 1.0), (4, 0.5)]
    assert series['lr'] == [(1, 0.1), (2, 0.1)]
    assert series['mIoU'] == [(3, 50.0)]
    assert read_scalars(tmp_path / 'nothing') == {}


def test_a_resumed_training_by_epochs_keeps_what_came_before(tmp_path: Path) -> None:
    # mmengine counts validations in epochs there: 1, 2, 3 among iterations 12, 24, 36
    epochs = [
        [{'loss': 1 / e, 'epoch': e, 'iter': 12 * e, 'step': 12 * e}, {'dice': 0.1 * e, 'step': e}] for e in (1, 2, 3)
    ]
    write_run(tmp_path, '1', [*epochs[0], *epochs[1]])
    write_run(tmp_path, '2', epochs[2])
    series = read_scalars(tmp_path)
    assert [step for step, _ in series['loss']] == [12, 24, 36]
    assert [step for step, _ in series['dice']] == [12, 24, 36]


def test_a_new_start_replaces_everything(tmp_path: Path) -> None:
    write_run(tmp_path, '1', [{'loss': 5.0, 'step': i} for i in (1, 2, 3)])
    write_run(tmp_path, '2', [{'loss': 4.0, 'step': 1}])
    assert read_scalars(tmp_path) == {'loss': [(1, 4.0)]}


def test_training_figures() -> None:
    series = {
        'loss': [(1, 1000.0), (2, 1.0), (3, float('nan'))],
        'decode.loss_ce': [(1, 1.0)],
        'lr': [(1, 0.1)],
        'mAUPR': [(2, 50.0)],
        'AUPR.EX': [(2, 60.0)],
        'AUPR.SE': [(2, float('nan'))],
        'time': [(1, 3.0)],
    }
    figures = training_figures(series)
    assert list(figures) == ['Training loss', 'Validation scores', 'Validation AUPR', 'Learning rate']
    for png in figures.values():
        assert Image.open(io.BytesIO(png)).size[0] > 600
    assert training_figures({}) == {}


def test_precision_recall_figure_leaves_pyplot_alone() -> None:
    import matplotlib
    import matplotlib.pyplot as plt

    before, style = plt.get_fignums(), dict(matplotlib.rcParams)
    histogram = PrecisionRecallHistogram(2)
    rng = np.random.default_rng(0)
    truth = np.stack([rng.random(500) < 0.2, np.zeros(500, bool)])
    histogram.update(rng.random((2, 500)), truth.astype(np.uint8))
    png = precision_recall_figure({'MA': histogram.compute(0), 'SE': histogram.compute(1)}, {'MA': (255, 255, 0)})
    assert Image.open(io.BytesIO(png)).format == 'PNG'
    assert plt.get_fignums() == before
    assert dict(matplotlib.rcParams) == style
