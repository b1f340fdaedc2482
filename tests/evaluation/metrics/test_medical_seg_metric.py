import csv
import json
import math
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample
from sklearn.metrics import average_precision_score

from mmseg_medical.evaluation.metrics import MedicalSegMetric
from mmseg_medical.registry import METRICS

CLASSES = ('background', 'EX', 'MA', 'SE', 'HE')
LESIONS = CLASSES[1:]


def sample(index: int, size: tuple[int, int] = (23, 31), **changes: object) -> dict:
    """A prediction of label maps that is right more often than not."""
    generator = torch.Generator().manual_seed(index)
    target = torch.multinomial(torch.tensor([0.8, 0.1, 0.02, 0.03, 0.05]), size[0] * size[1], True, generator=generator)
    target = target.view(1, *size)
    target[:, 0, :3] = 255
    logits = torch.randn(5, *size, generator=generator)
    logits += 2 * torch.nn.functional.one_hot(target[0].clamp(max=4), 5).permute(2, 0, 1)
    entry = {
        'case_id': f'IDRiD_{index}',
        'img_path': f'data/IDRiD_{index}.jpg',
        'gt_sem_seg': {'data': target},
        'pred_sem_seg': {'data': logits.argmax(0, keepdim=True)},
        'seg_logits': {'data': logits},
    }
    return {key: value for key, value in {**entry, **changes}.items() if value is not None}


def multilabel(index: int, size: tuple[int, int] = (23, 31)) -> dict:
    generator = torch.Generator().manual_seed(index)
    target = (torch.rand(4, *size, generator=generator) < 0.1).long()
    target[1, 0, :3] = 255
    logits = torch.randn(4, *size, generator=generator) + 3 * (target == 1) - 2
    return {
        'case_id': f'IDRiD_{index}',
        'img_path': f'IDRiD_{index}.jpg',
        'gt_sem_seg': {'data': target},
        'pred_sem_seg': {'data': (logits.sigmoid() > 0.5).to(torch.uint8)},
        'seg_logits': {'data': logits},
    }


def metric(classes: tuple[str, ...] = CLASSES, **options: object) -> MedicalSegMetric:
    built = METRICS.build({'type': 'MedicalSegMetric', **options})
    built.dataset_meta = {'classes': classes}
    return built


def evaluate(samples: list[dict], classes: tuple[str, ...] = CLASSES, **options: object) -> dict[str, float]:
    built = metric(classes, **options)
    for entry in samples:
        built.process(None, [entry])
    return built.evaluate(len(samples))


def test_pooled_scores_are_those_of_mmseg() -> None:
    samples = [sample(i, (11 + i, 17)) for i in range(5)]
    theirs = IoUMetric(iou_metrics=['mIoU', 'mDice', 'mFscore'])
    theirs.dataset_meta = {'classes': CLASSES}
    theirs.process(None, samples)
    expected = theirs.evaluate(5)
    ours = evaluate(samples)
    for key in ('mIoU', 'mDice', 'mPrecision', 'mRecall', 'aAcc'):
        assert ours[key] == pytest.approx(expected[key], abs=0.0051)  # mmseg rounds to two digits


def test_scores_by_hand() -> None:
    first = {
        'gt_sem_seg': {'data': torch.tensor([[[0, 0, 1, 1]]])},
        'pred_sem_seg': {'data': torch.tensor([[[0, 1, 1, 0]]])},
    }
    second = {
        'gt_sem_seg': {'data': torch.tensor([[[0, 0, 0, 0]]])},
        'pred_sem_seg': {'data': torch.tensor([[[0, 0, 0, 0]]])},
    }
    built = metric(('background', 'EX'), aupr=False)
    built.process(None, [{'case_id': 'a', **first}, {'case_id': 'b', **second}])
    scores = built.evaluate(2)
    assert scores['Dice.EX'] == pytest.approx(50)
    assert scores['IoU.EX'] == pytest.approx(100 / 3)
    assert scores['mDice_fg'] == scores['Dice.EX']
    assert scores['Dice.background'] == pytest.approx(100 * 10 / 12)
    assert scores['mDice'] == pytest.approx((50 + 1000 / 12) / 2)
    assert scores['mDice_fg_per_image'] == pytest.approx(50)  # image b says nothing about EX
    assert scores['mDice_per_image'] == pytest.approx((50 + 75) / 2)
    assert 'mAUPR' not in scores
    assert built.summary is not None
    states = built.summary.image_mean('dice', 1)
    assert (states['n_cases'], states['n_defined'], states['n_valid'], states['n_empty']) == (2, 1, 1, 1)


def test_means_over_images_of_every_score() -> None:
    first = {
        'gt_sem_seg': {'data': torch.tensor([[[0, 0, 0, 1]]])},
        'pred_sem_seg': {'data': torch.tensor([[[0, 1, 1, 1]]])},
    }
    second = {
        'gt_sem_seg': {'data': torch.tensor([[[0, 1, 1, 0]]])},
        'pred_sem_seg': {'data': torch.tensor([[[0, 0, 0, 0]]])},
    }
    built = metric(('background', 'EX'), aupr=False)
    built.process(None, [{'case_id': 'a', **first}, {'case_id': 'b', **second}])
    scores = built.evaluate(2)
    means = {name: scores[f'm{name}_fg_per_image'] for name in ('IoU', 'Dice', 'Precision', 'Recall')}
    assert means == pytest.approx({'IoU': 100 / 6, 'Dice': 25, 'Precision': 100 / 6, 'Recall': 50})
    assert scores['mPrecision_per_image'] == pytest.approx(100 * (1 / 6 + (1 + 1 / 2) / 2) / 2)
    assert scores['mRecall_per_image'] == pytest.approx(100 * (1 / 2 + (1 / 3 + 1) / 2) / 2)


@pytest.mark.parametrize('options', [{}, {'aupr': False}, {'prefix': 'val'}, {'background': None}])
def test_logged_names_are_known_before(options: dict) -> None:
    built = metric(**options)
    before = built.logged_names()
    built.process(None, [sample(0)])
    assert list(built.evaluate(1)) == before


def test_aupr_is_scikit_learns_over_all_pixels() -> None:
    samples = [sample(i) for i in range(4)]
    scores = evaluate(samples)
    truth = torch.cat([s['gt_sem_seg']['data'].flatten() for s in samples])
    probabilities = torch.cat([s['seg_logits']['data'].softmax(0).flatten(1) for s in samples], dim=1)
    keep = truth != 255
    expected = [100 * average_precision_score(truth[keep] == k, probabilities[k][keep]) for k in range(1, len(CLASSES))]
    for name, value in zip(LESIONS, expected, strict=True):
        assert scores[f'AUPR.{name}'] == pytest.approx(value, abs=0.01)
    assert scores['mAUPR'] == pytest.approx(np.mean(expected), abs=0.01)
    assert 'AUPR.background' not in scores


def test_seg_probs_take_precedence() -> None:
    plain = [sample(i) for i in range(2)]
    probabilities = [
        sample(
            i,
            seg_probs={'data': entry['seg_logits']['data'].softmax(0)},
            seg_logits={'data': -entry['seg_logits']['data']},
        )
        for i, entry in enumerate(plain)
    ]
    expected, ours = evaluate(plain), evaluate(probabilities)
    assert ours['mAUPR'] == pytest.approx(expected['mAUPR'], abs=1e-6)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_logits_of_any_float_type(dtype: torch.dtype) -> None:
    entry = sample(0)
    entry['seg_logits'] = {'data': entry['seg_logits']['data'].to(dtype)}
    assert evaluate([entry])['mAUPR'] == pytest.approx(evaluate([sample(0)])['mAUPR'], rel=0.05)


def test_row_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate([sample(0, (37, 41))])
    monkeypatch.setattr('mmseg_medical.evaluation.metrics.medical_seg_metric._PIXELS_CPU', 41 * 5)
    assert evaluate([sample(0, (37, 41))]) == whole


def test_multilabel_masks() -> None:
    samples = [multilabel(i) for i in range(3)]
    scores = evaluate(samples, LESIONS)
    truth = torch.cat([s['gt_sem_seg']['data'].flatten(1) for s in samples], dim=1)
    pred = torch.cat([s['pred_sem_seg']['data'].flatten(1) for s in samples], dim=1)
    logits = torch.cat([s['seg_logits']['data'].flatten(1) for s in samples], dim=1)
    for k, name in enumerate(LESIONS):
        keep = truth[k] != 255
        t, p = truth[k][keep] == 1, pred[k][keep] == 1
        assert scores[f'Dice.{name}'] == pytest.approx(200 * float((t & p).sum()) / float(t.sum() + p.sum()))
        area = 100 * average_precision_score(t, logits[k][keep].sigmoid())
        assert scores[f'AUPR.{name}'] == pytest.approx(area, abs=0.01)
    assert 'aAcc' not in scores
    assert scores['mDice'] == scores['mDice_fg']


def test_single_class_masks_and_single_sigmoid_channel() -> None:
    target = torch.tensor([[[1, 0, 0, 1]]])
    logits = torch.tensor([[[3.0, -3.0, 1.0, 2.0]]])
    entry = {
        'case_id': 'a',
        'gt_sem_seg': {'data': target},
        'pred_sem_seg': {'data': (logits > 0).long()},
        'seg_logits': {'data': logits},
    }
    assert evaluate([entry], ('vessel',))['AUPR.vessel'] == pytest.approx(100)
    scores = evaluate([entry], ('background', 'vessel'))
    assert scores['AUPR.vessel'] == pytest.approx(100)
    assert scores['Precision.vessel'] == pytest.approx(200 / 3)
    both = torch.cat((1 - logits.sigmoid(), logits.sigmoid()))
    del entry['seg_logits']
    for probabilities in (both, logits.sigmoid()):
        entry['seg_probs'] = {'data': probabilities}
        assert evaluate([entry], ('background', 'vessel'))['AUPR.vessel'] == pytest.approx(100)


def test_class_without_pixels(tmp_path: Path) -> None:
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    target[0, 0, 0] = 1
    logits = torch.zeros(5, 4, 4)
    logits[0] = 1
    logits[1, 0, 0] = 5
    entry = sample(0, gt_sem_seg={'data': target}, pred_sem_seg={'data': target}, seg_logits={'data': logits})
    scores = evaluate([entry], output_dir=str(tmp_path))
    assert math.isnan(scores['Dice.SE'])
    assert math.isnan(scores['AUPR.SE'])
    assert scores['mDice_fg'] == 100
    assert scores['mAUPR'] == pytest.approx(100)
    written = json.loads((tmp_path / 'metrics.json').read_text())
    assert written['pooled']['classes']['SE']['dice'] is None
    assert written['pooled']['num_defined_classes']['dice'] == 2
    assert written['aupr']['num_defined_classes'] == 1
    assert written['aupr']['classes']['SE']['average_precision'] is None
    assert evaluate([sample(0, **{**entry, 'case_id': 'b'})], empty='perfect')['Dice.SE'] == 100


def test_files(tmp_path: Path) -> None:
    samples = [sample(i) for i in (10, 9, 2)]
    scores = evaluate(samples, output_dir=str(tmp_path / 'deep' / 'folder'))
    folder = tmp_path / 'deep' / 'folder'
    assert sorted(p.name for p in folder.iterdir()) == ['metrics.json', 'per_image.csv', 'pr_curves.npz']
    written = json.loads((folder / 'metrics.json').read_text())
    assert written['metrics'] == pytest.approx(scores)
    assert written['unit'] == 'percent'
    assert written['num_images'] == 3
    assert {'mX', 'mX_fg', 'empty', 'AUPR'} <= written['conventions'].keys()
    area = written['aupr']['classes']['EX']
    assert area['lower'] <= area['average_precision'] <= area['upper']
    matrix = np.array(written['pooled']['confusion_matrix'])
    assert matrix.sum() == sum(int((s['gt_sem_seg']['data'] != 255).sum()) for s in samples)
    with (folder / 'per_image.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [row['case_id'] for row in rows] == ['IDRiD_2', 'IDRiD_9', 'IDRiD_10']
    assert rows[0]['img_path'] == 'data/IDRiD_2.jpg'
    assert sum(int(row['tp.EX']) for row in rows) == matrix[1, 1]
    curves = np.load(folder / 'pr_curves.npz', allow_pickle=False)
    assert curves['EX/recall'][-1] == pytest.approx(1)


def test_the_same_object_serves_many_validations() -> None:
    built = metric()
    results = []
    for _ in range(2):
        for i in range(3):
            built.process(None, [sample(i)])
        results.append(built.evaluate(3))
    assert results[0] == results[1]


def test_table_marks_what_is_undefined(capsys: pytest.CaptureFixture[str]) -> None:
    entry = sample(0)
    entry['gt_sem_seg']['data'].clamp_(max=2)
    entry['pred_sem_seg']['data'].clamp_(max=2)
    built = metric(aupr=False)
    built.process(None, [entry])
    built.evaluate(1)
    from mmseg_medical.evaluation.results import console_table

    table = console_table(built.summary)
    line = next(line for line in table.splitlines() if ' SE ' in line)
    assert line.split()[1:6] == ['-'] * 5
    assert 'mean without background (2 of 4)' in table


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'gt_sem_seg': {'data': torch.full((1, 23, 31), 7)}}, r'target holds labels outside 0\.\.4: 7 \(713 px\)'),
        ({'pred_sem_seg': {'data': torch.full((1, 23, 31), -1)}}, r'pred holds labels outside 0\.\.4: -1'),
        ({'pred_sem_seg': {'data': torch.zeros(1, 23, 30).long()}}, r'shape \(1, 23, 30\), gt_sem_seg \(1, 23, 31\)'),
        ({'gt_sem_seg': {'data': torch.zeros(3, 23, 31).long()}}, r'label map\) or \(5, H, W\)'),
        ({'seg_logits': {'data': torch.zeros(4, 23, 31)}}, 'seg_logits has 4 channels, but the data set has 5 classes'),
        ({'seg_logits': {'data': torch.zeros(5, 22, 31)}}, r'size \(22, 31\), gt_sem_seg \(23, 31\)'),
        ({'seg_logits': {'data': torch.full((5, 23, 31), math.nan)}}, 'NaN'),
        ({'seg_logits': None}, 'AUPR needs seg_probs or seg_logits'),
        ({'pred_sem_seg': None}, 'has no pred_sem_seg'),
        ({'gt_sem_seg': None}, 'has no gt_sem_seg'),
        ({'seg_probs': {'data': torch.full((5, 23, 31), 2.0)}}, r'probabilities in 0\.\.1'),
    ],
)
def test_errors_name_the_image(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        evaluate([sample(3, **changes)])
    assert "image 'IDRiD_3' (data/IDRiD_3.jpg)" in str(caught.value)


def test_other_mistakes() -> None:
    with pytest.raises(ValueError, match="'IDRiD_1' was evaluated twice"):
        evaluate([sample(1), sample(1)])
    with pytest.raises(ValueError, match='no image was evaluated'):
        evaluate([])
    with pytest.raises(ValueError, match='names no classes'):
        MedicalSegMetric().process(None, [sample(0)])
    with pytest.raises(ValueError, match='empty must be one of strict'):
        MedicalSegMetric(empty='nan')
    with pytest.raises(ValueError, match='an empty policy has missed, false_alarm and empty, got both'):
        MedicalSegMetric(empty={'both': 'best'})
    with pytest.raises(ValueError, match="background='fundus' is not one of the classes"):
        evaluate([sample(0)], background='fundus')
    with pytest.raises(ValueError, match='outside 0'):
        evaluate([sample(0)], background=9)
    with pytest.raises(ValueError, match='mixed'):
        evaluate([sample(0), multilabel(1) | {'gt_sem_seg': {'data': torch.zeros(5, 23, 31).long()}}])


def test_background_by_name_index_or_none() -> None:
    scores = evaluate([sample(0)])
    assert evaluate([sample(0)], background='background') == scores
    assert evaluate([sample(0)], background=0) == scores
    without = evaluate([sample(0)], background=None)
    assert without['mDice_fg'] == without['mDice']
    assert 'AUPR.background' in without


def test_samples_without_identity_are_numbered() -> None:
    entries = [sample(i, case_id=None, img_path=None) for i in range(2)]
    assert evaluate(entries)['mIoU'] > 0
    named_by_path = [sample(i, case_id=None) for i in range(2)]
    built = metric()
    built.process(None, named_by_path)
    built.evaluate(2)
    assert built.summary is not None
    assert [case.case_id for case in built.summary.cases] == ['IDRiD_0', 'IDRiD_1']


def test_works_through_mmengines_evaluator() -> None:
    from mmengine.evaluator import Evaluator

    evaluator = Evaluator([metric(prefix='test')])
    evaluator.dataset_meta = {'classes': CLASSES}
    entry = sample(0)
    data_sample = SegDataSample(metainfo={'case_id': 'a', 'img_path': 'a.jpg'})
    for key in ('gt_sem_seg', 'pred_sem_seg', 'seg_logits'):
        setattr(data_sample, key, PixelData(**entry[key]))
    evaluator.process([data_sample])
    assert evaluator.evaluate(1)['test/mDice'] == pytest.approx(evaluate([sample(0)])['mDice'])


# build -> sizes of the set. 5: one image is repeated; 4: none; 1: the second process has only the repeated image
RUNS = {'labels': [1, 4, 5], 'multilabel': [1, 4, 5], 'duplicates': [3, 4]}


def _rank(rank: int, world: int, port: int, folder: str) -> None:
    from mmengine.dataset import DefaultSampler

    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=world)
    results: dict[str, dict[str, object]] = {}
    for build, numbers in RUNS.items():
        make, classes = (multilabel, LESIONS) if build == 'multilabel' else (sample, CLASSES)
        results[build] = {}
        for number in numbers:
            built = metric(classes, output_dir=f'{folder}/{build}{number}')
            for index in DefaultSampler(range(number), shuffle=False):
                entry = make(index)
                if build == 'duplicates':  # the sampler's repetitions and the data set's must be told apart
                    entry['case_id'] = f'IDRiD_{index % 2}'
                built.process(None, [entry])
            try:
                results[build][str(number)] = built.evaluate(number)
            except ValueError as error:
                results[build][str(number)] = str(error)
            assert rank == 0 or built.summary is None
    Path(folder, f'rank{rank}.json').write_text(json.dumps(results))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope='module')
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('two_processes')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(_rank, (2, port, str(folder)), nprocs=2)
    return folder


@pytest.mark.parametrize('build', ['labels', 'multilabel'])
def test_two_processes_give_what_one_gives(build: str, two_processes: Path, tmp_path: Path) -> None:
    make, classes = (multilabel, LESIONS) if build == 'multilabel' else (sample, CLASSES)
    ranks = [json.loads((two_processes / f'rank{r}.json').read_text())[build] for r in range(2)]
    assert ranks[0] == ranks[1]
    for number in RUNS[build]:
        alone = evaluate([make(i) for i in range(number)], classes, output_dir=str(tmp_path))
        assert ranks[0][str(number)] == alone
        pair = two_processes / f'{build}{number}'
        written = [json.loads((folder / 'metrics.json').read_text()) for folder in (pair, tmp_path)]
        assert {**written[0], 'date': 0} == {**written[1], 'date': 0}
        assert (pair / 'per_image.csv').read_text() == (tmp_path / 'per_image.csv').read_text()


def test_two_processes_find_duplicate_names(two_processes: Path) -> None:
    for rank in range(2):
        results = json.loads((two_processes / f'rank{rank}.json').read_text())['duplicates']
        assert all('case_id' in message for message in results.values())
        assert not list(two_processes.glob('duplicates*'))
