"""What data sets of lung nodules share: annotations, masks made of them, contours of LIDC-IDRI."""

from mmseg_medical.datasets.lung_nodules.annotations import Nodules, read_annotations
from mmseg_medical.datasets.lung_nodules.series import find_series
from mmseg_medical.datasets.lung_nodules.spheres import check_inside, sphere_labels

__all__ = ['Nodules', 'check_inside', 'find_series', 'read_annotations', 'sphere_labels']
