"""Generated road scenes: drawn networks over textures of real photographs. No scene shows a real place.

Each scene has ground of two or three textures (grass, gravel, brick, photographs, tinted), smooth roads
drawn with anti-aliasing in the colour of asphalt or earth, and what makes finding them hard: trees that
hide parts of roads (the label goes on below them), roofs and yards in the colours of roads, narrow
tracks and water that are no roads, uneven light and noise.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from lossnets.datasets.contents import contents
from lossnets.datasets.samples import photograph_path
from lossnets.errors import unknown_name
from lossnets.images.files import read_image

TEXTURES = (
    ("skimage", "data/grass.png"),
    ("skimage", "data/gravel.png"),
    ("skimage", "data/brick.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/hubble_deep_field.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
)
"""Photographs inside the wheels that textures are cut from: (package, file in it)."""

VERSION = 1
"""Raised with every change of the scenes; part of the fingerprint."""
_OVER = 4  # shapes are drawn this much larger and averaged: anti-aliasing

Array = NDArray[np.float32]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class RoadSize:
    """Number of scenes in each split, and their side in pixels."""

    train: int
    validation: int
    test: int
    side: int


ROAD_SIZES = {"small": RoadSize(64, 12, 24, 192), "smoke": RoadSize(8, 2, 4, 64)}


@dataclass(frozen=True, eq=False)
class RoadScenes:
    """Generated scenes.

    Attributes:
        names: of the scenes; "generated" is part of each.
        splits: "train", "val" or "test" of each.
        images: (N, 3, H, W) uint8.
        masks: (N, 1, H, W) uint8, 0 or 1.
    """

    names: tuple[str, ...]
    splits: tuple[str, ...]
    images: Tensor
    masks: Tensor

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """Image (3, H, W) in [0, 1] and mask (1, H, W), 0 or 1."""
        return self.images[index].float() / 255, self.masks[index].float()


def sample_roads_fingerprint() -> str:
    """sha256 of what the scenes are made from: version, sizes, and names and contents of the photographs."""
    settings = {name: asdict(size) for name, size in ROAD_SIZES.items()}
    files = [
        [file, int(content) if content.isdecimal() and len(content) < 64 else content]
        for (_, file), content in zip(TEXTURES, _textures(), strict=True)
    ]
    content = {"version": VERSION, "sizes": settings, "textures": files}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_sample_roads(size: str = "small") -> RoadScenes:
    """The generated road scenes of a size, the same every time, kept in memory once made.

    Raises:
        UnknownNameError: size is not one of `ROAD_SIZES`.
        MissingExtraError: scikit-image or scikit-learn is not installed.
        DataError: an installed package lacks a photograph.
    """
    if size not in ROAD_SIZES:
        raise unknown_name("size of the generated road scenes", size, ROAD_SIZES)
    return _make(size, tuple(_textures()))


def _textures() -> list[str]:
    return contents(photograph_path(*texture) for texture in TEXTURES)


@functools.lru_cache(maxsize=2)
def _make(size: str, _contents: tuple[str, ...]) -> RoadScenes:
    shape = ROAD_SIZES[size]
    textures = [read_image(photograph_path(*texture)).numpy() for texture in TEXTURES]
    splits = ("train",) * shape.train + ("val",) * shape.validation + ("test",) * shape.test
    scenes = [
        draw_scene(textures, shape.side, np.random.default_rng([VERSION, shape.side, i]))
        for i in range(len(splits))
    ]
    images, masks = (torch.from_numpy(np.stack(part)) for part in zip(*scenes, strict=True))
    names = tuple(f"generated-{i:03d}" for i in range(len(splits)))
    return RoadScenes(names, splits, images, masks)


def draw_scene(
    textures: list[Array], side: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One scene: image (3, side, side) 0..255, mask (1, side, side), 0 or 1.

    Args:
        textures: photographs (3, h, w) in [0, 1], each at least as large as the scene, the first
            three grass, gravel and brick.
        side: of the scene in pixels.
        rng: source of randomness.
    """
    picture = _ground(textures, side, rng)
    picture = _distractors(picture, textures, rng)
    roads = _network(side, rng)
    surface = _surface(textures[1], side, rng)
    coverage = np.zeros((side, side), np.float32)
    for points, width in roads:
        area = _stroke(points, width, side)
        picture = _blend(picture, surface, area * rng.uniform(0.75, 1.0))
        coverage = np.maximum(coverage, area)
    picture = _buildings(picture, textures[2], coverage, rng)
    picture = _trees(picture, textures[0], rng)
    picture = _light(picture, rng)
    pixels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return pixels, (coverage >= 0.5).astype(np.uint8)[None]


def _cut(texture: Array, side: int, rng: np.random.Generator) -> Array:
    """A random window, mirrored at random: (3, side, side)."""
    top, left = (int(rng.integers(size - side + 1)) for size in texture.shape[1:])
    window = texture[:, top : top + side, left : left + side]
    flips = tuple(axis for axis in (1, 2) if rng.random() < 0.5)
    return np.ascontiguousarray(np.flip(window, flips))


def _tinted(texture: Array, colour: tuple[float, float, float], contrast: float) -> Array:
    """The texture's brightness around a colour: (3, h, w)."""
    grey = texture.mean(0, keepdims=True)
    tint = np.array(colour, np.float32)[:, None, None]
    tinted: Array = (tint + contrast * (grey - grey.mean())).astype(np.float32)
    return tinted


def _blend(below: Array, above: Array, share: Array) -> Array:
    """``above`` laid over ``below`` with a share (H, W) in [0, 1]."""
    blended: Array = (below + share * (above - below)).astype(np.float32)
    return blended


_GROUND = ((0.28, 0.36, 0.20), (0.42, 0.38, 0.27), (0.33, 0.30, 0.24), (0.22, 0.29, 0.17), (0.48, 0.46, 0.38))
_WATER = (0.12, 0.17, 0.22)


def _ground(textures: list[Array], side: int, rng: np.random.Generator) -> Array:
    """Two or three tinted textures, each on one side of a wavy border: (3, side, side)."""
    picture = _patch(textures, side, rng)
    for _ in range(int(rng.integers(1, 3))):
        picture = _blend(picture, _patch(textures, side, rng), _half_plane(side, rng))
    return picture


def _patch(textures: list[Array], side: int, rng: np.random.Generator) -> Array:
    texture = textures[int(rng.integers(len(textures)))]
    colour = _GROUND[int(rng.integers(len(_GROUND)))]
    return _tinted(_cut(texture, side, rng), colour, float(rng.uniform(0.3, 0.7)))


def _half_plane(side: int, rng: np.random.Generator) -> Array:
    """1 on one side of a wavy line through the scene, 0 on the other: (side, side)."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side - 0.5
    angle, phase = rng.uniform(0, 2 * math.pi, 2)
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    height = across + 0.08 * np.sin(7 * along + phase) - rng.uniform(-0.3, 0.3)
    share: Array = np.clip(height * side + 0.5, 0, 1).astype(np.float32)
    return share


def _network(side: int, rng: np.random.Generator) -> list[tuple[Points, float]]:
    """Smooth roads from border to border, some with side roads: points (n, 2) and width of each."""
    roads = []
    for _ in range(int(rng.integers(1, 3))):
        width = float(rng.uniform(4.5, 7.5))
        main = _curve(*_across(side, rng), side, rng)
        roads.append((main, width))
        for _ in range(int(rng.integers(0, 3))):
            start = main[int(rng.integers(len(main) // 5, 4 * len(main) // 5))]
            end = start + _direction(rng) * rng.uniform(0.3, 0.9) * side
            roads.append((_curve(start, end, side, rng), width * float(rng.uniform(0.7, 1.0))))
    return roads


def _direction(rng: np.random.Generator) -> Points:
    angle = rng.uniform(0, 2 * math.pi)
    return np.array([math.cos(angle), math.sin(angle)])


def _across(side: int, rng: np.random.Generator) -> tuple[Points, Points]:
    """Two points outside of opposite borders."""
    a, b = rng.uniform(0.1, 0.9, 2) * side
    ends = np.array([[-10.0, a], [side + 10.0, b]])
    ends = ends[:, ::-1] if rng.random() < 0.5 else ends
    return ends[0], ends[1]


def _curve(start: Points, end: Points, side: int, rng: np.random.Generator) -> Points:
    """A smooth line between two points: a straight one with three slow random waves, (n, 2)."""
    t = np.linspace(0, 1, 64)
    step = end - start
    normal: Points = np.array([-step[1], step[0]]) / max(float(np.hypot(*step)), 1e-6)
    waves = sum(rng.normal(0, 0.09 / k) * side * np.sin(math.pi * k * t) for k in (1, 2, 3))
    curve: Points = start + t[:, None] * step + np.asarray(waves)[:, None] * normal
    return curve


def _stroke(points: Points, width: float, side: int) -> Array:
    """Share of each pixel that a line of this width covers: (side, side)."""
    canvas = Image.new("L", (side * _OVER, side * _OVER))
    pen, radius = ImageDraw.Draw(canvas), width * _OVER / 2
    scaled = [(float(x) * _OVER, float(y) * _OVER) for x, y in points]
    pen.line(scaled, fill=255, width=round(width * _OVER), joint="curve")
    for x, y in (scaled[0], scaled[-1]):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return _averaged(canvas)


def _averaged(canvas: Image.Image) -> Array:
    small: Array = np.asarray(canvas.reduce(_OVER), dtype=np.float32) / np.float32(255)
    return small


def _surface(gravel: Array, side: int, rng: np.random.Generator) -> Array:
    """What the scene's roads are made of: asphalt, light or dark, or earth."""
    asphalt, earth = float(rng.uniform(0.38, 0.66)), (0.52, 0.45, 0.35)
    colour = (asphalt, asphalt, asphalt * 1.02) if rng.random() < 0.75 else earth
    return _tinted(_cut(gravel, side, rng), colour, 0.25)


def _distractors(picture: Array, textures: list[Array], rng: np.random.Generator) -> Array:
    """Narrow tracks and water below the roads: lines that are no roads."""
    side = picture.shape[-1]
    for _ in range(int(rng.integers(0, 3))):
        track = _stroke(_curve(*_across(side, rng), side, rng), float(rng.uniform(1.0, 2.0)), side)
        picture = _blend(picture, _surface(textures[1], side, rng), 0.7 * track)
    if rng.random() < 0.4:
        river = _stroke(_curve(*_across(side, rng), side, rng), float(rng.uniform(5, 14)), side)
        picture = _blend(picture, _tinted(_cut(textures[1], side, rng), _WATER, 0.05), river)
    return picture


def _buildings(picture: Array, brick: Array, roads: Array, rng: np.random.Generator) -> Array:
    """Roofs and yards, some as grey as a road, drawn beside the roads."""
    side = picture.shape[-1]
    free = 1 - np.clip(roads * 4, 0, 1)
    for _ in range(round(side * side / 64**2 * rng.uniform(0.5, 2.5))):
        centre, angle = rng.uniform(0, side, 2), rng.uniform(0, math.pi)
        half = rng.uniform(2.5, 9, 2)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        corners = (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half) @ turn.T + centre
        canvas = Image.new("L", (side * _OVER, side * _OVER))
        ImageDraw.Draw(canvas).polygon([(float(x) * _OVER, float(y) * _OVER) for x, y in corners], fill=255)
        grey = float(rng.uniform(0.35, 0.85))
        colour = (grey, grey, grey) if rng.random() < 0.6 else (0.55, 0.32, 0.26)
        roof = _tinted(_cut(brick, side, rng), colour, 0.3)
        picture = _blend(picture, roof, _averaged(canvas) * free)
    return picture


def _trees(picture: Array, grass: Array, rng: np.random.Generator) -> Array:
    """Crowns, dark and round, over everything; they also hide parts of roads."""
    side = picture.shape[-1]
    canvas = Image.new("L", (side * _OVER, side * _OVER))
    pen = ImageDraw.Draw(canvas)
    for _ in range(round(side * side / 64**2 * rng.uniform(1, 6))):
        x, y = rng.uniform(0, side * _OVER, 2)
        radius = rng.uniform(1.5, 6) * _OVER
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    leaves = _tinted(_cut(grass, side, rng), (0.15, 0.21, 0.11), 0.35)
    return _blend(picture, leaves, 0.92 * _averaged(canvas))


def _light(picture: Array, rng: np.random.Generator) -> Array:
    """Uneven light over the scene, and the noise of a camera."""
    side = picture.shape[-1]
    y, x = np.mgrid[:side, :side].astype(np.float32) / side - 0.5
    light = rng.uniform(0.85, 1.15) + rng.uniform(-0.3, 0.3) * x + rng.uniform(-0.3, 0.3) * y
    lit: Array = (picture * light + rng.normal(0, 0.02, picture.shape)).astype(np.float32)
    return lit
