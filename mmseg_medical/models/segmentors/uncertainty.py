"""How far the members of an ensemble, or samples of dropout, agree.

Predictive entropy H(mean p), mutual information H(mean p) - mean H(p) (BALD; Houlsby et al. 2011, arXiv:1112.5745; of
dropout Gal, Islam and Ghahramani 2017, arXiv:1703.02910), and the variance of the probability of foreground.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from mmseg_medical.errors import ConfigError


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


class MemberSums:
    """Takes the probabilities of one member after the other; memory does not grow with their number.

    Add them on the grid where the maps are wanted: what is interpolated or merged after the entropy was taken would
    look like disagreement.

    Args:
        multi_label (bool): Whether classes may overlap.
    """

    def __init__(self, multi_label: bool) -> None:
        self.multi_label = multi_label
        self._number = 0
        self._probabilities: Tensor | None = None
        self._others = torch.zeros(3, 1)  # sums of entropies, of probabilities of foreground and of their squares

    def add(self, probabilities: Tensor) -> None:
        """Add a member.

        Args:
            probabilities (Tensor): shape (K, *S).
        """
        certain = foreground(probabilities, self.multi_label)
        others = torch.cat((entropy(probabilities, self.multi_label), certain, certain.square()))
        if self._probabilities is None:
            self._probabilities, self._others = probabilities.clone(), others
        else:
            self._probabilities += probabilities
            self._others += others
        self._number += 1

    def probabilities(self) -> Tensor:
        """Mean over the members, shape (K, *S).

        Raises:
            ConfigError: There is none.
        """
        if self._probabilities is None:
            raise ConfigError('uncertainty needs at least one network')
        return self._probabilities / self._number

    def maps(self) -> dict[str, Tensor]:
        """Maps of the uncertainty.

        Returns:
            dict[str, Tensor]: shape (*S) each: ``foreground`` (mean probability), ``variance`` (of it, over the
            members, divided by their number), ``entropy`` and ``mutual_information``, in nats.

        Raises:
            ConfigError: There is no member.
        """
        total = entropy(self.probabilities(), self.multi_label)[0]
        expected, mean, square = (one / self._number for one in self._others)
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
