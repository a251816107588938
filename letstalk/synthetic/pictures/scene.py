"""Where a person is seen: camera, lights, background, finish and style of one clip, all drawn from one seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.person import Person
from letstalk.synthetic.pictures.background import draw_kind, paint_background
from letstalk.synthetic.pictures.camera import Camera, sample_camera
from letstalk.synthetic.pictures.finish import Finish, sample_finish
from letstalk.synthetic.pictures.lighting import Lighting, flat_lighting, sample_lighting
from letstalk.synthetic.pictures.stylise import Style, sample_style


@dataclass(frozen=True)
class Scene:
    """The same for every frame of a clip."""

    seed: int
    camera: Camera
    lighting: Lighting
    background: str  # one of background.KINDS
    background_brightness: float
    finish: Finish
    style: Style

    def paint_background(self, size_px: int) -> np.ndarray:
        """(size, size, 3) float32 linear light."""
        rng = numpy_generator(self.seed, "background")
        return paint_background(rng, size_px, self.background, self.background_brightness)


def sample_scene(seed: int, person: Person, style: str | None = None, lighting: str | None = None) -> Scene:
    """A place, a light and a camera for this person. `style` and `lighting` name one; both are drawn when left out."""
    chosen_style = sample_style(numpy_generator(seed, "style"), style)
    light = sample_lighting(numpy_generator(seed, "lighting"), lighting)
    rng = numpy_generator(seed, "finish")
    finish = sample_finish(rng, light.brightness, skin_lightness(person))
    if chosen_style.kind not in ("photo", "grey", "sepia"):  # drawings have no sensor
        finish = replace(finish, noise=0.0, blur_px=0.0, sharpen=0.0, vignette=0.0)
    choice = numpy_generator(seed, "place")
    return Scene(
        seed=seed,
        camera=sample_camera(numpy_generator(seed, "camera"), person),
        lighting=light,
        background=draw_kind(choice, light.preset),
        background_brightness=light.brightness * float(np.exp(choice.normal(-0.1, 0.4))),
        finish=finish,
        style=chosen_style,
    )


def flat_scene(seed: int, person: Person) -> Scene:
    """Even light, no shine, no noise: colours stick to the surface, so a warp by the true motion gives them back."""
    scene = sample_scene(seed, person, style="photo")
    finish = Finish(exposure=1.0)
    return replace(scene, lighting=flat_lighting(), background="studio", finish=finish, style=Style(shine=0.0))


def skin_lightness(person: Person) -> float:
    """Mean linear albedo of the skin, 0..1."""
    material = next((m for m in person.materials if m.kind == "skin"), person.materials[0])
    count = material.texture_width * material.texture_height * 4
    texels = person.texels[material.texture_offset :][:count].reshape(-1, 4)[::97, :3]
    return float(np.mean((texels / 255.0) ** 2 * np.array(material.tint)))
