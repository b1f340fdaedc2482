# The release's base network: C = 48 with point refinement.
_base_ = './hrnet_dcn.py'
model = dict(decode_head=dict(type='PointRendHead'))
