"""Options that the tools share."""

import argparse
import re

import pytest

from mmseg_medical.evaluation.arguments import add_evaluation_arguments, options_from


def options(*words):
    parser = argparse.ArgumentParser()
    add_evaluation_arguments(parser)
    return options_from(parser.parse_args(['--target', 'labels', *words]))


def test_defaults():
    found = options('--num-classes', '3')
    assert found.evaluation.classes == {'class_1': (1,), 'class_2': (2,)}
    assert found.evaluation.tolerances == (1.0, 2.0)
    assert (found.evaluation.surface, found.evaluation.pooling, found.evaluation.empty) == ('voxel', 'max', 'strict')
    assert found.evaluation.ignore_index == 255
    assert (found.jobs, found.spacing_mm, found.resample_prediction, found.progress) == (1, None, False, True)


def test_every_option():
    found = options(
        '--num-classes', '4', '--class-names', 'NCR', 'ED', 'ET', '--regions', 'WT=1,2,3', 'TC=1,3',
        '--tolerance-mm', '0.5', '--surface', 'none', '--pooling', 'pooled', '--empty', 'perfect',
        '--ignore-index', '9', '--spacing-mm', '1', '2', '--resample-prediction', '--jobs', '2',
    )  # fmt: skip
    evaluation = found.evaluation
    assert evaluation.classes == {'NCR': (1,), 'ED': (2,), 'ET': (3,), 'WT': (1, 2, 3), 'TC': (1, 3)}
    assert evaluation.tolerances == (0.5,)
    assert (evaluation.surface, evaluation.pooling, evaluation.empty) == (None, 'pooled', 'perfect')
    assert evaluation.ignore_index == 9
    assert (found.jobs, found.spacing_mm, found.resample_prediction) == (2, (1.0, 2.0), True)
    assert options('--num-classes', '2', '--surface', 'surfel').evaluation.surface == 'surfel'


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--num-classes', '1'], 'there is no class to evaluate: num_classes counts the background 0, give 2 or more'),
        (['--num-classes', '4', '--surface', 'mesh'], 'surface must be one of voxel, surfel or None'),
        (['--num-classes', '4', '--pooling', 'mean'], 'pooling must be one of max, pooled'),
        (['--num-classes', '4', '--empty', 'none'], 'empty must be one of strict'),
        (['--num-classes', '4', '--regions', 'WT'], "--regions: 'WT' is not of the form NAME=LABEL,LABEL,..."),
        (['--num-classes', '4', '--regions', '=1'], "--regions: '=1' is not of the form"),
        (['--num-classes', '4', '--regions', 'WT='], "--regions: 'WT=' is not of the form"),
        (['--num-classes', '4', '--regions', 'WT=1,x'], "--regions: 'WT=1,x' is not of the form"),
        (['--num-classes', '4', '--jobs', '0'], '--jobs must be at least 1, got 0'),
        (['--num-classes', '4', '--class-names', 'a'], '4 classes need 4 names, or 3 without the background'),
        (['--num-classes', '4', '--tolerance-mm', '-1'], 'tolerances must be 0 or more, got -1.0'),
    ],
)
def test_wrong_options(words, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        options(*words)
