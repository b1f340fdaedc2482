"""Block of the Fourier neural operator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError


class SpectralConv(nn.Module):
    """Multiply the lowest frequencies by complex matrices over the channels, drop the others.

    Args:
        channels (int): C.
        modes (int): Frequencies kept along each axis; small maps have fewer.
        negative_rows (bool): Also keep negative frequencies along H, with weights of their own. Without them, as in
            the release, waves that run up the diagonal are dropped.

    Raises:
        ConfigError: No mode is left.
    """

    def __init__(self, channels: int, modes: int = 16, negative_rows: bool = False) -> None:
        super().__init__()
        if modes < 1:
            raise ConfigError(f'an fno block keeps at least one frequency an axis, got modes={modes}')
        rows = modes * (2 if negative_rows else 1)
        self.modes, self.negative_rows = modes, negative_rows
        # (in, out, row, column, real and imaginary part): not all optimisers and reducers know complex parameters
        self.weight = nn.Parameter(torch.randn(channels, channels, rows, modes, 2) / (channels * modes**2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape; transforms are orthonormal, in float32 or better."""
        dtype = x.dtype
        # autocast does not know the meta device, on which operations are counted
        with torch.autocast('cpu' if x.is_meta else x.device.type, enabled=False):
            x = x.to(torch.promote_types(dtype, torch.float32))
            return self._filter(x).to(dtype)

    def _filter(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        rows, columns = min(self.modes, height // 2 + 1), min(self.modes, width // 2 + 1)
        negative = min(self.modes, height - rows) if self.negative_rows else 0
        # axis by axis, so that the second transform is of the columns alone that are kept
        spectrum = torch.fft.rfft(x, dim=3, norm='ortho')[..., :columns]
        spectrum = torch.fft.fft(spectrum, dim=2, norm='ortho')
        y = self._mix(spectrum[:, :, :rows], self.weight[:, :, :rows, :columns])
        if negative:
            # row -r of the spectrum has the weights modes + r - 1
            weight = self.weight[:, :, self.modes : self.modes + negative, :columns].flip(2)
            dropped = spectrum.new_zeros(*x.shape[:2], height - rows - negative, columns)
            y = torch.cat((y, dropped, self._mix(spectrum[:, :, -negative:], weight)), dim=2)
        y = torch.fft.ifft(y, n=height, dim=2, norm='ortho')
        # Columns that are their own conjugates: FFT libraries differ in what they make of an imaginary part there.
        own = [0, width // 2] if width % 2 == 0 and width // 2 < columns else [0]
        y = torch.complex(y.real, y.imag.index_fill(3, torch.tensor(own, device=y.device), 0))
        return torch.fft.irfft(y, n=width, dim=3, norm='ortho')

    @staticmethod
    def _mix(spectrum: Tensor, weight: Tensor) -> Tensor:
        """Multiply (N, C, R, K) at each frequency by a matrix of ``weight`` (C, C, R, K, 2)."""
        matrices = torch.view_as_complex(weight.to(spectrum.real.dtype))
        return torch.einsum('nihw,iohw->nohw', spectrum, matrices)


class FourierBlock(nn.Module):
    """Spectral convolution, add; 1x1 convolution C -> 2C, GELU, 1x1 convolution, add (Li et al., arXiv:2010.08895).

    Args:
        channels (int): C.
        modes (int): Frequencies kept along each axis.
        negative_rows (bool): See :class:`SpectralConv`.
        use_norm (bool): Normalise the channels before the spectral convolution. The release owns this norm and never
            calls it; then it is frozen, so that no training step waits for its gradient.

    Raises:
        ConfigError: No mode is left.
    """

    def __init__(self, channels: int, *, modes: int = 16, negative_rows: bool = False, use_norm: bool = False) -> None:
        super().__init__()
        self.spectral = SpectralConv(channels, modes, negative_rows)
        self.norm = nn.LayerNorm(channels).requires_grad_(use_norm)
        self.use_norm = use_norm
        self.mlp = nn.Sequential(nn.Conv2d(channels, 2 * channels, 1), nn.GELU(), nn.Conv2d(2 * channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) if self.use_norm else x
        x = x + self.spectral(y)
        return x + self.mlp(x)
