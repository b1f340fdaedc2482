"""Child registries of MMSegmentation's, scope ``mmseg_medical``.

A type that a config names is searched here first, then in mmseg, then in mmengine. The modules
that register something are imported when a registry is first asked, never at ``import mmseg_medical``.
"""

from __future__ import annotations

import difflib
from typing import Any

from mmengine.registry import Registry as _MMEngineRegistry
from mmseg import registry as _mmseg


class Registry(_MMEngineRegistry):
    """mmengine's registry whose error on an unknown name lists the names that look like it."""

    def get(self, key: str) -> Any:
        """Look ``key`` up here and in the parents.

        Raises:
            KeyError: nothing of that name is registered; the message lists near matches.
        """
        found = super().get(key)
        if found is not None:
            return found
        known = self._known_names()
        near = difflib.get_close_matches(key.rsplit('.', 1)[-1], known, n=5, cutoff=0.5)
        hint = f'Did you mean {" or ".join(near)}?' if near else 'Nothing registered has a similar name.'
        raise KeyError(
            f'type={key!r} in the config is not a known {self.name}. {hint} If it is your own class, '
            f'name the module that registers it in the config: custom_imports=dict(imports=["your.module"])'
        )

    def _known_names(self) -> list[str]:
        names: set[str] = set()
        registry: _MMEngineRegistry | None = self
        while registry is not None:
            registry.import_from_location()
            names.update(registry.module_dict)
            registry = registry.parent
        return sorted(names)


_SCOPE = 'mmseg_medical'

DATASETS = Registry('dataset', parent=_mmseg.DATASETS, scope=_SCOPE, locations=['mmseg_medical.datasets'])
TRANSFORMS = Registry(
    'transform', parent=_mmseg.TRANSFORMS, scope=_SCOPE, locations=['mmseg_medical.datasets.transforms']
)
MODELS = Registry('model', parent=_mmseg.MODELS, scope=_SCOPE, locations=['mmseg_medical.models'])
METRICS = Registry('metric', parent=_mmseg.METRICS, scope=_SCOPE, locations=['mmseg_medical.evaluation.metrics'])
HOOKS = Registry('hook', parent=_mmseg.HOOKS, scope=_SCOPE, locations=['mmseg_medical.engine'])
