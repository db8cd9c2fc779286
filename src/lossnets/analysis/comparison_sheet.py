"""Candidates against a reference under several losses: which is closest to which loss, where, and why.

`compare_images` computes; `figures.comparison_figure` draws what it returns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossnets.analysis.comparison_records import Candidate, Comparison, LossRow
from lossnets.errors import ConfigError, ImageError, LossnetsError
from lossnets.home import printable

if TYPE_CHECKING:
    from torch import Tensor

    from lossnets.losses import LossSpec

    Picture = str | Path | Tensor

SIDE = 192
"""Longer side in pixels of what is kept of pictures and maps for drawing."""


def compare_images(
    reference: Picture,
    candidates: Sequence[Picture] | Mapping[str, Picture],
    losses: Sequence[str],
    *,
    maps: bool = True,
    side: int = SIDE,
    device: str = "cpu",
) -> Comparison:
    """Compare candidates with a reference under several losses, on the full images.

    A candidate that cannot be read or has another size than the reference stays in the comparison with its
    reason, and so does a loss that fails.

    Args:
        reference: path, or (3, H, W) in [0, 1].
        candidates: paths or tensors; a mapping gives them names.
        losses: loss names; each counts once.
        maps: also the difference at each position, of losses that have one.
        side: longer side in pixels of the pictures and maps that are kept for drawing.
        device: where to compute.

    Raises:
        ConfigError: a loss name is not known; there are no candidates or no losses.
        ImageError: the reference cannot be read, or no candidate can be compared.
    """
    if not candidates or not losses:
        lacking = "candidates" if not candidates else "losses"
        raise ConfigError(f"{lacking} must have at least one entry; got none")
    if side < 1:
        raise ConfigError(f"side must be at least 1 pixel; got {side}")
    specs = _specs(losses)
    whole = _tensor(reference)
    first = _kept("reference", reference, whole, side)
    kept, images = _read_all(_named(candidates), whole, side)
    if not images:
        raise ImageError(f"no candidate can be compared: {kept[0].name}: {kept[0].problem}")
    loaded = {str(spec): _load(spec, device) for spec in specs}
    rows = [_row(name, loss, whole, images, maps, side, device) for name, loss in loaded.items()]
    name = printable(Path(first.source).name) if first.source else "reference"
    return Comparison(Candidate(name, first.source, first.size, first.picture), tuple(kept), tuple(rows))


def _specs(names: Sequence[str]) -> list[LossSpec]:
    """Each loss once, however it is spelt."""
    from lossnets.losses import parse_loss

    return list(dict.fromkeys(parse_loss(name) for name in names))


def _load(spec: LossSpec, device: str) -> Any:
    """The loss, or the error that kept it from being loaded; a wrong name ends everything."""
    from lossnets.losses import load_loss

    try:
        return load_loss(spec, device=device, reduction="none", validate="never")
    except ConfigError:
        raise
    except LossnetsError as error:
        return error


def _named(candidates: Sequence[Picture] | Mapping[str, Picture]) -> dict[str, Picture]:
    """Unique names: of files with as many folders as tell them apart, then with a number."""
    if isinstance(candidates, Mapping):
        return dict(candidates)
    paths = [Path(c) if isinstance(c, str | Path) else None for c in candidates]
    named: dict[str, Picture] = {}
    for k, (candidate, path) in enumerate(zip(candidates, paths, strict=True), 1):
        name = f"candidate {k}" if path is None else told_apart(path, [p for p in paths if p is not None])
        text, number = name, 2
        while text in named:
            text, number = f"{name} ({number})", number + 1
        named[text] = candidate
    return named


def told_apart(path: Path, others: Sequence[Path]) -> str:
    """The file's name, with as many folders before it as it takes to tell it from the others."""
    own = path.absolute().parts
    rivals = {other.absolute().parts for other in others} - {own}
    for count in range(1, len(own) + 1):
        if all(other[-count:] != own[-count:] for other in rivals):
            return printable("/".join(own[-count:]))
    return printable(str(path))


def _tensor(picture: Picture) -> Tensor:
    from lossnets.images import read_image

    if isinstance(picture, str | Path):
        return read_image(picture)
    if picture.ndim != 3 or picture.shape[0] != 3:
        raise ImageError(f"a picture must have shape (3, H, W); got {tuple(picture.shape)}")
    return picture.detach().float()


def _read(picture: Picture) -> Tensor | ImageError:
    try:
        return _tensor(picture)
    except ImageError as error:
        return error


def _source(picture: Picture) -> str:
    return str(picture) if isinstance(picture, str | Path) else ""


def _kept(name: str, picture: Picture, image: Tensor, side: int, problem: str = "") -> Candidate:
    size = int(image.shape[2]), int(image.shape[1])
    pixels = reduced(image, side).permute(1, 2, 0).clamp(0, 1).cpu().numpy()
    return Candidate(name, _source(picture), size, pixels, problem)


def _read_all(
    named: Mapping[str, Picture], reference: Tensor, side: int
) -> tuple[list[Candidate], dict[str, Tensor]]:
    kept: list[Candidate] = []
    images: dict[str, Tensor] = {}
    for name, picture in named.items():
        image = _read(picture)
        if isinstance(image, ImageError):
            kept.append(Candidate(name, _source(picture), None, None, str(image)))
        elif image.shape != reference.shape:
            sizes = [f"{i.shape[2]}×{i.shape[1]}" for i in (image, reference)]
            problem = f"it is {sizes[0]} pixels, the reference {sizes[1]}; images are never resized"
            kept.append(_kept(name, picture, image, side, problem))
        else:
            images[name] = image
            kept.append(_kept(name, picture, image, side))
    return kept, images


def reduced(image: Tensor, side: int) -> Tensor:
    """(C, H, W) averaged down to a longer side of at most that many pixels; smaller ones as they are."""
    from lossnets.losses.resize import area_resize

    height, width = image.shape[1:]
    scale = side / max(height, width)
    if scale >= 1:
        return image
    return area_resize(image[None], max(1, round(height * scale)), max(1, round(width * scale)))[0]


def _row(
    name: str, loss: Any, reference: Tensor, images: Mapping[str, Tensor], maps: bool, side: int, device: str
) -> LossRow:
    row = LossRow(name, "", {}, {}, {}, "", {}, "")
    if isinstance(loss, Exception):
        return replace(row, error=str(loss))
    row = replace(row, signature=loss.signature())
    target = reference[None].to(device)
    try:
        encoded = loss.encode(target)
    except (LossnetsError, RuntimeError, MemoryError) as error:
        return replace(row, error=_said(error))
    for candidate, image in images.items():
        _measure(row, candidate, image[None].to(device), loss, encoded)
    del encoded
    no_map = _draw_maps(row, images, target, loss, side, device) if maps else ""
    why = next(iter(row.errors.values()), "") if not row.distances else ""
    return replace(row, no_map=no_map, error=why)


def _said(error: BaseException) -> str:
    if isinstance(error, LossnetsError):
        return str(error)
    first = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {first}"


def _measure(row: LossRow, name: str, image: Tensor, loss: Any, encoded: Any) -> None:
    """Fill in the distance of one candidate, and the parts of the taps."""
    import torch

    try:
        with torch.no_grad():
            parts = {tap: float(part) for tap, part in loss(image, encoded, per_tap=True).items()}
    except (LossnetsError, RuntimeError, MemoryError) as error:
        row.errors[name] = _said(error)
        return
    total = sum(parts.values())
    if not math.isfinite(total):
        row.errors[name] = f"the distance is not finite: {total}"
        return
    row.distances[name] = total
    row.taps[name] = parts


def _draw_maps(
    row: LossRow, images: Mapping[str, Tensor], target: Tensor, loss: Any, side: int, device: str
) -> str:
    """Fill in the maps; why there are none."""
    import torch

    for name in row.distances:
        try:
            with torch.no_grad():
                found = loss(images[name][None].to(device), target, output="map")
        except ConfigError:
            row.maps.clear()
            return "this loss does not compare position by position"
        except (LossnetsError, RuntimeError, MemoryError) as error:
            row.maps.clear()
            return _said(error)
        row.maps[name] = reduced(found[0], side)[0].cpu().numpy()
    return ""
