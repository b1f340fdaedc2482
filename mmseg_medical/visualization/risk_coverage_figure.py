"""Risk over coverage as PNG."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmseg_medical.evaluation.functional.risk_coverage import RiskCoverage
from mmseg_medical.visualization.canvas import SERIES, SOFT, new_panels, png, write_in

# share of the voxels from which on curves set the height of the axis
_SETTLED = 0.05


def risk_coverage_figure(voxels: Mapping[str, RiskCoverage], cases: RiskCoverage | None, name: str) -> bytes:
    """Draw the curves of the voxels of each case, and that of the cases.

    Args:
        voxels (Mapping): case -> curve, risk in rates of wrong voxels.
        cases (RiskCoverage | None): Risk is 1 - Dice.
        name (str): Of the map.

    Returns:
        bytes: PNG.
    """
    figure, (left, right) = new_panels(2, 5.2, 4.2, columns=2)
    for curve in voxels.values():
        coverage, risk = curve.thinned()
        left.plot(coverage, risk, color=SERIES[0], alpha=max(0.3, 1 / len(voxels)), linewidth=1.2)
    areas = [(curve.aurc, curve.optimal) for curve in voxels.values()]
    if areas:
        area, best = np.mean(areas, axis=0)
        left.set_title(f'Voxels of {len(areas)} cases: AURC {area:.2g}, best order {best:.2g}', fontsize=10)
    left.set(xlim=(0, 1), xlabel=f'coverage, certain voxels first ({name})', ylabel='rate of wrong voxels')
    # the first few voxels alone reach any height
    top = max((float(c.risk[c.coverage >= _SETTLED].max()) for c in voxels.values()), default=0.0)
    left.set_ylim(0, 1.15 * top if top > 0 else 1)
    if cases is None:
        write_in(right, 'no case has a Dice score')
        return png(figure)
    right.plot(cases.coverage, cases.risk, color=SERIES[1], marker='o', markersize=3, linewidth=1.6)
    right.axhline(cases.full_risk, color=SOFT, linewidth=1, linestyle='--', label='any order')
    right.set_title(f'{cases.number} cases: AURC {cases.aurc:.3g}, best order {cases.optimal:.3g}', fontsize=10)
    right.set(xlim=(0, 1.02), xlabel=f'coverage, certain cases first (mean {name})', ylabel='1 - Dice of what is kept')
    right.set_ylim(0, 1.15 * float(cases.risk.max()) or 1)
    right.legend(frameon=True, framealpha=0.9, edgecolor='none')
    return png(figure)
