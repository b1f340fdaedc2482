# One channel and a sigmoid, as the replication's pipeline is configured.
_base_ = '../luna16.py'
model = dict(decode_head=dict(mode='sigmoid'))
