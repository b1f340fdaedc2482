"""What implicit heads allocate and keep for the gradient."""

import pytest
import torch
from allocations import Allocations
from implicit_cases import build

from mmseg_medical.models.layers.shearlet import ShearletHead


@pytest.mark.parametrize('name', ['wide shearlet', 'gabor', 'gated'])
def test_memory_does_not_grow_with_the_grid(name):
    """Beside features and logits nothing is larger than a chunk of the widest layer."""
    channels, classes, chunk = 4, 3, 64
    # the stem's maps of the Gabor heads are features as well
    features, width = {'wide shearlet': (4, 2 * 32), 'gabor': (32, 32), 'gated': (32, 6 * 32)}[name]
    head = build(name, channels, chunk_points=chunk)
    for size in (12, 24, 48):
        x = torch.randn(1, channels, size, size, dtype=torch.float64)
        with torch.no_grad(), Allocations() as allocations:
            head(x, (size, size))
        assert allocations.largest == max(max(features, classes) * size**2, width * max(chunk, 32))
        head.chunk_points = size**2
        with torch.no_grad(), Allocations() as allocations:
            head(x, (size, size))
        assert allocations.largest == max(features, width) * size**2
        head.chunk_points = chunk


def saved(head, x, size):
    """Elements kept for the gradient, those of parameters and input left out."""
    known = {p.untyped_storage().data_ptr() for p in head.parameters()} | {x.untyped_storage().data_ptr()}
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        head(x, size).sum().backward()
    return sum(t.numel() for pointer, t in kept.items() if pointer not in known)


def test_training_keeps_nothing_of_a_chunk():
    """What is kept beside features are coordinates, two numbers a point; without chunks it is all layers' values."""
    x = torch.randn(1, 6, 20, 20, requires_grad=True)
    head = ShearletHead(6, 3, hidden=32, chunk_points=50)
    assert saved(head, x, (20, 20)) <= 2 * 400 + sum(p.numel() for p in head.parameters())
    head.chunk_points = 400
    assert saved(head, x, (20, 20)) > 400 * 6 * 32
