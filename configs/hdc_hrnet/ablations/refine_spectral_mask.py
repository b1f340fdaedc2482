# Features pass a learned mask of the spectrum, which fits one size: that of the released preprocessing.
_base_ = '../acdc_released.py'
model = dict(decode_head=dict(refine=dict(type='SpectralMask', size=(224, 224))))
