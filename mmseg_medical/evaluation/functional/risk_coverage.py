"""Whether what is uncertain is wrong: risk of what is kept when the most uncertain is given to somebody else.

El-Yaniv and Wiener 2010, Journal of Machine Learning Research 11:1605; the area and its excess over the best order:
Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Risk over coverage.

    Attributes:
        coverage (np.ndarray): shape (P,), rising to 1: share that is kept, after each group of equal uncertainty.
        risk (np.ndarray): shape (P,), mean risk of what is kept.
        aurc (float): Area: mean over k = 1..N of the risk of the k most certain. Among equally uncertain ones it is the
            mean over all orders, exactly.
        optimal (float): Area of the best order, by the risk itself.
        number (int): N.
    """

    coverage: np.ndarray
    risk: np.ndarray
    aurc: float
    optimal: float
    number: int

    @property
    def full_risk(self) -> float:
        """Risk when all is kept, which is the area of an uncertainty that says nothing."""
        return float(self.risk[-1])

    @property
    def excess(self) -> float:
        """Area above the best one, from 0 on."""
        return self.aurc - self.optimal

    def thinned(self, points: int = 500) -> tuple[np.ndarray, np.ndarray]:
        """Return coverage and risk with about so many points, for drawing; the last one stays."""
        places = np.unique(np.linspace(0, len(self.risk) - 1, min(points, len(self.risk))).round().astype(int))
        return self.coverage[places], self.risk[places]


def risk_coverage(uncertainty: np.ndarray, risk: np.ndarray) -> RiskCoverage:
    """Risk of the most certain part, for every size of this part.

    Args:
        uncertainty (np.ndarray): shape (*N), any scale, large is uncertain.
        risk (np.ndarray): same shape: bool (wrong or not), or numbers such as 1 - Dice of a case.

    Raises:
        ValueError: Shapes differ, there is nothing, or a value is not finite.

    Example:
        >>> curve = risk_coverage(np.array([0.1, 0.2, 0.9]), np.array([False, False, True]))
        >>> curve.coverage.tolist(), curve.risk.tolist()
        ([0.3333333333333333, 0.6666666666666666, 1.0], [0.0, 0.0, 0.3333333333333333])
    """
    values, risks = np.asarray(uncertainty).reshape(-1), np.asarray(risk)
    if np.shape(uncertainty) != risks.shape or not values.size:
        raise ValueError(
            f'uncertainty and risk must have one shape and a value, got {np.shape(uncertainty)} and {risks.shape}'
        )
    risks = risks.reshape(-1).astype(np.float64)
    if not (np.isfinite(values).all() and np.isfinite(risks).all()):
        raise ValueError('uncertainty and risk must be finite')
    ends, sums = _groups(values, risks)
    number = len(risks)
    return RiskCoverage(ends / number, sums / ends, _area(ends, sums), _area(*_groups(risks, risks)), number)


def _groups(keys: np.ndarray, risks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many and what risk there is up to each group of equal keys."""
    order = np.argsort(keys, kind='stable')
    last = np.append(np.flatnonzero(np.diff(keys[order])), len(keys) - 1)
    return last + 1, np.cumsum(risks[order])[last]


def _area(ends: np.ndarray, sums: np.ndarray) -> float:
    """Mean of the risks of the k first.

    In a group of g behind m with the sum S, a mean risk r: the sum over j = 1..g of (S + r j) / (m + j) is
    r g + (S - r m) (H(m + g) - H(m)), with the harmonic numbers H.
    """
    starts, before = np.append(0, ends[:-1]), np.append(0.0, sums[:-1])
    sizes = ends - starts
    mean = (sums - before) / sizes
    harmonic = digamma(ends + 1.0) - digamma(starts + 1.0)
    return float(np.sum(mean * sizes + (before - mean * starts) * harmonic) / ends[-1])
