# Without augmentation; patches are still drawn at random.
_base_ = '../acdc.py'
train_pipeline = [*_base_.train_pipeline[:2], _base_.train_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
