"""mmcv's compiled operator behind the same signature."""

from __future__ import annotations

from functools import cache

from torch import Tensor

from mmseg_medical.ops.deform_conv.geometry import DeformGeometry

requirement = "it needs mmcv's compiled operators, and the installed mmcv has none (`make mmcv-ops`)"


@cache
def available() -> bool:
    """Whether mmcv was installed with its compiled operators."""
    try:
        import mmcv.ops  # noqa: F401
    except ImportError:
        return False
    return True


def modulated_deform_conv2d(
    input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None, geometry: DeformGeometry
) -> Tensor:
    """See :func:`mmseg_medical.ops.modulated_deform_conv2d`; the arguments have been checked."""
    from mmcv.ops import modulated_deform_conv2d as compiled

    return compiled(
        input.contiguous(),
        offset.to(input.dtype).contiguous(),
        mask.to(input.dtype).contiguous(),
        weight.to(input.dtype),
        bias if bias is None else bias.to(input.dtype),
        geometry.stride,
        geometry.padding,
        geometry.dilation,
        geometry.groups,
        geometry.deform_groups,
    )
