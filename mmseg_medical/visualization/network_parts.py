"""Which modules of a network are shown as its parts, and what is said of them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_iter

from mmseg_medical.models.layers import ModulatedDeformConv2d


class CallTree:
    """As a context: notes which modules call which, and the sizes of what they give.

    Args:
        network (nn.Module): Is run inside the context.
        rank (int): Number of spatial axes: tensors (N, C, *S) with as many count as maps.
    """

    def __init__(self, network: nn.Module, rank: int) -> None:
        self._names = {module: name for name, module in network.named_modules()}
        self._root, self._rank = network, rank
        self._children: dict[nn.Module, dict[nn.Module, None]] = {}
        self._sizes: dict[nn.Module, set[tuple[int, ...]]] = {}
        self._stack: list[nn.Module] = []
        self._handles: list[Any] = []

    def __enter__(self) -> CallTree:
        for module in self._names:
            self._handles.append(module.register_forward_pre_hook(self._before))
            self._handles.append(module.register_forward_hook(self._after))
        return self

    def __exit__(self, *error: Any) -> None:
        for handle in self._handles:
            handle.remove()

    def _before(self, module: nn.Module, args: Any) -> None:
        if self._stack:
            self._children.setdefault(self._stack[-1], {})[module] = None
        self._stack.append(module)

    def _after(self, module: nn.Module, args: Any, result: Any) -> None:
        self._stack.pop()
        maps = (t for t in tree_iter(result) if isinstance(t, Tensor) and t.ndim == self._rank + 2)
        self._sizes.setdefault(module, set()).update(tuple(t.shape[2:]) for t in maps)

    @property
    def composite(self) -> set[str]:
        """Names of modules that call others with parameters."""
        return {self._names[module] for module in self._names if self._called(module)}

    def parts(self, depth: int) -> dict[str, nn.Module]:
        """Unfold the network.

        Args:
            depth (int): Levels of modules that are unfolded at most.

        Returns:
            dict[str, nn.Module]: dotted name -> module; none is inside another.
        """
        found: dict[str, nn.Module] = {}
        self._collect(self._root, depth, found)
        return found

    def _collect(self, module: nn.Module, depth: int, found: dict[str, nn.Module]) -> None:
        children = self._called(module)
        if children and (module is self._root or (depth > 0 and self._unfolds(module, children))):
            for child in children:
                self._collect(child, depth - 1, found)
        else:
            found[self._names[module]] = module

    def _unfolds(self, module: nn.Module, children: list[nn.Module]) -> bool:
        several = len(self._all_sizes(module)) > 1
        return several and any(self._called(child) for child in children)

    def _called(self, module: nn.Module) -> list[nn.Module]:
        return [child for child in self._children.get(module, {}) if next(child.parameters(), None) is not None]

    def _all_sizes(self, module: nn.Module) -> set[tuple[int, ...]]:
        sizes = set(self._sizes.get(module, set()))
        for child in self._called(module):
            sizes |= self._all_sizes(child)
        return sizes


def block_names(part: nn.Module) -> tuple[str, ...]:
    """Class names of what stands in a row in a ``nn.Sequential``, or of the module itself."""
    return tuple(type(block).__name__ for block in _blocks(part))


def dilations(part: nn.Module) -> tuple[int, ...]:
    """Largest dilation of a convolution in each block; 1 where there is none."""
    return tuple(max((_dilation(module) for module in block.modules()), default=1) for block in _blocks(part))


def is_deformable(part: nn.Module) -> bool:
    """Whether a deformable convolution is inside."""
    return any(isinstance(module, ModulatedDeformConv2d) for module in part.modules())


def _blocks(part: nn.Module) -> list[nn.Module]:
    if type(part) is not nn.Sequential:
        return [part]
    inside = [child for child in part if next(child.parameters(), None) is not None]
    return [block for child in inside for block in _blocks(child)]


def _dilation(module: nn.Module) -> int:
    kernel, dilation = getattr(module, 'kernel_size', 1), getattr(module, 'dilation', 1)
    if not isinstance(kernel, int | tuple) or not isinstance(dilation, int | tuple):
        return 1
    kernels = kernel if isinstance(kernel, tuple) else (kernel,)
    steps = dilation if isinstance(dilation, tuple) else (dilation,) * len(kernels)
    # a kernel of one pixel has no dilation, whatever it says
    return max((d for k, d in zip(kernels, steps, strict=False) if k > 1), default=1)
