_base_ = [
    '../_base_/models/hacdr.py',
    '../_base_/datasets/idrid_960x1440.py',
    '../_base_/schedules/hacdr_40k.py',
    '../_base_/default_runtime.py',
]
