"""Scenes as pictures: by PyVista in software, or by matplotlib where it is not installed."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmseg_medical.errors import ConfigError
from mmseg_medical.optional import import_optional
from mmseg_medical.visualization.pictures.dark import BACKGROUND, LINE, SOFT, dark_panels, footer_of, legend, show, unit
from mmseg_medical.visualization.pictures.scene import VIEW, Part, Scene

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RENDERERS = ('auto', 'pyvista', 'matplotlib')
_SIZE = (900, 780)
_SECONDS = 900
_MOST_FACES = 60_000


def chosen_renderer(name: str = 'auto') -> str:
    """Return ``'pyvista'`` or ``'matplotlib'``; ``'auto'`` takes PyVista where it is installed.

    Raises:
        ConfigError: There is no renderer of that name.
        ImportError: PyVista is asked for and not installed.
    """
    if name not in RENDERERS:
        raise ConfigError(f'renderer must be one of {", ".join(RENDERERS)}, got {name!r}')
    if name == 'auto':
        return 'pyvista' if importlib.util.find_spec('pyvista') is not None else 'matplotlib'
    if name == 'pyvista' and importlib.util.find_spec('pyvista') is None:
        import_optional('pyvista', 'pictures')
    return name


def scene_figure(scene: Scene, renderer: str = 'auto', title: str = '') -> Figure:
    """Draw the panels of a scene side by side, from one place and in one box.

    Args:
        scene (Scene): What is shown.
        renderer (str): One of :data:`RENDERERS`.
        title (str): Line above.

    Raises:
        ConfigError: PyVista finds no way to render on this machine.
        ImportError: See :func:`chosen_renderer`.
    """
    name = chosen_renderer(renderer)
    pictures = render_with_pyvista(scene) if name == 'pyvista' else render_with_matplotlib(scene)
    entries = scene.entries()
    note = scene.note + ('' if name == 'pyvista' else ' Drawn by matplotlib.')
    width = 5.4 if len(pictures) > 1 else 7.0
    footer = footer_of(entries, width * len(pictures), note)
    figure, panels = dark_panels(len(pictures), width, width * _SIZE[1] / _SIZE[0] + 0.35, 2, title, footer)
    for axes, (heading, picture) in zip(panels, zip(scene.panels, pictures, strict=True), strict=True):
        show(axes, picture, heading, 11, 'antialiased')
    legend(figure, entries, note)
    return figure


def render_with_pyvista(scene: Scene, size: tuple[int, int] = _SIZE) -> list[np.ndarray]:
    """Render each panel, (h, w, 3), uint8, in a process of its own.

    Raises:
        ConfigError: VTK could not render: neither a display nor a software OpenGL was found.
    """
    arrays: dict[str, Any] = {}
    panels = []
    for parts in scene.panels.values():
        listed = []
        for part in parts:
            number = len(arrays) // 2
            arrays[f'vertices_{number}'] = part.mesh.vertices.astype(np.float32)
            arrays[f'faces_{number}'] = part.mesh.faces
            listed.append(dict(number=number, color=list(part.color), opacity=part.opacity))
        panels.append(listed)
    low, high = scene.bounds
    facts = dict(
        panels=panels, size=size, bounds=[low.tolist(), high.tolist()], view=VIEW, background=BACKGROUND,
        unit=scene.unit, marks=scene.placed,
    )  # fmt: skip
    program = Path(__file__).with_name('pyvista_process.py')
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, 'scene.npz'), Path(folder, 'pictures.npz')
        np.savez(source, scene=np.array(json.dumps(facts)), **arrays)
        try:
            done = subprocess.run(
                [sys.executable, str(program), str(source), str(target)],
                capture_output=True, text=True, timeout=_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ConfigError(f'PyVista did not render within {_SECONDS} s; --renderer matplotlib does') from error
        if done.returncode != 0 or not target.is_file():
            raise ConfigError(_why(done))
        with np.load(target, allow_pickle=False) as stored:
            return [stored[f'panel_{k}'] for k in range(len(panels))]


def _why(done: subprocess.CompletedProcess) -> str:
    plain = re.sub(r'\x1b\[[0-9;]*m', '', done.stderr)  # VTK colours what it says
    lines = [line for line in plain.strip().splitlines() if line.strip()]
    last = f'; last line: {lines[-1].strip()[:300]}' if lines else ''
    return (
        f'PyVista could not render on this machine (exit code {done.returncode}{last}). Without a display it needs a '
        'software OpenGL: install libegl1 and libgl1-mesa-dri, or draw with --renderer matplotlib'
    )


def render_with_matplotlib(scene: Scene, size: tuple[int, int] = _SIZE) -> list[np.ndarray]:
    """Render each panel, (h, w, 3), uint8; coarser, and surfaces that enclose each other are sorted by face only."""
    return [_matplotlib_panel(scene, parts, size) for parts in scene.panels.values()]


def _matplotlib_panel(scene: Scene, parts: Sequence[Part], size: tuple[int, int]) -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LightSource
    from matplotlib.figure import Figure
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    figure = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100, facecolor=BACKGROUND)
    canvas = FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot(projection='3d', facecolor=BACKGROUND)
    figure.subplots_adjust(0.0, 0.0, 1.0, 1.0)
    low, high = scene.bounds
    _frame(axes, low, high, scene)
    canvas.draw()  # places on the page are known from here on
    if scene.placed:
        _write_marks(axes, low, high)
    # one collection for all: matplotlib sorts faces within a collection only
    corners, colors = [np.zeros((0, 3, 3))], [np.zeros((0, 4))]
    for part in parts:
        step = max(1, -(-len(part.mesh.faces) // _MOST_FACES))
        triangles = part.mesh.vertices[part.mesh.faces[::step]]
        normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        light = LightSource(azdeg=30, altdeg=55).shade_normals(normals, fraction=0.8)
        shaded = np.clip(np.array(unit(part.color)) * (0.35 + 0.65 * light[:, None]), 0, 1)
        corners.append(triangles)
        colors.append(np.concatenate([shaded, np.full((len(shaded), 1), part.opacity)], 1))
    axes.add_collection3d(Poly3DCollection(np.concatenate(corners), facecolors=np.concatenate(colors)))
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _frame(axes: Any, low: np.ndarray, high: np.ndarray, scene: Scene) -> None:
    from matplotlib.ticker import MaxNLocator

    extent = np.maximum(high - low, 1e-6)
    for axis, name in enumerate('xyz'):
        places = max(1, round(6 * extent[axis] / extent.max()))  # numbers along a short edge would overlap
        getattr(axes, f'{name}axis').set_major_locator(MaxNLocator(places, steps=[1, 2, 5, 10]))
        getattr(axes, f'set_{name}lim')(low[axis], low[axis] + extent[axis])
        getattr(axes, f'{name}axis').set_pane_color((0, 0, 0, 0), alpha=0.0)
    axes.set_box_aspect(extent, zoom=0.92)
    axes.set_proj_type('ortho')
    axes.view_init(
        elev=float(np.degrees(np.arctan2(VIEW[2], np.hypot(*VIEW[:2])))),
        azim=float(np.degrees(np.arctan2(*VIEW[1::-1]))),
    )
    axes.tick_params(colors=SOFT, labelsize=8)
    axes.grid(visible=True, color=LINE)
    axes.set_xlabel(scene.unit, color=SOFT, fontsize=9)


def _write_marks(axes: Any, low: np.ndarray, high: np.ndarray) -> None:
    from mpl_toolkits.mplot3d import proj3d

    middle, reach = (low + high) / 2, (high - low) / 2 + 0.08 * (high - low).max()
    for letter, (axis, sign) in zip('LRPAIS', ((a, s) for a in range(3) for s in (-1, 1)), strict=True):
        x, y, _ = proj3d.proj_transform(*(middle + sign * reach * np.eye(3)[axis]), axes.M)
        x, y = axes.figure.transFigure.inverted().transform(axes.transData.transform((x, y)))
        axes.figure.text(x, y, letter, color='#ffd166', fontsize=14, fontweight='bold', ha='center', va='center')
