"""How the parts of implicit heads start."""

import math

import pytest
import torch

from mmseg_medical.models.layers.gabor_basis import FeatureModulation, GaborBasis, SineLayer
from mmseg_medical.models.layers.shearlet import ShearletHead


def test_shearlet_starts_with_the_same_wave_packet_everywhere():
    shape = ShearletHead(5, 2).controller.shape_of(torch.randn(2, 3, 256))
    assert [s.unique().tolist() for s in shape] == [[pytest.approx(v, abs=1e-6)] for v in (1.413262,) * 3 + (0.0,)]
    assert ShearletHead(5, 2).shearlet_basis.base_angles.tolist() == pytest.approx([k * math.pi / 8 for k in range(8)])
    assert ShearletHead(5, 2).freq_scales.tolist() == pytest.approx([0.5, 5 / 3, 17 / 6, 4])


def test_gabor_basis_starts_spread():
    basis = GaborBasis()
    assert basis.frequencies[[0, -1]].tolist() == pytest.approx([1, 10])
    assert basis.frequencies.log().diff().std() < 1e-6
    assert basis.widths[[0, -1]].tolist() == pytest.approx([0.1, 2])
    assert (basis.directions.norm(dim=1) - 1).abs().max() < 1e-6
    assert 0 <= basis.phases.min() < 1 < 5 < basis.phases.max() <= 2 * math.pi


def test_sine_layers_start_as_in_siren():
    first, later = SineLayer(50, 400, first=True), SineLayer(50, 400)
    assert first.weight.abs().max().item() == pytest.approx(1 / 50, rel=1e-3)
    assert later.weight.abs().max().item() == pytest.approx(math.sqrt(6 / 50) / 30, rel=1e-3)


def test_modulation_starts():
    x, feature = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    film = FeatureModulation(8, 8)
    assert torch.equal(film.modulate(x, film(feature)), x)
    released = FeatureModulation(8, 8, 'released')
    assert (released.scale.weight[:, :2] == 1).all()
    assert not (released.scale.weight[:, 2:] == 1).any()
