# Aggregation: branches meet in the Fourier domain (the older DDHA variant).
_base_ = '../idrid.py'
model = dict(backbone=dict(spectral_gate=True))
