"""A synthetic fundus photograph with its four lesion masks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np

from mmseg_medical.datasets.lesions import LESIONS

# BGR, 0..255, before illumination
_RETINA = np.array([38, 84, 196], np.float32)
_MACULA = np.array([22, 48, 140], np.float32)
_VESSEL = np.array([20, 34, 118], np.float32)
_DISC = np.array([120, 196, 246], np.float32)
_COLOURS = {
    'EX': np.array([112, 228, 252], np.float32),
    'MA': np.array([14, 18, 84], np.float32),
    'SE': np.array([158, 204, 228], np.float32),
    'HE': np.array([12, 16, 78], np.float32),
}


class FundusPhantom(NamedTuple):
    """A photograph and the truth about it.

    Attributes:
        image (np.ndarray): shape (H, W, 3), uint8, BGR.
        masks (dict[str, np.ndarray]): lesion code to (H, W) bool; all four codes, absent lesions all False.
        field_of_view (np.ndarray): shape (H, W), bool, the lit disc.
    """

    image: np.ndarray
    masks: dict[str, np.ndarray]
    field_of_view: np.ndarray


def fundus_phantom(
    size: tuple[int, int] = (356, 536), seed: int = 0, lesions: Iterable[str] = LESIONS
) -> FundusPhantom:
    """Draw a fundus: field of view, retina, optic disc, macula, vessels, lesions, uneven light, noise.

    Sizes of lesions follow IDRiD relative to the picture's width: microaneurysms of 0.4 to 0.8 % (at least one
    pixel), haemorrhages to 5 %, clusters of exudates, soft exudates of 2 to 4 %. Lesions of different kinds overlap
    now and then.

    Args:
        size (tuple[int, int]): Height and width in pixels, at least 16 each.
        seed (int): The same seed draws the same picture.
        lesions (Iterable[str]): Codes of the lesions to draw; each of them gets at least one pixel.

    Returns:
        FundusPhantom: The picture, its masks and its field of view.

    Raises:
        ValueError: ``size`` is too small or a code is unknown.

    >>> phantom = fundus_phantom((64, 96), seed=1, lesions=['EX'])
    >>> phantom.image.shape, bool(phantom.masks['EX'].any()), bool(phantom.masks['HE'].any())
    ((64, 96, 3), True, False)
    """
    wanted = set(lesions)
    if min(size) < 16 or wanted - set(LESIONS):
        raise ValueError(
            f'a fundus phantom needs at least 16 x 16 pixels and lesions out of {LESIONS}, '
            f'found size {tuple(size)} and lesions {sorted(wanted)}'
        )
    return _Painter(size, seed).paint(wanted)


class _Painter:
    """Geometry in pixels of one phantom; colours are painted from the back to the front."""

    def __init__(self, size: tuple[int, int], seed: int) -> None:
        self.height, self.width = int(size[0]), int(size[1])
        self.rng = np.random.default_rng([seed, self.height, self.width])
        self.unit = float(min(self.width, 1.45 * self.height))  # lengths are fractions of it
        self.centre = np.array(
            [self.width / 2 + self.rng.uniform(-0.01, 0.01) * self.unit, self.height / 2], np.float64
        )
        self.radius = 0.41 * self.unit
        self.right = bool(self.rng.random() < 0.5)  # which eye: the side of the optic disc
        side = 1 if self.right else -1
        self.disc = self.centre + np.array([side * 0.72, self.rng.uniform(-0.08, 0.08)]) * self.radius
        self.macula = self.centre + np.array([-side * 0.06, self.rng.uniform(0.0, 0.1)]) * self.radius
        rows, columns = np.mgrid[: self.height, : self.width].astype(np.float32)
        self.rows, self.columns = rows, columns
        self.field = self._distance(self.centre) <= self.radius

    def paint(self, wanted: set[str]) -> FundusPhantom:
        canvas = np.ones((self.height, self.width, 3), np.float32)
        canvas *= _RETINA * self.rng.uniform(0.9, 1.08, 3).astype(np.float32)
        self._texture(canvas)
        self._blend(canvas, _MACULA, np.exp(-((self._distance(self.macula) / (0.2 * self.radius)) ** 2)) * 0.55)
        disc = _fade_out(self._distance(self.disc), 0.15 * self.radius, 0.012 * self.radius + 0.2)
        cup = np.exp(-((self._distance(self.disc) / (0.07 * self.radius)) ** 2)) * 0.35
        self._blend(canvas, _DISC, disc * 0.85 + cup * disc * 0.4)
        self._blend(canvas, _VESSEL, self._vessels() * 0.75)
        masks = {code: np.zeros((self.height, self.width), bool) for code in LESIONS}
        for code, draw in (('SE', self._soft), ('HE', self._haemorrhage), ('EX', self._hard), ('MA', self._micro)):
            generator = np.random.default_rng(self.rng.integers(2**63))  # absent lesions change nothing else
            if code in wanted:
                opacity = draw(generator)
                masks[code] = (opacity > 0.5) & self.field
                self._blend(canvas, _COLOURS[code], opacity * (0.7 if code == 'SE' else 0.9))
        return FundusPhantom(self._expose(canvas), masks, self.field)

    # -- parts

    def _texture(self, canvas: np.ndarray) -> None:
        grain = self.rng.standard_normal((max(self.height // 6, 2), max(self.width // 6, 2))).astype(np.float32)
        smooth = cv2.GaussianBlur(grain, (0, 0), 2)
        canvas *= 1 + 0.12 * cv2.resize(smooth, (self.width, self.height), interpolation=cv2.INTER_CUBIC)[..., None]

    def _vessels(self) -> np.ndarray:
        drawn = np.zeros((self.height, self.width), np.uint8)
        toward = -1 if self.right else 1
        for vertical in (-1, 1):
            for spread in (0.25, 0.6, 1.15):
                angle = np.arctan2(vertical * (0.55 + spread), toward * (1.0 - spread * 0.75))
                width = self.unit * self.rng.uniform(0.006, 0.010)
                bend = -toward * vertical * self.rng.uniform(0.3, 0.7) / self.radius
                self._grow(drawn, self.disc, angle, width, -bend if spread > 1 else bend, 0)
        return cv2.GaussianBlur(drawn, (0, 0), max(self.unit * 0.0008, 0.4)).astype(np.float32) / 255

    def _grow(self, drawn: np.ndarray, start: np.ndarray, angle: float, width: float, bend: float, depth: int) -> None:
        step = 0.03 * self.radius
        position = np.array(start, np.float64)
        for index in range(60):
            following = position + step * np.array([np.cos(angle), np.sin(angle)])
            cv2.line(
                drawn,
                _sub_pixel(position),
                _sub_pixel(following),
                color=int(min(255, 150 + 60 * width)),
                thickness=max(1, round(width)),
                lineType=cv2.LINE_AA,
                shift=4,
            )
            position = following
            angle += bend * step + self.rng.normal(0, 0.09)
            width *= 0.985
            faded = depth > 0 and width < 0.0014 * self.unit
            if faded or np.hypot(*(position - self.centre)) > self.radius:
                return
            if depth < 2 and index > 3 and self.rng.random() < 0.11:
                turn = self.rng.choice([-1, 1]) * self.rng.uniform(0.4, 0.9)
                self._grow(drawn, position, angle + turn, width * self.rng.uniform(0.55, 0.75), -0.5 * bend, depth + 1)
                width *= 0.9

    def _hard(self, rng: np.random.Generator) -> np.ndarray:
        """Clusters of small, sharp, bright specks, partly in a ring round the macula."""
        layer = np.zeros((self.height, self.width), np.uint8)
        for _ in range(rng.integers(2, 6)):
            centre = self._place(rng, 0.85)
            reach = rng.uniform(0.04, 0.13) * self.radius
            for _ in range(rng.integers(6, 30)):
                spot = centre + rng.normal(0, 1, 2) * reach
                axes = np.maximum(rng.gamma(2.0, 0.0016, 2) * self.unit + 0.0012 * self.unit, 0.6)
                _ellipse(layer, spot, axes, rng.uniform(0, 180))
            _ellipse(layer, centre, np.maximum(rng.uniform(0.004, 0.012, 2) * self.unit, 0.8), rng.uniform(0, 180))
        return self._sharpen(layer, 0.0004)

    def _haemorrhage(self, rng: np.random.Generator) -> np.ndarray:
        """Dark blots of irregular outline and small flame-shaped streaks."""
        layer = np.zeros((self.height, self.width), np.uint8)
        for index in range(rng.integers(4, 14)):
            size = rng.uniform(0.004, 0.012) if index else rng.uniform(0.012, 0.025)
            _blob(layer, rng, self._place(rng, 0.9), size * self.unit, roughness=0.35, stretch=rng.uniform(1, 2.2))
        return self._sharpen(layer, 0.001)

    def _soft(self, rng: np.random.Generator) -> np.ndarray:
        """Pale, fuzzy patches near the large vessels."""
        layer = np.zeros((self.height, self.width), np.uint8)
        for _ in range(rng.integers(1, 4)):
            size = rng.uniform(0.010, 0.020) * self.unit
            _blob(layer, rng, self._place(rng, 0.75), size, roughness=0.25, stretch=rng.uniform(1, 1.6))
        return self._sharpen(layer, 0.004)

    def _micro(self, rng: np.random.Generator) -> np.ndarray:
        """Small dark red dots, some of them beside a haemorrhage or on an exudate."""
        layer = np.zeros((self.height, self.width), np.uint8)
        for _ in range(rng.integers(8, 30)):
            _ellipse(layer, self._place(rng, 0.9), np.full(2, max(rng.uniform(0.002, 0.004) * self.unit, 0.6)), 0)
        return self._sharpen(layer, 0.0003)

    # -- helpers

    def _distance(self, point: np.ndarray) -> np.ndarray:
        return np.hypot(self.columns - np.float32(point[0]), self.rows - np.float32(point[1]))

    def _place(self, rng: np.random.Generator, reach: float) -> np.ndarray:
        """A point of the field of view that is in the picture and off the optic disc."""
        for _ in range(100):
            angle, distance = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform()) * reach * self.radius
            point = self.centre + distance * np.array([np.cos(angle), np.sin(angle)])
            inside = 1 <= point[0] < self.width - 1 and 1 <= point[1] < self.height - 1
            if inside and np.hypot(*(point - self.disc)) > 0.25 * self.radius:
                return point
        return self.centre.copy()

    def _sharpen(self, layer: np.ndarray, softness: float) -> np.ndarray:
        """Opacity 0..1 of a drawn layer; every shape keeps its core above one half."""
        opacity = layer.astype(np.float32) / 255
        blurred = cv2.GaussianBlur(opacity, (0, 0), max(softness * self.unit, 0.3))
        return np.where(opacity > 0.5, np.maximum(blurred, 0.55), np.minimum(blurred, 0.45))

    @staticmethod
    def _blend(canvas: np.ndarray, colour: np.ndarray, opacity: np.ndarray) -> None:
        canvas += opacity[..., None].astype(np.float32) * (colour - canvas)

    def _expose(self, canvas: np.ndarray) -> np.ndarray:
        """Uneven light, dark rim, noise, black outside the field of view."""
        light = self.centre + self.rng.uniform(-0.35, 0.35, 2) * self.radius
        glow = np.exp(-((self._distance(light) / (1.15 * self.radius)) ** 2))
        rim = _fade_out(self._distance(self.centre), 0.97 * self.radius, 0.02 * self.radius)
        canvas *= ((0.45 + 0.62 * glow) * (0.25 + 0.75 * rim))[..., None]
        canvas += self.rng.standard_normal((self.height, self.width, 1), np.float32) * 2.0
        canvas += self.rng.standard_normal(canvas.shape, np.float32) * 1.5
        canvas[~self.field] = self.rng.integers(0, 4, (int((~self.field).sum()), 1))
        return np.clip(canvas, 0, 255).astype(np.uint8)


def _fade_out(distance: np.ndarray, edge: float, softness: float) -> np.ndarray:
    return 0.5 - 0.5 * np.tanh((distance - edge) / (2 * softness))  # the logistic function, without its overflow


def _sub_pixel(point: np.ndarray) -> tuple[int, int]:
    return round(point[0] * 16), round(point[1] * 16)


def _ellipse(layer: np.ndarray, centre: np.ndarray, axes: np.ndarray, angle: float) -> None:
    half = (max(round(axes[0] * 16), 1), max(round(axes[1] * 16), 1))
    cv2.ellipse(layer, _sub_pixel(centre), half, angle, 0, 360, color=255, thickness=-1, lineType=cv2.LINE_8, shift=4)


def _blob(
    layer: np.ndarray, rng: np.random.Generator, centre: np.ndarray, radius: float, roughness: float, stretch: float
) -> None:
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radii = np.ones_like(angles)
    for wave in range(2, 6):
        radii += roughness / wave * rng.normal() * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
    outline = np.clip(radii, 0.4, 1.8)[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1) * max(radius, 0.8)
    outline[:, 0] *= stretch
    turn = rng.uniform(0, np.pi)
    outline = outline @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + centre
    cv2.fillPoly(layer, [np.round(outline * 16).astype(np.int32)], color=255, lineType=cv2.LINE_8, shift=4)
