"""Cost and exactness of MedicalSegMetric on one native IDRiD image, beside mmseg's IoUMetric and scikit-learn.

One thread, synthetic prediction of five classes at 2848 x 4288; a class beyond 2^24 pixels shows who counts exactly.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import sklearn
import torch
from mmseg.evaluation import IoUMetric
from sklearn.metrics import average_precision_score

from mmseg_medical.evaluation.functional import confusion_matrix
from mmseg_medical.evaluation.functional.precision_recall import NUM_BINS
from mmseg_medical.evaluation.metrics import MedicalSegMetric

CLASSES = ('background', 'EX', 'MA', 'SE', 'HE')
# share of each class in DDR, about that of IDRiD
SHARES = (0.993, 0.0019, 0.0003, 0.001, 0.0038)


def prediction(size: tuple[int, int]) -> dict:
    """Blobs of the lesions' shares, and smooth logits that find most of them."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, 4, size[0] // 16, size[1] // 16, generator=generator)
    fields = torch.nn.functional.interpolate(coarse, size, mode='bicubic')[0]
    target = torch.zeros(size, dtype=torch.long)
    for k, share in enumerate(SHARES[1:], start=1):
        cut = np.quantile(fields[k - 1, ::8, ::8].numpy(), 1 - share)
        target[fields[k - 1] > cut] = k
    noise = torch.nn.functional.interpolate(torch.randn(coarse.shape, generator=generator), size, mode='bilinear')[0]
    logits = torch.cat((torch.full((1, *size), 4.0), 2.0 * fields + 0.7 * noise - 1))
    return {
        'case_id': 'a',
        'img_path': 'a.jpg',
        'gt_sem_seg': {'data': target[None]},
        'pred_sem_seg': {'data': logits.argmax(0, keepdim=True)},
        'seg_logits': {'data': logits},
    }


def best_of(function: Callable[[], object], repeats: int) -> float:
    """Shortest of several times, in seconds of the processor: the wall clock depends on who else is running."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def run(repeats: int, size: tuple[int, int] = (2848, 4288)) -> dict:
    """All measurements, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    sample = prediction(size)
    results: dict[str, object] = {'pixels': sample['gt_sem_seg']['data'].numel()}

    def ours(aupr: bool) -> MedicalSegMetric:
        metric = MedicalSegMetric(aupr=aupr)
        metric.dataset_meta = {'classes': CLASSES}
        metric.process(None, [sample])
        return metric

    theirs = IoUMetric(iou_metrics=['mIoU', 'mDice', 'mFscore'])
    theirs.dataset_meta = {'classes': CLASSES}
    results['cpu_seconds'] = {
        'MedicalSegMetric, counts only': best_of(lambda: ours(False), repeats),
        'MedicalSegMetric, counts and AUPR of 4 lesions': best_of(lambda: ours(True), repeats),
        'mmseg IoUMetric, counts only': best_of(lambda: theirs.process(None, [sample]), repeats),
    }
    results['megabytes of the curves of 4 lesions, for any number of images'] = round(4 * 16 * NUM_BINS / 1e6, 1)
    scores = ours(True).evaluate(1)
    truth = sample['gt_sem_seg']['data'].flatten().numpy()
    probabilities = sample['seg_logits']['data'].softmax(0).flatten(1).numpy()
    start = time.process_time()
    exact = {
        name: float(average_precision_score(truth == k, probabilities[k])) for k, name in enumerate(CLASSES) if k > 0
    }
    results['cpu_seconds']['scikit-learn average_precision_score of 4 lesions'] = time.process_time() - start  # type: ignore[index]
    results['average_precision'] = {
        name: {
            'scikit-learn': value,
            'ours': scores[f'AUPR.{name}'] / 100,
            'error': abs(scores[f'AUPR.{name}'] / 100 - value),
        }
        for name, value in exact.items()
    }
    pixels = 2**24 + 101
    ones = torch.zeros(pixels, dtype=torch.uint8)
    counted = IoUMetric.intersect_and_union(ones.long(), ones.long(), 2, 255)[3][0]
    results[f'class of {pixels} pixels'] = {
        'MedicalSegMetric': int(confusion_matrix(ones, ones, 2)[0, 0]),
        'mmseg IoUMetric': int(counted),
    }
    results['threads'], results['scikit-learn'] = 1, sklearn.__version__
    torch.set_num_threads(threads)
    return results
