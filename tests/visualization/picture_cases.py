"""Small cases to draw."""

from __future__ import annotations

import numpy as np

from mmseg_medical.geometry import Volume
from mmseg_medical.visualization.pictures.case import PictureCase, Structures

STRUCTURES = Structures.of(('background', 'front', 'back'))


def volume_case(case_id: str = 'a', shift: int = 1, affine: bool = True) -> PictureCase:
    """A box of two structures, predicted ``shift`` voxels off."""
    generator = np.random.default_rng(0)
    place = np.diag([1.0, 2.0, 3.0, 1.0]) if affine else None
    truth = np.zeros((1, 17, 13, 11), np.uint8)
    truth[0, 4:10, 3:7, 2:8], truth[0, 4:10, 7:11, 2:8] = 1, 2
    image = Volume(generator.random(truth.shape[1:]).astype(np.float32) + truth[0], place, case_id)
    return PictureCase(case_id, image, STRUCTURES, truth, np.roll(truth, shift, axis=1))


def photograph_case(case_id: str = 'p') -> PictureCase:
    """A photograph with lesions that overlap."""
    photograph = np.random.default_rng(0).integers(0, 255, (61, 83, 3), np.uint8)
    masks = np.zeros((2, 61, 83), np.uint8)
    masks[0, 10:30, 20:50] = 1
    masks[1, 25:26, 40:41] = 1
    return PictureCase(case_id, Volume(photograph, None, case_id, True), Structures.of(('EX', 'MA')), masks, masks)


class Cases:
    """A source in memory."""

    def __init__(self, *cases: PictureCase) -> None:
        self._cases = {case.case_id: case for case in cases}
        self.case_ids = list(self._cases)

    def load(self, case_id: str) -> PictureCase:
        return self._cases[case_id]
