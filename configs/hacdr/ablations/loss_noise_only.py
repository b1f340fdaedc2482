# NALoss: noise, no mining (threshold at infinity).
_base_ = '../idrid_naloss.py'
na_loss = dict(_base_.model.decode_head.loss_decode[1], mining=False)
model = dict(decode_head=dict(loss_decode=[_base_.model.decode_head.loss_decode[0], na_loss]))
