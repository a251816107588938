"""One person in one scene, frame after frame, with buffers that are used again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from letstalk.synthetic.person import Person
from letstalk.synthetic.pictures.caricature import Caricature
from letstalk.synthetic.pictures.finish import Developer
from letstalk.synthetic.pictures.hollows import Hollows
from letstalk.synthetic.pictures.rasteriser import (
    RasterRules,
    look_along,
    mark_shown,
    project_parallel,
    project_perspective,
    rasterise,
    soft_shadow,
    vertex_normals,
)
from letstalk.synthetic.pictures.regions import mouth_cavity, triangle_regions
from letstalk.synthetic.pictures.scene import Scene
from letstalk.synthetic.pictures.shading import BRIGHTEST, SAMPLES, Canvas, blend_see_through, shade_solid
from letstalk.synthetic.pictures.stylise import Artist
from letstalk.synthetic.pictures.surfaces import Surfaces, person_surfaces
from letstalk.synthetic.pictures.vertex_light import Shot, light_vertices

SOLID_ALPHA = 0.94  # hair from here on is drawn with the opaque surfaces, shaded once
SHADOW_REACH = 2.3  # decimetres round the face that the shadow map covers


class PreparedPerson:
    """What rendering needs of a person and no frame changes; shared by all scenes with this person."""

    def __init__(self, person: Person) -> None:
        self.person = person
        cavity = mouth_cavity(person)
        self.surfaces: Surfaces = person_surfaces(person, cavity)
        self.hollows = Hollows(person, self.surfaces)
        regions = triangle_regions(person, cavity)
        # One more entry at the end, so that the id of nothing (-1) finds the background.
        self.regions = np.append(regions, np.uint8(0))
        self.crown = (person.face_centre + np.array([0, 0.45, -0.25]) * person.face_height).astype(np.float32)

    @cached_property
    def rigid_vertices(self) -> np.ndarray:
        """Up to 256 vertices that only the head's pose moves."""
        rig = self.person.rig
        still = rig.head_weight > 0.999
        still[rig.moving] = False
        still[(rig.eye_weight > 0).any(axis=0) | (rig.tongue_weight > 0)] = False
        found = np.flatnonzero(still)
        return found[:: max(1, len(found) // 256)]


@dataclass(frozen=True)
class Frame:
    """A picture and the buffers behind it. Only `picture` is a copy: the rest is overwritten by the next frame."""

    picture: np.ndarray  # (size, size, 3) uint8
    vertices: np.ndarray  # (num_vertices, 3) float32, world, as drawn: a caricature is in them
    screen: np.ndarray  # (num_vertices, 3) float32: x, y in pixels, 1 / distance
    canvas: Canvas
    frame_index: int


class Renderer:
    """`draw` makes frame after frame; everything that a clip keeps is computed here once."""

    def __init__(self, prepared: PreparedPerson, scene: Scene, size_px: int = 256) -> None:
        self.prepared, self.scene, self.size_px = prepared, scene, size_px
        num_vertices = len(prepared.person.mesh.vertices)
        fine = size_px * SAMPLES
        self._canvas = Canvas(
            depth=np.empty((fine, fine), np.float32),
            ids=np.empty((fine, fine), np.int32),
            colour=np.empty((size_px, size_px, 3), np.float32),
            cover=np.empty((size_px, size_px), np.float32),
            label_ids=np.empty((size_px, size_px), np.int32),
            label_depth=np.empty((size_px, size_px), np.float32),
        )
        self._normals = np.empty((num_vertices, 3), np.float32)
        self._screen, self._points = np.empty_like(self._normals), np.empty_like(self._normals)
        self._light = np.empty((num_vertices, 7), np.float32)
        self._shadow = np.ones(num_vertices, np.float32)
        self._shown = np.ones(num_vertices, np.bool_)
        shadow_px = int(np.clip(120 + size_px // 2, 160, 400))
        self._shadow_depth = np.empty((shadow_px, shadow_px), np.float32)
        self._shadow_ids = np.empty((shadow_px, shadow_px), np.int32)
        self._developer = Developer(scene.finish, size_px, scene.seed)
        style = scene.style
        exaggerates = style.eye_scale != 1 or style.nose_scale != 1
        self._caricature = Caricature(prepared.person, style, prepared.rigid_vertices) if exaggerates else None
        self._artist = Artist(scene.style, size_px, scene.seed)
        exposure = np.float32(scene.finish.exposure)
        lights = scene.lighting.lights
        self._lights = lights._replace(colour=lights.colour * exposure, ambient=lights.ambient * exposure)
        backdrop = np.sqrt(np.minimum(scene.paint_background(size_px) * exposure, BRIGHTEST))
        self._background = self._artist.background(backdrop)
        camera = scene.camera
        self._eye = camera.position.astype(np.float32)
        distance = float(np.linalg.norm(camera.position - prepared.person.face_centre))
        self._log2_density = float(np.log2(camera.focal * size_px / distance))

    def draw(self, vertices: np.ndarray, frame_index: int = 0) -> Frame:
        """`vertices` (num_vertices, 3) float32 are the posed person; `frame_index` chooses the sensor's noise."""
        surfaces, canvas = self.prepared.surfaces, self._canvas
        vertices = np.ascontiguousarray(vertices, np.float32)
        if self._caricature:
            vertices = self._caricature.apply(vertices)
        shot = self._place(vertices)
        lights, look = self._lights, self.scene.style.look
        fine = self._screen * np.array([SAMPLES, SAMPLES, 1], np.float32)
        fine[:, :2] += 0.5 * (SAMPLES - 1)
        rules = RasterRules(False, SOLID_ALPHA, self._log2_density + float(np.log2(SAMPLES)), 0.0)
        rasterise(fine, surfaces, rules, canvas.depth, canvas.ids)
        mark_shown(canvas.ids, surfaces, self._shown)
        self._cast_shadow(vertices)
        light_vertices(shot, self._shadow, self._reach(vertices), self.prepared.crown, surfaces, lights)
        canvas.colour[:] = self._background
        shade_solid(canvas, shot, surfaces, lights, look)
        blend_see_through(self._far_to_near(), canvas, shot, surfaces, lights, look)
        picture = self._developer.develop(canvas.colour, frame_index)
        if self.scene.style.kind != "photo":
            picture = self._artist.apply(picture, self.prepared.regions[canvas.label_ids], canvas.label_depth)
        return Frame(self._developer.store(picture), vertices, self._screen, canvas, frame_index)

    def _place(self, vertices: np.ndarray) -> Shot:
        camera = self.scene.camera
        vertex_normals(vertices, self.prepared.surfaces.triangles, self._normals)
        project_perspective(vertices, camera.rotation, camera.position, camera.lens(self.size_px), self._screen)
        return Shot(vertices, self._normals, self._screen, self._light, self._shown, self._eye, self._log2_density)

    def _cast_shadow(self, vertices: np.ndarray) -> None:
        """Shadow of the first light into `_shadow`; without lights everything is lit."""
        lights = self.scene.lighting.lights
        if len(lights.direction) == 0:
            return
        person, size = self.prepared.person, len(self._shadow_depth)
        axes = look_along(lights.direction[0])
        density = size / (2 * SHADOW_REACH)
        centre = person.face_centre.astype(np.float64) - (0, 0.2 * person.face_height, 0)
        project_parallel(vertices, axes, centre, density, size, self._points)
        rules = RasterRules(True, 0.5, float(np.log2(density)), -1e9)
        rasterise(self._points, self.prepared.surfaces, rules, self._shadow_depth, self._shadow_ids)
        facing = self._normals @ lights.direction[0]
        soft_px = self.scene.lighting.softness * density * 0.5
        soft_shadow(self._points, facing, self._shadow_depth, soft_px, 0.06, self._shadow)

    def _reach(self, vertices: np.ndarray) -> np.ndarray:
        """In even light nothing is darker for being deep, so that colours stay with their surface."""
        if len(self.scene.lighting.lights.direction) == 0:
            return np.ones((len(vertices), 3), np.float32)
        return self.prepared.hollows.reach(vertices)

    def _far_to_near(self) -> np.ndarray:
        surfaces = self.prepared.surfaces
        depth = self._screen[surfaces.triangles[surfaces.num_opaque :], 2].sum(axis=1)
        return (np.argsort(depth, kind="stable") + surfaces.num_opaque).astype(np.int32)
