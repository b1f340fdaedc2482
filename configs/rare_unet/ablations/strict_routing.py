_base_ = '../hippocampus.py'
model = dict(backbone=dict(routing=dict(strict=True)))
