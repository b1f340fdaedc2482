from mmseg_medical.engine.checkpoint_hook import CheckpointHook
from mmseg_medical.engine.prediction_hook import PredictionHook
from mmseg_medical.engine.progress_hook import ProgressHook
from mmseg_medical.engine.report_hook import SegReportHook

__all__ = ['CheckpointHook', 'PredictionHook', 'ProgressHook', 'SegReportHook']
