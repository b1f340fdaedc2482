# Branches: with the optional near-far-aware one (ONFA) of length 5.
_base_ = '../idrid.py'
model = dict(backbone=dict(optional_kernel=5))
