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
    binary = multi_label or probabilities.shape[dim] == 1
    total = torch.zeros_like(probabilities.narrow(dim, 0, 1))
    for one in probabilities.split(1, dim):  # class by class: no second array of all of them
        total += torch.special.entr(one)
        if binary:
            total += torch.special.entr(1 - one)
    return total


def foreground(probabilities: Tensor, multi_label: bool, dim: int = 0) -> Tensor:
    """Probability of not being background; of masks that may overlap that of being in any, as if independent.

    Args:
        probabilities (Tensor): Classes along ``dim``.
        multi_label (bool): Whether classes may overlap.
        dim (int): It is kept, with length 1.
    """
    if multi_label or probabilities.shape[dim] == 1:
        absent = torch.ones_like(probabilities.narrow(dim, 0, 1))
        for one in probabilities.split(1, dim):
            absent *= 1 - one
        return 1 - absent
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
        self._probabilities: Tensor | None = None  # sum
        # sum of the entropies; of the probability of foreground the mean, and the squares of what differs from it
        self._entropy = self._foreground = self._squares = torch.zeros(())

    def add(self, probabilities: Tensor) -> None:
        """Add a member.

        Args:
            probabilities (Tensor): shape (K, *S).
        """
        if self._probabilities is None:
            self._probabilities = torch.zeros_like(probabilities)
            self._entropy, self._foreground, self._squares = (torch.zeros_like(probabilities[0]) for _ in range(3))
        self._number += 1
        self._probabilities += probabilities
        self._entropy += entropy(probabilities, self.multi_label)[0]
        # Welford 1962, doi:10.1080/00401706.1962.10490022: where members nearly agree, the mean of squares less the
        # square of the mean would be rounding alone
        certain = foreground(probabilities, self.multi_label)[0]
        change = certain - self._foreground
        self._foreground += change / self._number
        self._squares += change * (certain - self._foreground)

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
        return dict(
            foreground=self._foreground.clone(),
            variance=self._squares / self._number,
            entropy=total,
            mutual_information=(total - self._entropy / self._number).clamp_min(0),  # rounding alone makes it negative
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
