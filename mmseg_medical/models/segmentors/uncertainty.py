"""How far the members of an ensemble, or samples of dropout, agree: sums over members, and maps from them.

Predictive entropy H(mean p), mutual information H(mean p) - mean H(p) (BALD; Houlsby et al. 2011, arXiv:1112.5745; of
dropout Gal, Islam and Ghahramani 2017, arXiv:1703.02910), and the variance of the probability of foreground.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Frame
from mmseg_medical.models.segmentors.averaging import AS_IT_IS, Network, View, averaged

#: channels behind the K mean probabilities: mean entropy, mean and mean square of the probability of foreground
NUM_SUMS = 3


def entropy(probabilities: Tensor, multi_label: bool, dim: int = 0) -> Tensor:
    """Entropy in nats; of masks that may overlap, and of a single one, the sum of those of each.

    Args:
        probabilities (Tensor): Classes along ``dim``.
        multi_label (bool): Whether classes may overlap.
        dim (int): It is kept, with length 1.
    """
    terms = torch.special.entr(probabilities)
    if multi_label or probabilities.shape[dim] == 1:
        terms = terms + torch.special.entr(1 - probabilities)
    return terms.sum(dim, keepdim=True)


def foreground(probabilities: Tensor, multi_label: bool, dim: int = 0) -> Tensor:
    """Probability of not being background; of masks that may overlap that of being in any, as if independent.

    Args:
        probabilities (Tensor): Classes along ``dim``.
        multi_label (bool): Whether classes may overlap.
        dim (int): It is kept, with length 1.
    """
    if multi_label or probabilities.shape[dim] == 1:
        return 1 - (1 - probabilities).prod(dim, keepdim=True)
    return 1 - probabilities.narrow(dim, 0, 1)


def member_sums(
    members: Sequence[Network],
    activate: Callable[[Tensor, int], Tensor],
    multi_label: bool,
    views: Sequence[View] = (AS_IT_IS,),
) -> Network:
    """Make one network that gives what the maps of :func:`uncertainty_maps` need, whatever the number of members.

    All its channels are means, and so may be averaged further, over windows, planes and by interpolation: what is
    averaged then counts as more members, and neither variance nor mutual information gets negative.

    Args:
        members (Sequence[callable]): Networks; one whose dropout is on may be named several times.
        activate (callable): Logits and the axis of the classes to probabilities.
        multi_label (bool): Whether classes may overlap.
        views (Sequence[View]): Averaged within each member.

    Returns:
        callable: (N, C, *S), and frames, to (N, K + 3, *S): mean probabilities, and :data:`NUM_SUMS` more.
    """
    networks = [averaged([member], activate, views) for member in members]

    def sums(inputs: Tensor, *frames: Sequence[Frame]) -> Tensor:
        total: Tensor | None = None
        for network in networks:
            probabilities = network(inputs, *frames)
            certain = foreground(probabilities, multi_label, 1)
            parts = (probabilities, entropy(probabilities, multi_label, 1), certain, certain.square())
            part = torch.cat(parts, 1)
            total = part if total is None else total.add_(part)
        if total is None:
            raise ConfigError('uncertainty needs at least one network')
        return total.div_(len(networks))

    return sums


def uncertainty_maps(sums: Tensor, multi_label: bool) -> dict[str, Tensor]:
    """Maps of the uncertainty.

    Args:
        sums (Tensor): shape (K + 3, *S), see :func:`member_sums`.
        multi_label (bool): Whether classes may overlap.

    Returns:
        dict[str, Tensor]: shape (*S) each: ``foreground`` (mean probability), ``variance`` (of it, over the members,
        divided by their number), ``entropy`` and ``mutual_information``, in nats.
    """
    probabilities, (expected, mean, square) = sums[:-NUM_SUMS], sums[-NUM_SUMS:]
    total = entropy(probabilities, multi_label)[0]
    return dict(
        foreground=mean,
        variance=(square - mean.square()).clamp_min(0),  # rounding alone makes it negative
        entropy=total,
        mutual_information=(total - expected).clamp_min(0),
    )


def switch_on_dropout(model: nn.Module) -> int:
    """Let the dropout layers of a model in evaluation mode draw, and nothing else of it.

    Returns:
        int: Their number.

    Raises:
        ConfigError: There is none with a rate above 0.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, _DropoutNd) and layer.p > 0]
    if not layers:
        raise ConfigError(
            f'mc_dropout samples dropout, and this {type(model).__name__} has no dropout layer with a rate above 0. '
            'Train it with some (model.backbone.drop_rate=0.1 of MedicalUNet, dropout_ratio of mmseg heads), or use '
            'several checkpoints, an ensemble.'
        )
    for layer in layers:
        layer.train()
    return len(layers)
