"""Spatial attention of HACDR-Net: strip, deformable and plain convolutions side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmseg_medical.models.layers.deform_conv import ModulatedDeformConv2dPack
from mmseg_medical.models.layers.spectral_gate import SpectralGate

AGGREGATIONS = ('sum', 'project', 'gate')


class StripConv(nn.Sequential):
    """Depth-wise 1xk, then kx1 convolution, "same" padding, no activation between."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        half = kernel_size // 2
        super().__init__(
            nn.Conv2d(channels, channels, (1, kernel_size), padding=(0, half), groups=channels),
            nn.Conv2d(channels, channels, (kernel_size, 1), padding=(half, 0), groups=channels),
        )


class DeformableStripConv(nn.Sequential):
    """Dense 1xk, then kx1 deformable convolution with one offset group a channel."""

    def __init__(self, channels: int, kernel_size: int, backend: str = 'auto') -> None:
        half = kernel_size // 2

        def strip(kernel: tuple[int, int], padding: tuple[int, int]) -> ModulatedDeformConv2dPack:
            return ModulatedDeformConv2dPack(
                channels, channels, kernel, padding=padding, deform_groups=channels, backend=backend
            )

        super().__init__(strip((1, kernel_size), (0, half)), strip((kernel_size, 1), (half, 0)))


class HeterogeneousAttention(nn.Module):
    r"""Attention whose map is a sum of convolutions with different reach.

    With v the normalised input, :math:`u = GELU(P_1 v)`, :math:`a = D_0 u`:

    .. math:: A(v) = P_2 (M (a + \sum_i b_i + d [+ o]) \odot u) + v

    b: strip convolutions of ``strip_kernels`` on a; d: the deformable cross convolution (k = 3) on a; o: the optional
    near-far-aware one (``optional_kernel``). The gate is linear. Source: HACDR-Net, AAAI 2024,
    doi:10.1609/aaai.v38i6.28453, and its public code.

    Args:
        channels: C.
        local_deformable: D0 is a depth-wise 5x5 deformable convolution, else a plain depth-wise one.
        strip_kernels: odd lengths of the strip pairs; empty for none.
        cross_deformable: whether d is built.
        optional_kernel: odd length of the optional branch; 0 for none.
        aggregation: ``'sum'`` (no M, no gate), ``'project'`` (M, no gate) or ``'gate'``.
        gate_input: what the map multiplies: ``'projected'`` (u) or ``'module_input'`` (v).
        project_out: whether P2 is built.
        spectral_gate: replaces the sum by a :class:`SpectralGate` of a and the branches.
        backend: of the deformable operator.

    Raises:
        ValueError: an even kernel, or an unknown ``aggregation`` or ``gate_input``.
    """

    def __init__(
        self,
        channels: int,
        *,
        local_deformable: bool = True,
        strip_kernels: Sequence[int] = (7, 11, 21),
        cross_deformable: bool = True,
        optional_kernel: int = 0,
        aggregation: str = 'gate',
        gate_input: str = 'projected',
        project_out: bool = True,
        spectral_gate: bool = False,
        backend: str = 'auto',
    ) -> None:
        super().__init__()
        for kernel in (*strip_kernels, optional_kernel or 1):
            if kernel % 2 == 0:
                raise ValueError(f'strip_kernels and optional_kernel must be odd to keep the size, found {kernel}')
        if aggregation not in AGGREGATIONS:
            raise ValueError(f'aggregation={aggregation!r} is unknown; choose one of {", ".join(AGGREGATIONS)}')
        if gate_input not in ('projected', 'module_input'):
            raise ValueError(f"gate_input={gate_input!r} is unknown; choose 'projected' or 'module_input'")
        self.gated = aggregation == 'gate'
        self.gate_input = gate_input
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.act = nn.GELU()
        self.local: nn.Module
        if local_deformable:
            self.local = ModulatedDeformConv2dPack(channels, channels, 5, padding=2, groups=channels, backend=backend)
        else:
            self.local = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.branches = nn.ModuleDict({f'strip_{k}': StripConv(channels, k) for k in strip_kernels})
        if cross_deformable:
            self.branches['cross'] = DeformableStripConv(channels, 3, backend)
        if optional_kernel:
            self.branches['optional'] = DeformableStripConv(channels, optional_kernel, backend)
        self.spectral_gate = SpectralGate(channels) if spectral_gate else None
        self.aggregate = nn.Identity() if aggregation == 'sum' else nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1) if project_out else nn.Identity()

    def attention_map(self, projected: Tensor) -> Tensor:
        """The map that gates, from u of shape (N, C, H, W); same shape."""
        local = self.local(projected)
        branches = [branch(local) for branch in self.branches.values()]
        if self.spectral_gate is not None:
            total = self.spectral_gate(local, sum(branches, torch.zeros_like(local)))
        else:
            total = sum(branches, local)
        return self.aggregate(total)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        projected = self.act(self.proj_in(x))
        out = self.attention_map(projected)
        if self.gated:
            out = out * (projected if self.gate_input == 'projected' else x)
        return self.proj_out(out) + x
