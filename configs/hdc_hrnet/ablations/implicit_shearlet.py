# Implicit head: mixed with a shearlet head by a share that is learnt.
_base_ = '../acdc.py'
model = dict(decode_head=dict(implicit=dict(type='ShearletHead')))
