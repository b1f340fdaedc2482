"""Small implicit heads, and the specification's formulas for them, written out point by point."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from mmseg_medical.models.layers.gabor import EnergyGatedGaborHead, GaborHead
from mmseg_medical.models.layers.shearlet import ShearletHead

HEADS = {
    'shearlet': lambda channels, **kw: ShearletHead(channels, 3, **{'hidden': 4, **kw}),
    'wide shearlet': lambda channels, **kw: ShearletHead(channels, 3, hidden=32, **kw),
    'gabor': lambda channels, **kw: GaborHead(channels, 3, hidden=32, functions=5, **kw),
    'gated': lambda channels, **kw: EnergyGatedGaborHead(channels, 3, hidden=32, functions=5, **kw),
}


def build(name, channels, **kwargs):
    torch.manual_seed(0)
    head = HEADS[name](channels, **kwargs).double()
    for parameter in head.parameters():
        if not parameter.any() or parameter.numel() == 1:  # what starts at 0 would hide what it multiplies
            nn.init.normal_(parameter, std=0.3)
    return head


def streams(sizes, batch=2):
    torch.manual_seed(1)
    maps = [torch.randn(batch, 9 + i, *size, dtype=torch.float64) for i, size in enumerate(sizes)]
    return maps, sum(x.shape[1] for x in maps)


def enlarge(x, size):
    return F.interpolate(x, size, mode='bilinear', align_corners=True)


def points(x):
    return x.flatten(2).transpose(1, 2)


def formula(head, maps, size, energy=None):
    """The specification's formulas on joined features and all points at once."""
    joined = torch.cat([enlarge(x, maps[0].shape[2:]) for x in maps], dim=1)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n, dtype=torch.float64) for n in size), indexing='ij')
    xy = torch.stack((x.flatten(), y.flatten()), dim=1).expand(len(joined), -1, -1)
    gate = None if energy is None else points(enlarge(energy, size))
    if isinstance(head, ShearletHead):
        logits = shearlet_formula(head, xy, points(enlarge(joined, size)), gate)
    elif isinstance(head, GaborHead):
        feature = points(enlarge(stem_formula(head, joined), size))
        hidden = torch.cat((basis_formula(head.decoder.basis, xy), feature), dim=-1)
        logits = head.decoder.rest(head.decoder.first(hidden))
    else:
        feature = points(enlarge(stem_formula(head, joined), size))
        logits = gated_formula(head.decoder, xy, feature, gate)
    return logits.transpose(1, 2).reshape(len(joined), -1, *size)


def shearlet_formula(head, xy, feature, gate):
    raw = head.controller.net(feature)
    (freq, sx, sy), shear = (F.softplus(raw[..., :3]) + 0.1).unbind(-1), 2 * raw[..., 3].tanh()
    values = []
    for multiplier in head.freq_scales:
        for angle in head.shearlet_basis.base_angles:
            c, s = angle.cos(), angle.sin()
            u, v = xy[..., 0] * c - xy[..., 1] * s, xy[..., 0] * s + xy[..., 1] * c
            q = u + shear * v
            values.append(
                torch.exp(-((q * sx) ** 2 + (v * sy) ** 2) / 2) * torch.cos(2 * math.pi * multiplier * freq * q)
            )
    joined = torch.cat((head.coord_encoder(xy), torch.stack(values, dim=-1), feature), dim=-1)
    return head.decoder(joined if gate is None else joined * gate)


def stem_formula(head, joined):
    conv, norm, act = head.stem
    return act(norm(F.conv2d(joined, conv.weight, conv.bias)))


def basis_formula(basis, xy):
    cosines, sines = [], []
    for k in range(len(basis.phases)):
        direction = basis.directions[k] / basis.directions[k].norm()
        p = xy @ direction
        window = torch.exp(-(p**2) / (2 * (basis.widths[k].abs() + 0.01) ** 2 + 1e-8))
        phase = 2 * math.pi * (basis.frequencies[k].abs() + 0.1) * p + basis.phases[k]
        cosines.append(window * phase.cos())
        sines.append(window * phase.sin())
    return torch.stack((*cosines, *sines), dim=-1)


def gated_formula(decoder, xy, feature, gate):
    x = torch.sin(30 * F.linear(basis_formula(decoder.basis, xy), decoder.first.weight, decoder.first.bias))
    for layer, film in zip(decoder.layers, decoder.films, strict=False):
        x = torch.sin(30 * F.linear(x, layer.weight, layer.bias)) * film.scale(feature) + film.shift(feature)
    x = x * decoder.films[2].scale(feature) + decoder.films[2].shift(feature)
    return decoder.output(x) * torch.sigmoid(decoder.gate_scale * gate + decoder.gate_shift)
