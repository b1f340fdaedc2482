from mmseg_medical.engine.bfloat16 import BFloat16OptimWrapper
from mmseg_medical.engine.checkpoint_hook import CheckpointHook
from mmseg_medical.engine.consistency_ramp_hook import ConsistencyRampHook
from mmseg_medical.engine.loss_epoch_hook import LossEpochHook
from mmseg_medical.engine.loss_weight_hook import LossWeightHook
from mmseg_medical.engine.no_new_best_hook import NoNewBestHook
from mmseg_medical.engine.prediction_hook import PredictionHook
from mmseg_medical.engine.progress_hook import ProgressHook
from mmseg_medical.engine.record_hook import RecordHook
from mmseg_medical.engine.report_hook import SegReportHook
from mmseg_medical.engine.validation_log_hook import ValidationLogHook

__all__ = [
    'BFloat16OptimWrapper',
    'CheckpointHook',
    'ConsistencyRampHook',
    'LossEpochHook',
    'LossWeightHook',
    'NoNewBestHook',
    'PredictionHook',
    'ProgressHook',
    'RecordHook',
    'SegReportHook',
    'ValidationLogHook',
]
