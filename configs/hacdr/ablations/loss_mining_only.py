# NALoss: mining, no noise.
_base_ = '../idrid_naloss.py'
na_loss = dict(_base_.model.decode_head.loss_decode[1], sigma=0.0)
model = dict(decode_head=dict(loss_decode=[_base_.model.decode_head.loss_decode[0], na_loss]))
