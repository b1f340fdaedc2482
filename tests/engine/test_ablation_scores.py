from __future__ import annotations

import json
import math

import ablation_cases as cases
import numpy as np
import pytest

from mmseg_medical.engine.ablation.scores import read_record, read_scores
from mmseg_medical.errors import ConfigError
from mmseg_medical.evaluation.functional.confusion import ConfusionCounts
from mmseg_medical.evaluation.json_files import file_head
from mmseg_medical.evaluation.results import write_results
from mmseg_medical.evaluation.summary import ImageCounts, summarize

DICE = np.array([[0.8, 0.6], [0.9, np.nan], [0.5, 0.5]])


@pytest.fixture
def folder(tmp_path):
    """Files of a test of three volumes."""
    config = tmp_path / 'a.py'
    cases.write_measured(config, 0, DICE)
    for name in ('metrics', 'test_record'):
        (tmp_path / f'a.{name}.0.json').rename(tmp_path / f'{name}.json')
    return tmp_path


def test_a_case_is_the_mean_of_its_defined_classes(folder):
    scores = read_scores(folder, 'dice')
    assert scores.cases == pytest.approx({'case_0': 0.7, 'case_1': 0.9, 'case_2': 0.5}, abs=1e-12)
    assert scores.number == pytest.approx(0.7, abs=1e-12)
    assert scores.classes == pytest.approx({'LV': 2.2 / 3, 'RV': 0.55}, abs=1e-12)
    assert scores.conventions == {'unit': 'millimetres'}


def test_chosen_classes(folder):
    scores = read_scores(folder, 'dice', ['RV'])
    assert math.isnan(scores.cases['case_1'])
    assert scores.number == pytest.approx(0.55, abs=1e-12)
    assert set(scores.classes) == {'LV', 'RV'}
    with pytest.raises(ConfigError, match=r'the tests have the classes LV, RV\. Did you mean'):
        read_scores(folder, 'dice', ['RVV'])


def test_a_logged_number_has_no_cases(folder):
    scores = read_scores(folder, 'mAUPR')
    assert (scores.number, scores.cases, scores.classes) == (10.0, {}, {})
    with pytest.raises(ConfigError, match='is a logged number'):
        read_scores(folder, 'mAUPR', ['LV'])


def test_a_metric_that_nobody_measured(folder):
    with pytest.raises(ConfigError, match=r'they have dice, mAUPR, volume_mm3\. Did you mean mAUPR'):
        read_scores(folder, 'mAUP')


def test_one_of_several_metrics_in_folders_of_their_own(folder):
    (folder / 'SliceSegMetric').mkdir()
    (folder / 'metrics.json').rename(folder / 'SliceSegMetric' / 'metrics.json')
    assert len(read_scores(folder, 'dice').cases) == 3


def test_scores_of_images_are_percent_without_the_background(folder):
    """Counts by hand: Dice of EX is 2 * 3 / (2 * 3 + 1 + 1) = 0.75 in the first image; absent in the second."""
    images = []
    for name, matrix in (('x', [[9, 1], [1, 3]]), ('y', [[8, 0], [0, 0]])):
        array = np.array(matrix)
        images.append(ImageCounts(name, '', ConfusionCounts.from_matrix(array), array))
    summary = summarize(images, ('background', 'EX'), 0)
    write_results(summary, folder, file_head('mmseg_medical.metrics/1'))
    scores = read_scores(folder, 'dice')
    assert scores.cases['x'] == 75
    assert math.isnan(scores.cases['y'])
    assert scores.classes == {'EX': 75}
    assert scores.conventions['unit'] == 'percent'
    assert read_scores(folder, 'iou').number == pytest.approx(60, abs=1e-12)


def test_damaged_files(folder):
    (folder / 'metrics.json').write_text('{')
    with pytest.raises(ConfigError, match=r'metrics\.json is damaged'):
        read_scores(folder, 'dice')
    (folder / 'test_record.json').write_text(json.dumps({'format': 'other'}))
    with pytest.raises(ConfigError, match=r"expected the format 'mmseg_medical\.test_record/1', found 'other'"):
        read_record(folder)
