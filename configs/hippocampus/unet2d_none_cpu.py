# The same without the coordinate head: a 1x1 convolution classifies the maps of the decoder.
_base_ = './unet2d_inr_cpu.py'
head = dict(_base_.model.decode_head, type='VolumeHead', _delete_=True)
head.pop('implicit')
model = dict(decode_head=head)
