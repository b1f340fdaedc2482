"""mmengine's checkpoint hook, which never removes an old checkpoint before the new one is on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.hooks import CheckpointHook as _CheckpointHook

from mmseg_medical.files import PARTIAL_SUFFIX
from mmseg_medical.registry import HOOKS


class _LateRemoval:
    """A file backend that collects what it is asked to remove."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._condemned: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self._condemned.append(path)

    def execute(self, keep: set[str]) -> None:
        for path in self._condemned:
            if path not in keep and self._backend.isfile(path):
                self._backend.remove(path)
        self._condemned.clear()


@HOOKS.register_module()
class CheckpointHook(_CheckpointHook):
    """Same arguments and files as mmengine's hook of this name, which it replaces in this scope.

    mmengine removes the outdated checkpoint (``max_keep_ckpts``, ``save_best``) and then writes the new one:
    with a full disk the only good checkpoint is lost. Here removals wait until the new one is complete.
    """

    def before_train(self, runner: Any) -> None:
        """Prepare the folder; remove what an interrupted run may have left half-written."""
        super().before_train(runner)
        self.file_backend: Any = _LateRemoval(self.file_backend)
        if runner.rank == 0 and '://' not in str(self.out_dir):
            for partial in Path(self.out_dir).glob(f'.*{PARTIAL_SUFFIX}'):
                partial.unlink()

    def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        """Save by iteration."""
        super().after_train_iter(runner, *args, **kwargs)
        self._remove_outdated()

    def after_train_epoch(self, runner: Any) -> None:
        """Save by epoch."""
        super().after_train_epoch(runner)
        self._remove_outdated()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float]) -> None:
        """Save the best."""
        super().after_val_epoch(runner, metrics)
        self._remove_outdated()

    def _remove_outdated(self) -> None:
        if not isinstance(self.file_backend, _LateRemoval):
            return
        best = [getattr(self, 'best_ckpt_path', None), *getattr(self, 'best_ckpt_path_dict', {}).values()]
        self.file_backend.execute(keep={path for path in (self.last_ckpt, *best) if path})
