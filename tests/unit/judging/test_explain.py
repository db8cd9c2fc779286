"""Explanations: the proxy target that is drawn, scales, files, what happens without the true loss."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from lossnets.errors import ConfigError, ImageError, UnknownNameError
from lossnets.gradients import PerceptualGradientNetwork, PGNLoss
from lossnets.gradients.checkpoint import Card, save_pgn
from lossnets.images import write_image
from lossnets.judging import explain as explain_module
from lossnets.judging.explain import View, explain_pgn
from lossnets.judging.explain_pictures import _columns, amplitude, draw_panels, heat, length
from lossnets.losses import load_loss

from .small import images, pgn_of, true_loss

LOSS = "squeezenet1_1/features.1:l1:weights=random-0"
TINY: dict[str, Any] = {"steps": 4, "rows": 2, "frames": 3, "side": 16, "count": 1}


def network(distance: str = "mse") -> PGNLoss:
    made = PerceptualGradientNetwork("shuffled", width=4, blocks=1, distance=distance)
    return PGNLoss(made, name="mine", reduction="none", validate="never")


def unreduced() -> Any:
    return load_loss(LOSS, reduction="none")


def seen(monkeypatch: pytest.MonkeyPatch, out: Path, pgn: PGNLoss, **options: Any) -> list[View]:
    """The views that were drawn."""
    kept: list[View] = []
    draw = explain_module.draw_panels

    def drawn(views: Any, path: Path) -> Path:
        kept.extend(views)
        return draw(views, path)

    monkeypatch.setattr(explain_module, "draw_panels", drawn)
    explain_pgn(pgn, images(1, 16), out, **{**TINY, "animation": "none", **options})
    return kept


def test_proxy_targets_by_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pgn, true = network("l1"), unreduced()
    views = seen(monkeypatch, tmp_path, pgn, loss=true)
    assert [view.step for view in views] == [0, 4]
    for view in views:
        x = view.fit[None].clone().requires_grad_()
        y = view.target[None]
        (gradient,) = torch.autograd.grad(true(x, y).sum(), x)
        std, scale = pgn.pgn.std, pgn.pgn.architecture.grad_scale
        # t = x̂ - (C·H·W / 2) · s · ∂L/∂x̂ in normalised space, where ∂L/∂x̂ is std times as large
        t = x.detach() - std * (3 * 16 * 16 / 2) * scale * (gradient * std)
        assert view.true_proxy is not None
        assert torch.allclose(view.true_proxy, t[0], atol=1e-5)
        assert torch.allclose(view.proxy, pgn.proxy(view.fit[None], y)[0], atol=1e-6)
        assert view.figures["true loss"] == pytest.approx(float(true(view.fit[None], y)), rel=1e-5)
        assert -1 <= view.figures["cosine"] <= 1
        assert view.caption.startswith(f"step {view.step}:  predicted ")


def test_a_network_that_is_right_has_cosine_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    true = true_loss(reduction="none")
    pgn = pgn_of(true)
    pgn.reduction = "none"
    for view in seen(monkeypatch, tmp_path, pgn, loss=true, driver="true"):
        assert view.figures["cosine"] == pytest.approx(1, abs=1e-4)
        assert view.figures["norm ratio"] == pytest.approx(1, abs=1e-3)
        assert view.true_proxy is not None
        assert torch.allclose(view.proxy, view.true_proxy, atol=1e-4)


def test_files(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("one", "two"):
        write_image(folder / f"{name}.png", images(1, 24)[0])
    told: list[int] = []
    options = {**TINY, "count": 2, "progress": lambda done, _total, _what: told.append(done)}
    written = explain_pgn(network(), folder, tmp_path / "out", loss=unreduced(), **options)
    names = {path.name for path in written}
    assert names == {"one.png", "one.gif", "two.png", "two.gif", "explain.json"}
    assert told == [1, 2, 3]
    with Image.open(tmp_path / "out" / "one.gif") as animation:
        assert animation.n_frames == 3  # type: ignore[attr-defined]
    record = json.loads((tmp_path / "out" / "explain.json").read_text())
    assert {entry["image"] for entry in record["images"]} == {"one.png", "two.png"}
    assert [step["step"] for step in record["images"][0]["steps"]] == [0, 1, 4]
    with Image.open(tmp_path / "out" / "one.png") as panels:
        assert panels.width > 8 * 132


def test_a_checkpoint_whose_loss_is_not_here_is_explained_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pgn = network().pgn
    card = Card("mine", "vgg16/relu1_1", "vgg16/relu1_1|other", pgn.architecture)
    save_pgn(tmp_path / "mine.safetensors", pgn, card)
    options = {**TINY, "animation": "apng"}
    explain_pgn(tmp_path / "mine.safetensors", images(1, 16), tmp_path / "out", **options)
    assert "the true loss is left out" in caplog.text
    record = json.loads((tmp_path / "out" / "explain.json").read_text())
    assert record["true"] is None
    assert set(record["images"][0]["steps"][0]) == {"step", "predicted"}
    with Image.open(tmp_path / "out" / "0-fit.png") as animation:
        assert animation.n_frames == 3  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="the loss that 'mine' imitates cannot be loaded"):
        explain_pgn(tmp_path / "mine.safetensors", images(1, 16), tmp_path / "out", driver="true", **options)


def test_scales() -> None:
    assert amplitude([torch.zeros(3, 2, 2)]) == 1.0
    assert amplitude([torch.full((3, 4, 4), -0.5), torch.full((3, 4, 4), 0.25)]) == 0.5
    assert amplitude([torch.full((3, 2, 2), math.nan)]) == 1.0
    assert torch.allclose(length(torch.tensor([3.0, 4.0, 0.0]).view(3, 1, 1)), torch.tensor([[5.0]]))
    colours = heat(torch.tensor([[0.0, 1.0, 9.0, math.nan]]))
    assert colours.shape == (3, 1, 4)
    assert torch.equal(colours[:, 0, 1], colours[:, 0, 2])
    assert torch.equal(colours[:, 0, 0], colours[:, 0, 3])
    assert colours[:, 0, 0].sum() < 0.1


def test_grey_is_no_change_and_images_are_drawn_as_they_are(tmp_path: Path) -> None:
    plain = torch.full((3, 132, 132), 0.25)
    view = View(0, plain, plain, plain, None, {"predicted": 0.0})
    with Image.open(draw_panels([view], tmp_path / "one.png")) as picture:
        pixels = picture.convert("RGB")
    at = [pixels.getpixel((8 + k * 140 + 66, 106)) for k in range(5)]
    assert at[:3] == [(64, 64, 64)] * 3
    assert at[3] == (128, 128, 128)
    assert at[4] == (0, 0, 4) or sum(at[4]) < 10  # type: ignore[arg-type]


def test_a_proxy_target_out_of_range_is_drawn_a_part_of_the_way() -> None:
    fit = torch.full((3, 4, 4), 0.5)
    near, far = (View(0, fit, fit, fit + change, fit - 2 * change, {}) for change in (0.5, 6.0))
    (name, show), (true_name, show_true) = (_columns([near])[k] for k in (2, 5))
    assert (name, true_name) == ("proxy target", "true proxy target")
    assert torch.equal(show(near), near.proxy)
    assert torch.allclose(show_true(near), fit - 1)  # as far as can be shown
    (name, show), (true_name, show_true) = (_columns([far])[k] for k in (2, 5))
    assert (name, true_name) == ("proxy target\n0.05 of the way", "true proxy target\n0.025 of the way")
    assert torch.allclose(show(far), fit + 0.3)
    assert torch.allclose(show_true(far), fit - 0.3)


def test_what_is_refused(tmp_path: Path) -> None:
    for option, message in (
        ({"driver": "nobody"}, "driver 'nobody' is not known"),
        ({"animation": "mp4"}, "animation 'mp4' is not known. Allowed: gif, apng, none"),
        ({"generator": "autoencoder"}, "generator 'autoencoder' is not known"),
    ):
        with pytest.raises(UnknownNameError, match=message):
            explain_pgn(network(), images(1, 16), tmp_path, loss=unreduced(), **{**TINY, **option})
    with pytest.raises(ConfigError, match="steps, rows, frames and count must be 1 or more"):
        explain_pgn(network(), images(1, 16), tmp_path, loss=unreduced(), **{**TINY, "rows": 0})
    with pytest.raises(ConfigError, match="loss must be given with a gradient network"):
        explain_pgn(network(), images(1, 16), tmp_path, **TINY)
    with pytest.raises(ImageError, match="images must be a folder, a file or a tensor"):
        explain_pgn(network(), torch.zeros(3, 16, 16), tmp_path, loss=unreduced(), **TINY)
