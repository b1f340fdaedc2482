# NALoss: hard pixels are told by their softmax probability, as the paper draws it, not by their logit.
_base_ = '../idrid_naloss.py'
na_loss = dict(_base_.model.decode_head.loss_decode[1], score='softmax')
model = dict(decode_head=dict(loss_decode=[_base_.model.decode_head.loss_decode[0], na_loss]))
