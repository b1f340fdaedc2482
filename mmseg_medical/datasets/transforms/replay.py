from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import TRANSFORMS


def replay_augmentations(results: dict[str, Any], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Do to a sample again what was drawn for it.

    Args:
        results (dict): The sample as it was before the first random transform; not changed.
        records (Sequence[Mapping]): Its ``augmentations``, also after a way through JSON.

    Returns:
        dict: The sample as it was after the last one. Transforms that draw nothing are not done in between.

    Raises:
        ConfigError: A record is of a transform that cannot be replayed.
    """
    results = dict(results)
    for record in records:
        replay = getattr(TRANSFORMS.get(record['type']), 'replay', None)
        if replay is None:
            raise ConfigError(f'{record["type"]} cannot be replayed: it has no method of that name')
        results = replay(results, record)
    return results
