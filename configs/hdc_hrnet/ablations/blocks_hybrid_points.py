# Blocks of the hybrid, with the released point refinement; the original list has this one twice and not the other.
_base_ = './blocks_hybrid.py'
model = dict(decode_head=dict(type='PointRendHead'))
