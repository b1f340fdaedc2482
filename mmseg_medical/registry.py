"""Child registries of MMSegmentation's, scope ``mmseg_medical``.

A type that a config names is searched here first, then in mmseg, then in mmengine. The modules
that register something are imported when a registry is first asked, never at ``import mmseg_medical``.
"""

from __future__ import annotations

from typing import Any

from mmengine.registry import Registry as _MMEngineRegistry
from mmseg import registry as _mmseg

from mmseg_medical.errors import did_you_mean


class Registry(_MMEngineRegistry):
    """mmengine's registry whose error on an unknown name lists the names that look like it."""

    def get(self, key: str) -> Any:
        """Look ``key`` up here and in the parents.

        Raises:
            KeyError: nothing of that name is registered; the message lists near matches.
        """
        found = super().get(key)
        if found is None:
            self._import_parents()  # mmengine looks into them without importing what registers itself there
            found = super().get(key)
        if found is not None:
            return found
        hint = did_you_mean(key.rsplit('.', 1)[-1], self._known_names(), cutoff=0.5, most=5)
        hint = hint or ' Nothing registered has a similar name.'
        raise KeyError(
            f'type={key!r} in the config is not a known {self.name}.{hint} If it is your own class, '
            f'name the module that registers it in the config: custom_imports=dict(imports=["your.module"])'
        )

    def _import_parents(self) -> None:
        parent = self.parent
        while parent is not None:
            parent.import_from_location()
            parent = parent.parent

    def _known_names(self) -> list[str]:
        names: set[str] = set()
        registry: _MMEngineRegistry | None = self
        while registry is not None:
            names.update(registry.module_dict)
            registry = registry.parent
        return sorted(names)


_SCOPE = 'mmseg_medical'

DATASETS = Registry('dataset', parent=_mmseg.DATASETS, scope=_SCOPE, locations=['mmseg_medical.datasets'])
DATA_SAMPLERS = Registry(
    'data sampler', parent=_mmseg.DATA_SAMPLERS, scope=_SCOPE, locations=['mmseg_medical.datasets.samplers']
)
TRANSFORMS = Registry(
    'transform', parent=_mmseg.TRANSFORMS, scope=_SCOPE, locations=['mmseg_medical.datasets.transforms']
)
MODELS = Registry('model', parent=_mmseg.MODELS, scope=_SCOPE, locations=['mmseg_medical.models'])
METRICS = Registry('metric', parent=_mmseg.METRICS, scope=_SCOPE, locations=['mmseg_medical.evaluation.metrics'])
HOOKS = Registry('hook', parent=_mmseg.HOOKS, scope=_SCOPE, locations=['mmseg_medical.engine'])
OPTIM_WRAPPERS = Registry(
    'optimizer wrapper', parent=_mmseg.OPTIM_WRAPPERS, scope=_SCOPE, locations=['mmseg_medical.engine.bfloat16']
)

# nothing of ours is registered in these; they give this scope the errors above
EVALUATOR = Registry('evaluator', parent=_mmseg.EVALUATOR, scope=_SCOPE)
LOG_PROCESSORS = Registry('log processor', parent=_mmseg.LOG_PROCESSORS, scope=_SCOPE)
LOOPS = Registry('loop', parent=_mmseg.LOOPS, scope=_SCOPE)
MODEL_WRAPPERS = Registry('model wrapper', parent=_mmseg.MODEL_WRAPPERS, scope=_SCOPE)
OPTIMIZERS = Registry('optimizer', parent=_mmseg.OPTIMIZERS, scope=_SCOPE)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor', parent=_mmseg.OPTIM_WRAPPER_CONSTRUCTORS, scope=_SCOPE
)
PARAM_SCHEDULERS = Registry('parameter scheduler', parent=_mmseg.PARAM_SCHEDULERS, scope=_SCOPE)
RUNNERS = Registry('runner', parent=_mmseg.RUNNERS, scope=_SCOPE)
TASK_UTILS = Registry('task utility', parent=_mmseg.TASK_UTILS, scope=_SCOPE)
VISBACKENDS = Registry('visualisation back end', parent=_mmseg.VISBACKENDS, scope=_SCOPE)
VISUALIZERS = Registry('visualizer', parent=_mmseg.VISUALIZERS, scope=_SCOPE)
WEIGHT_INITIALIZERS = Registry('weight initializer', parent=_mmseg.WEIGHT_INITIALIZERS, scope=_SCOPE)
