from mmseg_medical.engine.checkpoint_hook import CheckpointHook

__all__ = ['CheckpointHook']
