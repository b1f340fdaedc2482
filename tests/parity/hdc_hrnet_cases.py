"""HDC-HRNet's heads at a width, and the rows of blocks of its variants."""

from torch import nn

from mmseg_medical.models.decode_heads import AggregateHead

LOSS = dict(loss_decode=dict(type='mmseg_medical.HDCHRNetLoss'))
SUPERVISED = dict(supervision_weights=(0.4, 0.3, 0.2, 0.1))
DCN_222 = (('dcn',) * 2,) * 3
HYBRID = tuple(('inverted_residual', 'dcn') * n for n in (1, 2, 3))


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def widths(c: int) -> list[int]:
    return [c, 2 * c, 4 * c, 8 * c]


def head(c: int, kind=AggregateHead, **options) -> nn.Module:
    return kind(widths(c), **LOSS, **options)
