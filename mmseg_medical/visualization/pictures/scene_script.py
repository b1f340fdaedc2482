"""Script of the pages of surfaces, in plain WebGL."""

SCRIPT = r"""
'use strict';
(function () {
  const scene = JSON.parse(document.getElementById('scene').textContent);
  const low = scene.low, high = scene.high;
  const extent = low.map((l, k) => Math.max(high[k] - l, 1e-9));
  const middle = low.map((l, k) => (l + high[k]) / 2);
  const radius = Math.hypot(...extent) / 2;
  const start = {
    azimuth: Math.atan2(scene.view[1], scene.view[0]),
    elevation: Math.atan2(scene.view[2], Math.hypot(scene.view[0], scene.view[1])), zoom: 1
  };
  const camera = { ...start };
  const hidden = new Set();
  const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer;

  function unpack(part) {
    const steps = new Uint16Array(bytes(part.vertices)), faces = new Uint32Array(bytes(part.faces));
    const points = new Float32Array(steps.length), normals = new Float32Array(steps.length);
    for (let i = 0; i < steps.length; i++) {
      points[i] = low[i % 3] + steps[i] / 65535 * extent[i % 3] - middle[i % 3];
    }
    for (let f = 0; f < faces.length; f += 3) {
      const [a, b, c] = [faces[f] * 3, faces[f + 1] * 3, faces[f + 2] * 3];
      const u = [0, 1, 2].map(k => points[b + k] - points[a + k]);
      const v = [0, 1, 2].map(k => points[c + k] - points[a + k]);
      const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (const corner of [a, b, c]) for (let k = 0; k < 3; k++) normals[corner + k] += n[k];
    }
    return { ...part, points, normals, faces };
  }

  const VERTEX = `
    attribute vec3 point; attribute vec3 normal;
    uniform vec3 right, up, toward; uniform vec2 scale; uniform float depth;
    varying vec3 facing;
    void main() {
      facing = vec3(dot(normal, right), dot(normal, up), dot(normal, toward));
      gl_Position = vec4(dot(point, right) * scale.x, dot(point, up) * scale.y, -dot(point, toward) * depth, 1.0);
    }`;
  const FRAGMENT = `
    precision mediump float;
    uniform vec4 color; uniform float flat_;
    varying vec3 facing;
    void main() {
      vec3 n = normalize(facing + vec3(0.0, 0.0, 1e-9));
      if (n.z < 0.0) n = -n;
      float light = 0.28 + 0.62 * max(dot(n, normalize(vec3(-0.35, 0.5, 0.8))), 0.0);
      float shine = 0.22 * pow(max(dot(n, normalize(vec3(-0.18, 0.26, 0.95))), 0.0), 24.0);
      gl_FragColor = vec4(mix(color.rgb * light + shine, color.rgb, flat_), color.a);
    }`;

  function program(gl) {
    const made = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(made, shader);
    }
    gl.linkProgram(made);
    return made;
  }

  function buffer(gl, target, data) {
    const made = gl.createBuffer();
    gl.bindBuffer(target, made);
    gl.bufferData(target, data, gl.STATIC_DRAW);
    return made;
  }

  function boxLines() {
    const lines = [];
    for (let axis = 0; axis < 3; axis++) {
      for (const p of [0, 1]) for (const q of [0, 1]) {
        for (const end of [0, 1]) {
          const corner = [0, 0, 0];
          corner[axis] = end; corner[(axis + 1) % 3] = p; corner[(axis + 2) % 3] = q;
          corner.forEach((one, k) => lines.push((one - 0.5) * extent[k]));
        }
      }
    }
    return new Float32Array(lines);
  }

  function view() {
    const { azimuth: a, elevation: e } = camera;
    return {
      right: [-Math.sin(a), Math.cos(a), 0],
      up: [-Math.sin(e) * Math.cos(a), -Math.sin(e) * Math.sin(a), Math.cos(e)],
      toward: [Math.cos(e) * Math.cos(a), Math.cos(e) * Math.sin(a), Math.sin(e)]
    };
  }
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

  function panel(figure, parts) {
    const canvas = figure.querySelector('canvas');
    const gl = canvas.getContext('webgl', { antialias: true, preserveDrawingBuffer: true });
    if (!gl || !gl.getExtension('OES_element_index_uint')) {
      canvas.replaceWith('This browser shows no WebGL; the PNG of the same scene needs none.');
      return () => {};
    }
    const shader = program(gl);
    gl.useProgram(shader);
    const at = name => gl.getUniformLocation(shader, name);
    const place = gl.getAttribLocation(shader, 'point'), normal = gl.getAttribLocation(shader, 'normal');
    const meshes = parts.map(unpack).map(part => ({
      name: part.name, color: part.color, opacity: part.opacity, count: part.faces.length,
      points: buffer(gl, gl.ARRAY_BUFFER, part.points), normals: buffer(gl, gl.ARRAY_BUFFER, part.normals),
      faces: buffer(gl, gl.ELEMENT_ARRAY_BUFFER, part.faces)
    })).sort((a, b) => b.opacity - a.opacity);
    const lines = buffer(gl, gl.ARRAY_BUFFER, boxLines());
    const letters = scene.marks ? [...'LRPAIS'].map(letter => {
      const span = document.createElement('span');
      span.textContent = letter;
      figure.append(span);
      return span;
    }) : [];
    const ground = [1, 3, 5].map(k => parseInt(scene.background.slice(k, k + 2), 16) / 255);

    return function draw() {
      const ratio = window.devicePixelRatio || 1, { clientWidth: w, clientHeight: h } = canvas;
      canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio);
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(...ground, 1);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.enable(gl.DEPTH_TEST);
      gl.enable(gl.BLEND);
      gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
      const { right, up, toward } = view(), fit = 0.95 * camera.zoom / radius * Math.min(w, h);
      gl.uniform3fv(at('right'), right); gl.uniform3fv(at('up'), up); gl.uniform3fv(at('toward'), toward);
      gl.uniform2f(at('scale'), fit / w, fit / h);
      gl.uniform1f(at('depth'), 0.5 / radius);
      gl.enableVertexAttribArray(place);
      gl.bindBuffer(gl.ARRAY_BUFFER, lines);
      gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
      gl.disableVertexAttribArray(normal);
      gl.vertexAttrib3f(normal, 0, 0, 1);
      gl.uniform1f(at('flat_'), 1);
      gl.uniform4f(at('color'), 0.36, 0.38, 0.5, 1);
      gl.drawArrays(gl.LINES, 0, 24);
      gl.enableVertexAttribArray(normal);
      gl.uniform1f(at('flat_'), 0);
      for (const mesh of meshes) {
        if (hidden.has(mesh.name)) continue;
        gl.depthMask(mesh.opacity === 1);
        gl.uniform4f(at('color'), ...mesh.color, mesh.opacity);
        gl.bindBuffer(gl.ARRAY_BUFFER, mesh.points);
        gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
        gl.bindBuffer(gl.ARRAY_BUFFER, mesh.normals);
        gl.vertexAttribPointer(normal, 3, gl.FLOAT, false, 0, 0);
        gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, mesh.faces);
        gl.drawElements(gl.TRIANGLES, mesh.count, gl.UNSIGNED_INT, 0);
      }
      gl.depthMask(true);
      letters.forEach((span, k) => {
        const axis = k >> 1, spot = [0, 0, 0];
        spot[axis] = (k % 2 ? 1 : -1) * (extent[axis] / 2 + 0.12 * radius);
        span.style.left = `${canvas.offsetLeft + w / 2 + dot(spot, right) * fit / 2}px`;
        span.style.top = `${canvas.offsetTop + h / 2 - dot(spot, up) * fit / 2}px`;
      });
    };
  }

  const figures = [...document.querySelectorAll('.scenes figure')];
  const panels = figures.map((figure, k) => panel(figure, scene.panels[k]));
  const redraw = () => panels.forEach(draw => draw());
  figures.forEach(figure => {
    figure.addEventListener('pointermove', event => {
      if (!event.buttons) return;
      camera.azimuth -= event.movementX * 0.01;
      camera.elevation = Math.max(-1.55, Math.min(1.55, camera.elevation + event.movementY * 0.01));
      redraw();
    });
    figure.addEventListener('pointerdown', event => event.target.setPointerCapture(event.pointerId));
    figure.addEventListener('wheel', event => {
      event.preventDefault();
      camera.zoom = Math.max(0.3, Math.min(12, camera.zoom * Math.exp(-event.deltaY * 0.001)));
      redraw();
    }, { passive: false });
    figure.addEventListener('dblclick', () => { Object.assign(camera, start); redraw(); });
  });
  document.querySelectorAll('.switches input').forEach(box => box.addEventListener('change', () => {
    if (box.checked) hidden.delete(box.dataset.name); else hidden.add(box.dataset.name);
    redraw();
  }));
  window.addEventListener('resize', redraw);
  redraw();
})();
"""
