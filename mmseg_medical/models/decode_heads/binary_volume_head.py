"""Head for one kind of object, whose output convention is one key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.decode_heads.volume_head import VolumeHead
from mmseg_medical.registry import MODELS

#: number of channels of each convention
CHANNELS = {'softmax': 2, 'sigmoid': 1}


@MODELS.register_module()
class BinaryVolumeHead(VolumeHead):
    """:class:`VolumeHead` for one kind of object, such as nodules.

    ``mode`` decides the number of channels, what makes probabilities of them, and whether losses see a softmax or a
    sigmoid. Labels are 0 and 1 either way. The three cannot contradict each other, as in networks that are configured
    to learn by a softmax over one channel: every probability is 1 there and no gradient flows.

    Args:
        in_channels (int | Sequence[int]): Channels of the maps that get a classifier, the finest last.
        mode (str): ``'softmax'``: two channels, the larger wins; or ``'sigmoid'``: one channel, ``threshold``.
        num_classes (int | None): Number of channels, 2 with a softmax and 1 with a sigmoid; None for that.
        loss_decode (dict | Sequence[dict]): Losses; ``use_sigmoid`` is set by ``mode``.
        **options: Of :class:`VolumeHead`.

    Raises:
        ConfigError: An unknown mode, or channels, losses or ``multi_label`` of another one.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        mode: str = 'softmax',
        *,
        num_classes: int | None = None,
        loss_decode: dict | Sequence[dict] = (dict(type='DiceCELoss'),),
        **options: Any,
    ) -> None:
        if mode not in CHANNELS:
            raise ConfigError(f'mode={mode!r} is unknown; choose one of {", ".join(CHANNELS)}')
        sigmoid = mode == 'sigmoid'
        if num_classes not in (None, CHANNELS[mode]):
            raise ConfigError(
                f'mode={mode!r} has {CHANNELS[mode]} channels, got num_classes={num_classes}: leave it out, or choose '
                "mode='softmax' for 2 and mode='sigmoid' for 1; VolumeHead takes other numbers"
            )
        if options.pop('multi_label', sigmoid) != sigmoid:
            raise ConfigError(f'mode={mode!r} says multi_label={sigmoid}; leave multi_label out')
        losses = [loss_decode] if isinstance(loss_decode, dict) else loss_decode
        super().__init__(
            in_channels,
            CHANNELS[mode],
            multi_label=sigmoid,
            loss_decode=[{'use_sigmoid': sigmoid, **loss} for loss in losses],
            **options,
        )
        self.mode = mode
