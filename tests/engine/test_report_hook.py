import base64
import io
import json
import re
import socket
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_medical.engine.report_hook import SegReportHook
from mmseg_medical.evaluation.metrics import CaseSegMetric, MedicalSegMetric
from mmseg_medical.registry import HOOKS

CLASSES = ('background', 'EX', 'MA', 'SE', 'HE')


def runner(folder: Path, metrics: list, classes: tuple[str, ...] = CLASSES, **cfg: object) -> SimpleNamespace:
    """What the hook reads of mmengine's runner."""
    dataset = SimpleNamespace(metainfo={'classes': classes}, data_root='data/IDRiD')
    return SimpleNamespace(
        work_dir=str(folder / 'work'),
        cfg=Config({'model': {'type': 'HACDRNet', 'note': '<b>'}, **cfg}),
        experiment_name='experiment',
        test_dataloader=SimpleNamespace(dataset=dataset),
        test_evaluator=SimpleNamespace(metrics=metrics),
        model=torch.nn.Conv2d(1, 1, 1),
    )


def prediction(folder: Path, index: int, size: tuple[int, int] = (40, 60), channels: int = 1) -> SegDataSample:
    """A sample whose prediction gets worse with its index."""
    path = folder / f'IDRiD_{index}.jpg'
    rng = np.random.default_rng(index)
    if not path.exists():
        Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(path)
    values = 5 if channels == 1 else 2
    target = torch.from_numpy(rng.integers(0, values, (channels, *size)))
    pred = target.clone()
    pred[:, : size[0] * index // 10] = 0
    sample = SegDataSample(metainfo={'case_id': f'IDRiD_{index}', 'img_path': str(path)})
    sample.gt_sem_seg, sample.pred_sem_seg = PixelData(data=target), PixelData(data=pred)
    if channels == 1:
        logits = torch.nn.functional.one_hot(pred[0], 5).permute(2, 0, 1).float()
        sample.seg_logits = PixelData(data=logits)
    return sample


def run_test(hook: SegReportHook, run: SimpleNamespace, samples: list[SegDataSample], size: int | None = None) -> None:
    hook.before_test_epoch(run)
    for i, sample in enumerate(samples):
        for metric in run.test_evaluator.metrics:
            metric.process(None, [sample.to_dict()])
        hook.after_test_iter(run, i, None, [sample])
    scores: dict = {}
    for metric in run.test_evaluator.metrics:
        metric.dataset_meta = run.test_dataloader.dataset.metainfo
        scores.update(metric.evaluate(size or len(samples)))
    hook.after_test_epoch(run, scores or {'mDice': 12.0})


def medical(classes: tuple[str, ...] = CLASSES, **options: object) -> MedicalSegMetric:
    metric = MedicalSegMetric(**options)
    metric.dataset_meta = {'classes': classes}
    return metric


def pictures(page: str) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(code))) for code in re.findall(r'base64,([^"]+)"', page)]


def test_report_overlays_and_curves(tmp_path: Path) -> None:
    log = tmp_path / 'work' / '20260101_000000' / 'vis_data'
    log.mkdir(parents=True)
    log.joinpath('scalars.json').write_text(json.dumps({'loss': 1.0, 'lr': 0.1, 'step': 1}) + '\n')
    hook = HOOKS.build({'type': 'SegReportHook', 'show_dir': str(tmp_path / 'show'), 'report_side': 48})
    run = runner(tmp_path, [medical()])
    run_test(hook, run, [prediction(tmp_path, i) for i in (5, 0, 9, 2)])
    assert sorted(p.name for p in (tmp_path / 'show').iterdir()) == [f'IDRiD_{i}.png' for i in (0, 2, 5, 9)]
    assert Image.open(tmp_path / 'show' / 'IDRiD_0.png').size[0] > 120
    work = tmp_path / 'work'
    assert sorted(p.name for p in (work / 'curves').iterdir()) == [
        'learning_rate.png',
        'precision_and_recall.png',
        'training_loss.png',
    ]
    page = (work / 'report.html').read_text()
    captions = re.findall(r'<figcaption>(Best|Median|Worst): (IDRiD_\d)', page)
    assert captions == [('Best', 'IDRiD_0'), ('Median', 'IDRiD_2'), ('Worst', 'IDRiD_9')]
    assert len(pictures(page)) == 6
    assert '&lt;b&gt;' in page
    assert 'torch ' in page
    assert hook._pictures == {}


def test_a_metric_that_keeps_its_cases(tmp_path: Path) -> None:
    metric = CaseSegMetric(surface=None)
    metric.dataset_meta = {'classes': CLASSES}
    run = runner(tmp_path, [metric])
    run_test(SegReportHook(report_side=48), run, [prediction(tmp_path, i) for i in (5, 0, 9, 2)])
    page = (tmp_path / 'work' / 'report.html').read_text()
    captions = re.findall(r'<figcaption>(Best|Median|Worst): (IDRiD_\d), mean Dice ([\d.]+) %', page)
    assert [caption[:2] for caption in captions] == [('Best', 'IDRiD_0'), ('Median', 'IDRiD_2'), ('Worst', 'IDRiD_9')]
    assert captions[0][2] == '100.0'
    for text in ('4 cases', '95 % bootstrap interval', 'EX, all metrics', 'All 4 cases', 'Ranked by'):
        assert text in page


def test_multilabel_without_curves_into_another_folder(tmp_path: Path) -> None:
    hook = SegReportHook(output_dir=str(tmp_path / 'out'), title='DDR & more')
    run = runner(tmp_path, [medical(CLASSES[1:], aupr=False)], CLASSES[1:])
    run_test(hook, run, [prediction(tmp_path, i, channels=4) for i in range(2)])
    page = (tmp_path / 'out' / 'report.html').read_text()
    assert '<h1>DDR &amp; more</h1>' in page
    assert len(pictures(page)) == 2
    assert not (tmp_path / 'work').exists()


def test_other_metrics_and_images_that_cannot_be_read(tmp_path: Path) -> None:
    samples = [prediction(tmp_path, i) for i in range(2)]
    (tmp_path / 'IDRiD_1.jpg').write_bytes(b'')
    del samples[0].gt_sem_seg
    run = runner(tmp_path, [])
    run_test(SegReportHook(), run, samples)
    page = (tmp_path / 'work' / 'report.html').read_text()
    assert len(pictures(page)) == 1
    assert '12.0000' in page


def test_training_curves_are_found_beside_the_checkpoint(tmp_path: Path) -> None:
    log = tmp_path / 'trained' / '20260101_000000' / 'vis_data'
    log.mkdir(parents=True)
    log.joinpath('scalars.json').write_text(json.dumps({'loss': 1.0, 'step': 1}) + '\n')
    run = runner(tmp_path, [medical()], load_from=str(tmp_path / 'trained' / 'iter_1.pth'))
    run_test(SegReportHook(), run, [prediction(tmp_path, 0)])
    assert (tmp_path / 'work' / 'curves' / 'training_loss.png').exists()
    assert 'Only image: IDRiD_0' in (tmp_path / 'work' / 'report.html').read_text()


def test_prediction_below_the_image_resolution(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((400, 600, 3), np.uint8)).save(tmp_path / 'IDRiD_0.jpg')
    hook = SegReportHook(show_dir=str(tmp_path / 'show'))
    run = runner(tmp_path, [medical()])
    run_test(hook, run, [prediction(tmp_path, 0)])
    assert Image.open(tmp_path / 'show' / 'IDRiD_0.png').size[0] < 300


def test_wrong_options(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='report_side must be at least 16'):
        SegReportHook(report_side=3)
    with pytest.raises(ValueError, match='needs the class names'):
        run_test(SegReportHook(), runner(tmp_path, [], ()), [prediction(tmp_path, 0)])


def _rank(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    root = Path(folder)
    hook = SegReportHook(show_dir=str(root / 'show'))
    run_test(hook, runner(root, [medical()]), [prediction(root, i) for i in ((0, 5), (2, 0))[rank]], size=3)
    torch.distributed.destroy_process_group()


def test_two_processes_write_one_report(tmp_path: Path) -> None:
    for i in (0, 2, 5):
        prediction(tmp_path, i)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(_rank, (port, str(tmp_path)), nprocs=2)
    assert sorted(p.name for p in (tmp_path / 'show').iterdir()) == ['IDRiD_0.png', 'IDRiD_2.png', 'IDRiD_5.png']
    page = (tmp_path / 'work' / 'report.html').read_text()
    assert re.findall(r'<figcaption>\w+: (IDRiD_\d)', page) == ['IDRiD_0', 'IDRiD_2', 'IDRiD_5']
    assert '3 images' in page
    assert '2 processes' in page
