"""``lossnets pgn evaluate`` and ``explain``: table, JSON, folder, refusals, exit status."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lossnets.cli import main
from lossnets.gradients import PerceptualGradientNetwork
from lossnets.gradients.checkpoint import Card, save_pgn
from lossnets.images import write_image
from lossnets.judging.evaluation import read_evaluation
from lossnets.judging.plans import PLANS
from lossnets.losses import load_loss

LOSS = "squeezenet1_1/features.1,features.3:l1:weights=random-0"


ASK = ("evaluate", "mine.safetensors", "--images", "photos")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pgn")
    (folder / "photos").mkdir()
    generator = torch.Generator().manual_seed(0)
    for k in range(6):
        write_image(folder / "photos" / f"{k}.png", torch.rand(3, 36, 36, generator=generator))
    network = PerceptualGradientNetwork("shuffled", width=4, blocks=1).eval()
    card = Card("mine", LOSS, load_loss(LOSS).signature(), network.architecture)
    save_pgn(folder / "mine.safetensors", network, card)
    return folder


def run(*arguments: object) -> int:
    return main(["pgn", *map(str, arguments)])


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smoke profile, smaller still, and without drawings, which other tests look at."""
    small: dict[str, Any] = {"generators": ("deep-decoder",), "steps": 2, "fidelity_steps": 1, "check": 1}
    small |= {"stability_steps": 2, "decoder_steps": 1, "fit_steps": 1, "refine_steps": 1, "looks": 1}
    small |= {"cost_side": 32, "cost_rounds": 1, "resamples": 20}
    monkeypatch.setitem(PLANS, "smoke", replace(PLANS["smoke"], **small))
    empty = {"caption": "", "light": "", "dark": ""}
    monkeypatch.setattr("lossnets.judging.page._both", lambda _drawing: empty)
    monkeypatch.setattr("lossnets.analysis.figures.save_figure", lambda _figure, path: path)


def test_evaluate(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    options = ("mine.safetensors", "--images", "photos", "--profile", "smoke", "--seeds", 1)
    assert run("evaluate", *options) == 0
    out, err = capsys.readouterr()
    assert "gap closed" in out
    assert "Use the" in out
    for key in ("true", "pgn", "pgn+mse", "mse", "cut-1", "half", "crop", "every-2", "l1"):
        assert key in out
    assert "[effect 0/" in err
    assert "images: 2 judged (" in err
    assert ".png), 4 others to train generators on; all are named in the JSON" in err
    assert f"page: {Path('mine.judged') / 'evaluation.html'}" in err
    assert (place / "mine.judged" / "evaluation.html").is_file()

    found = read_evaluation(place / "mine.judged" / "evaluation.json")
    asked: dict[str, Any] = {}

    def again(*_: Any, **given: Any) -> Any:
        asked.update(given)
        found.problems["inversion"] = "RuntimeError: out of memory"
        return found

    monkeypatch.setattr("lossnets.judging.evaluate.evaluate_pgn", again)
    more: tuple[Any, ...] = ("--count", 3, "--side", 32, "--steps", 7, "--stability-steps", 9, "--loss", LOSS)
    more += ("--stability-images", 24, "--stability-side", 16, "--generators", "image-prior, deep-decoder")
    more += ("--set", "batch=4", "--set", "every=[3]")
    assert run("evaluate", *options, *more, "--json") == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["verdict"]["word"] in ("pgn", "truncated", "true")
    assert "failed: inversion: RuntimeError: out of memory" in err
    wanted = {"count": 3, "side": 32, "steps": 7, "stability_steps": 9, "seeds": 1, "loss": LOSS}
    wanted |= {"stability_images": 24, "stability_side": 16, "batch": 4, "every": [3]}
    wanted |= {"generators": ("image-prior", "deep-decoder")}
    assert asked.items() >= wanted.items()
    assert asked["out"] == Path("mine.judged")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "nobody", "--images", "photos"), "gradient network 'nobody' is not known"),
        (("evaluate", "mine.safetensors", "--images", "nowhere"), "does not exist or is not a folder"),
        (("evaluate", "mine.safetensors", "--images", "photos", "--profile", "big"), "profile 'big'"),
        (("evaluate", "mine.safetensors", "--images", "photos", "--loss", "pixel:mse"), "imitates another"),
        (("evaluate", "mine.safetensors", "--images", "photos", "--side", "99"), "fewer than the 99×99"),
        (("evaluate", "mine.safetensors", "--images", "photos", "--out", "mine.safetensors"), "--out must"),
        ((*ASK, "--set", "side=32", "--side", "32"), "side is given twice: by --side and by --set"),
        ((*ASK, "--set", "device=cuda"), "option of a judgement 'device' is not known"),
        ((*ASK, "--set", "stepz=3"), "option of a judgement 'stepz' is not known"),
        ((*ASK, "--generators", "gan"), "generator 'gan' is not known"),
        ((*ASK, "--generators", ","), "generators must be a list of at least one"),
        (("explain", "mine.safetensors", "--images", "photos", "--out", "o", "--driver", "x"), "driver 'x'"),
        (("explain", "mine.safetensors", "--images", "photos", "--out", "mine.safetensors"), "--out must"),
    ],
)  # fmt: skip
def test_refusals(
    arguments: tuple[str, ...], message: str, place: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(place)
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


def test_explain(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    options = ("--steps", 2, "--rows", 2, "--frames", 2, "--side", 16, "--out", "explained")
    assert run("explain", "mine.safetensors", "--images", "photos/0.png", *options) == 0
    out, err = capsys.readouterr()
    assert out.split() == [str(Path("explained") / name) for name in ("0.png", "0.gif", "explain.json")]
    assert "[2/2] step 2" in err
    assert all((place / path).stat().st_size > 100 for path in out.split())


@pytest.mark.parametrize("name", ["evaluate", "explain"])
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    assert "--images" in capsys.readouterr().out
