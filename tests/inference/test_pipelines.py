"""What of a config's pipeline an image without labels goes through."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmseg_medical import apis
from mmseg_medical.errors import ConfigError
from mmseg_medical.inference import Predictor
from mmseg_medical.inference.pipelines import build_pipeline, pipeline_steps
from mmseg_medical.inference.stored_config import check_safe

LOAD, LABELS, TURN = dict(type='LoadVolume'), dict(type='LoadVolumeAnnotations'), dict(type='ReorientVolume')


def types(cfg: dict, key: str = 'pipeline') -> list:
    return [step['type'] for step in pipeline_steps(Config(cfg), key)]


def test_labels_are_not_loaded():
    loader = dict(test_dataloader=dict(dataset=dict(pipeline=[LOAD, LABELS, TURN])))
    assert types(loader) == ['LoadVolume', 'ReorientVolume']
    assert types(dict(test_pipeline=[dict(type='LoadFundusImage'), dict(type='mmseg.LoadAnnotations')])) == [
        'LoadFundusImage'
    ]


def test_a_pipeline_of_its_own_comes_first():
    """A network that takes any resolution need not have its images resampled as for scoring."""
    cfg = dict(test_dataloader=dict(dataset=dict(pipeline=[LOAD, TURN])), predict_pipeline=[LOAD])
    assert types(cfg) == ['LoadVolume']
    with pytest.raises(ConfigError, match=r'predict_pipeline\.0\.type of the model directory'):
        check_safe(dict(predict_pipeline=[dict(type='os.system')]))


def test_labels_inside_of_views():
    views = dict(type='TestTimeAug', transforms=[[dict(type='RandomFlip')], [dict(type='LoadLesionAnnotations')]])
    (step,) = pipeline_steps(Config(dict(tta_pipeline=[views])), 'tta_pipeline')
    assert step == dict(type='TestTimeAug', transforms=[[dict(type='RandomFlip')]])


def test_none_and_wrong_ones():
    with pytest.raises(ConfigError, match=r'no test_dataloader\.dataset\.pipeline'):
        pipeline_steps(Config(dict()))
    with pytest.raises(ConfigError, match='no tta_pipeline'):
        pipeline_steps(Config(dict()), 'tta_pipeline')
    with pytest.raises(ConfigError, match='test pipeline of the config'):
        build_pipeline([dict(type='ReorientVolume', axis='RAS')])


def test_names_of_norms_are_no_types():
    check_safe(dict(model=dict(type='VolumeSegmentor', backbone=dict(type='UNet', norm=dict(type='group')))))
    with pytest.raises(ConfigError, match=r'model\.head\.type'):
        check_safe(dict(model=dict(type='VolumeSegmentor', head=dict(type='group'))))


def test_predictor_is_one_of_the_few_names():
    assert apis.Predictor is Predictor
    with pytest.raises(AttributeError, match="no attribute 'Predict'"):
        apis.Predict  # noqa: B018
