"""Scenes as one HTML file that turns under the mouse: meshes and script inside, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import json
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_medical.files import atomic_write
from mmseg_medical.visualization.html import page
from mmseg_medical.visualization.pictures.dark import BACKGROUND, INK, LINE, PANEL, SOFT
from mmseg_medical.visualization.pictures.scene import VIEW, Part, Scene
from mmseg_medical.visualization.pictures.scene_script import SCRIPT

_LOOK = f"""
:root {{ color-scheme: dark; --paper: {BACKGROUND}; --ink: {INK}; --soft: {SOFT}; --line: {LINE}; --sheet: {PANEL}; }}
@media (prefers-color-scheme: light) {{
  :root {{ --paper: {BACKGROUND}; --ink: {INK}; --soft: {SOFT}; --line: {LINE}; --sheet: {PANEL}; }}
}}
main {{ max-width: 1500px; padding-top: 1.25rem; }}
.scenes {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 1rem; }}
.scenes figure {{ position: relative; margin: 0; }}
.scenes figcaption {{ margin: 0 0 .4rem; color: var(--ink); font-weight: 600; }}
.scenes canvas {{
  width: 100%; aspect-ratio: 8 / 7; display: block; touch-action: none; cursor: grab;
  border: 1px solid var(--line); border-radius: 8px;
}}
.scenes span {{
  position: absolute; transform: translate(-50%, -50%); color: #ffd166; font-weight: 700; pointer-events: none;
}}
.switches {{ display: flex; flex-wrap: wrap; gap: .4rem 1.4rem; margin: 1rem 0; }}
.switches label {{ cursor: pointer; }}
"""


def write_scene_page(scene: Scene, path: str | Path, title: str) -> Path:
    """Write :func:`scene_page`, whole or not at all."""
    with atomic_write(path) as file:
        file.write(scene_page(scene, title))
    return Path(path)


def scene_page(scene: Scene, title: str) -> str:
    """Make the page: all panels turn together, the wheel zooms, each structure can be hidden.

    Args:
        scene (Scene): What is shown.
        title (str): Heading.

    Returns:
        str: HTML.
    """
    low, high = scene.bounds
    data = dict(
        panels=[[_packed(part, low, high) for part in parts] for parts in scene.panels.values()],
        low=low.tolist(),
        high=high.tolist(),
        view=VIEW,
        marks=scene.placed,
        background=BACKGROUND,
    )
    figures = ''.join(
        f'<figure><figcaption>{escape(name)}</figcaption><canvas></canvas></figure>' for name in scene.panels
    )
    switches = ''.join(
        f'<label><input type="checkbox" checked data-name="{escape(name, quote=True)}"> '
        f'<i class="swatch" style="background:rgb{tuple(color)}"></i>{escape(name)}</label>'
        for name, color in scene.entries()
    )
    size = ' × '.join(f'{value:.1f}' for value in high - low)
    parts = [
        f'<style>{_LOOK}</style>',
        f'<h1>{escape(title)}</h1>',
        f'<div class="switches">{switches}</div>',
        f'<div class="scenes">{figures}</div>',
        f'<p class="soft">Drag to turn, wheel to zoom, double click to reset. Box: {size} {scene.unit}. '
        f'{escape(scene.note)}</p>',
        '<noscript><p>The surfaces are drawn by a script inside this file, which your browser has switched off.</p>'
        '</noscript>',
        # no "</script>" can end the block early
        f'<script type="application/json" id="scene">{json.dumps(data).replace("<", chr(92) + "u003c")}</script>',
        f'<script>{SCRIPT}</script>',
    ]
    return page(title, parts)


def _packed(part: Part, low: np.ndarray, high: np.ndarray) -> dict[str, Any]:
    """Vertices as 16-bit steps of the box, which is finer than any screen, and faces, in base64."""
    steps = np.rint((part.mesh.vertices - low) / np.maximum(high - low, 1e-9) * 65535).astype('<u2')
    return dict(
        name=part.name,
        color=[value / 255 for value in part.color],
        opacity=part.opacity,
        vertices=base64.b64encode(steps.tobytes()).decode(),
        faces=base64.b64encode(part.mesh.faces.astype('<u4').tobytes()).decode(),
    )
