# The consistency rises over 20 epochs, which the authors found harmful.
_base_ = '../hippocampus.py'
custom_hooks = [*_base_.custom_hooks, dict(type='ConsistencyRampHook', start_epoch=20)]
