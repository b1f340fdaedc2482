"""Surface metrics of all classes from one computation of distances."""

from mmseg_medical.evaluation.functional.surface.distances import SurfaceDistances, surface_distances
from mmseg_medical.evaluation.functional.surface.metrics import assd, hausdorff, masd, nsd

__all__ = ['SurfaceDistances', 'assd', 'hausdorff', 'masd', 'nsd', 'surface_distances']
