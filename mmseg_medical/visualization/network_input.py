"""What image a network takes, as far as its config and its layers say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mmseg_medical.errors import ConfigError

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import nn


def image_size(cfg: Config, given: Sequence[int] | None = None) -> tuple[int, ...]:
    """Size of the image that the network of a config is run with.

    Args:
        cfg (Config): Of an experiment.
        given (Sequence[int] | None): The size that is wanted; None for that of the config: of the data preprocessor,
            the backbone's ``target_size``, or the windows of the tests.

    Returns:
        tuple[int, ...]: H and W, or the three axes of a volume.

    Raises:
        ConfigError: The config states none, or what is given is no size or has another number of axes.
    """
    model = cfg.get('model') or {}
    stated = _stated(model)
    if given is None and stated is None:
        raise ConfigError('the config states no size of images: give --size H W, or three numbers for a volume')
    size = tuple(given if given is not None else stated or ())
    rank = len(stated) if stated else (model.get('backbone') or {}).get('spatial_dims')
    if len(size) not in ({rank} if rank else {2, 3}) or min(size, default=0) < 1:
        wanted = f'{rank} positive numbers' if rank else 'two positive numbers, or three for a volume'
        raise ConfigError(f'the size of an image is {wanted}, got {" ".join(map(str, size))}')
    return size


def image_channels(network: nn.Module) -> int:
    """Channels of the image, as the backbone says, or its first convolution."""
    backbone: Any = getattr(network, 'backbone', network)
    own = getattr(backbone, 'in_channels', None)
    if isinstance(own, int):
        return own
    return next((module.in_channels for module in backbone.modules() if hasattr(module, 'in_channels')), 3)


def _stated(model: Any) -> Sequence[int] | None:
    tests = model.get('test_cfg') or {}
    places = (
        (model.get('data_preprocessor') or {}).get('size'),
        (model.get('backbone') or {}).get('target_size'),
        tests.get('window'),
        tests.get('crop_size'),
    )
    return next((place for place in places if place), None)
