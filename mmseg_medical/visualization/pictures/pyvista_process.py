"""Renders surfaces without a display; run as a program of its own, because VTK ends the process where it finds no
OpenGL. Imports nothing of the package, so that it starts quickly.

    python pyvista_process.py SCENE.npz PICTURES.npz
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np

# times the box: room for the numbers around it
_ROOM = 1.22
_INK, _LINE, _MARK = '#c8cede', '#5a5f7d', '#ffd166'


def main(source: str, target: str) -> None:
    """Read a scene, write its pictures ``panel_<k>``, (h, w, 3), uint8."""
    if sys.platform.startswith('linux') and not os.environ.get('DISPLAY'):
        # else VTK looks for an X server first and complains that there is none
        os.environ.setdefault('VTK_DEFAULT_OPENGL_WINDOW', 'vtkEGLRenderWindow')
    import pyvista

    with np.load(source, allow_pickle=False) as stored:
        scene: dict[str, Any] = json.loads(str(stored['scene']))
        arrays = {name: stored[name] for name in stored.files if name != 'scene'}
    pictures = {f'panel_{k}': _render(pyvista, panel, scene, arrays) for k, panel in enumerate(scene['panels'])}
    np.savez(target, **pictures)


def _render(pyvista: Any, parts: list[dict[str, Any]], scene: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    plotter = pyvista.Plotter(off_screen=True, window_size=scene['size'])
    plotter.set_background(scene['background'])
    for part in parts:
        faces = arrays[f'faces_{part["number"]}']
        cells = np.concatenate([np.full((len(faces), 1), 3, faces.dtype), faces], 1)
        mesh = pyvista.PolyData(arrays[f'vertices_{part["number"]}'], cells.ravel())
        # PyVista's own normals turn parts of surfaces inside out where voxels touch at an edge alone
        mesh.point_data.active_normals = _normals(np.asarray(mesh.points), faces)
        actor = plotter.add_mesh(
            mesh, color=part['color'], opacity=part['opacity'], ambient=0.12, diffuse=0.8, specular=0.18,
            specular_power=25,
        )  # fmt: skip
        actor.prop.interpolation = 'Phong'
    low, high = np.array(scene['bounds'])
    box = [value for pair in zip(low, high, strict=True) for value in pair]
    extent = high - low
    shares = extent / max(extent.max(), 1e-9)
    x, y, z = (4 if share > 0.4 else 3 if share > 0.2 else 2 for share in shares)
    shown = [bool(share > 0.1) for share in shares]  # the two numbers of a shorter edge would overlap
    plotter.show_bounds(
        bounds=box, grid='back', location='outer', ticks='outside', color=_INK, font_size=14, n_xlabels=x, n_ylabels=y,
        n_zlabels=z, fmt='%.0f' if extent.max() >= 10 else '%.1f' if extent.max() >= 2 else '%.2f',
        xtitle=scene['unit'], ytitle='', ztitle='', use_3d_text=False, show_xlabels=shown[0], show_ylabels=shown[1],
        show_zlabels=shown[2],
    )  # fmt: skip
    plotter.add_mesh(pyvista.Box(box), style='wireframe', color=_LINE, line_width=1)
    if scene['marks']:
        middle, reach = (low + high) / 2, (high - low) / 2 + 0.06 * (high - low).max()
        places = [middle + sign * reach * np.eye(3)[axis] for axis in range(3) for sign in (-1, 1)]
        plotter.add_point_labels(
            np.array(places), list('LRPAIS'), font_size=24, text_color=_MARK, shape=None, show_points=False,
            always_visible=True, bold=True,
        )  # fmt: skip
    view = np.array(scene['view'])
    middle = (low + high) / 2
    plotter.camera_position = [middle + view, middle, (0.0, 0.0, 1.0)]
    plotter.enable_parallel_projection()
    plotter.reset_camera(bounds=box)
    plotter.camera.parallel_scale = camera_scale(low, high, view, scene['size'])
    plotter.enable_anti_aliasing('ssaa')
    picture = plotter.screenshot(return_img=True)
    plotter.close()
    return np.ascontiguousarray(picture[..., :3])


def camera_scale(low: np.ndarray, high: np.ndarray, view: np.ndarray, size: list[int]) -> float:
    """Half the height of the picture in the unit of the scene, so that the box and the numbers around it fit."""
    toward = view / np.linalg.norm(view)
    right = np.cross((0.0, 0.0, 1.0), toward)
    right /= np.linalg.norm(right)
    up = np.cross(toward, right)
    wide, tall = (float(np.abs(axis) @ (high - low)) / 2 for axis in (right, up))
    return max(tall, wide * size[1] / size[0]) * _ROOM


def _normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Of each vertex the mean of its faces by their area."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    of_faces = np.cross(b - a, c - a)
    normals = np.stack([np.bincount(faces.ravel(), np.repeat(of_faces[:, k], 3), len(points)) for k in range(3)], 1)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


if __name__ == '__main__':
    main(*sys.argv[1:])
