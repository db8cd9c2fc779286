"""Loss names of gradient networks, and every place where such a loss shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lossnets import LossSpec, load_loss, parse_loss
from lossnets.analysis.figures.names import short_names
from lossnets.analysis.leaderboard import leaderboards
from lossnets.analysis.loss_facts import imitated_loss, loss_facts
from lossnets.analysis.snippets import python_lines, weights_origin, weights_ready
from lossnets.errors import ConfigError, UnknownNameError, WeightsError
from lossnets.gradients import Card, GradientNetwork, save_pgn
from lossnets.losses import LossBank, perceptual_distance
from lossnets.losses.families import find_family
from lossnets.runs.cost_records import cost_key
from lossnets.runs.identity import RunConfig
from lossnets.runs.losses import check_files, expand, located, network_of, signatures
from lossnets.runs.records import Failure, RunRecord, ScoreRecord


@pytest.fixture
def file(pretrained: Path, thin: Mapping[str, GradientNetwork], card: Card) -> Path:
    """``pgn:mine``, which comes with the package."""
    return save_pgn(pretrained / "mine.safetensors", thin["proxy"], card)


CANONICAL = {
    "pgn:mine": "pgn:mine",
    "pgn:mine:dtype=float32": "pgn:mine",
    "pgn:mine:dtype=bfloat16": "pgn:mine:dtype=bfloat16",
    "pgn:mine:dtype=bfloat16:channels=gray": "pgn:mine:channels=gray:dtype=bfloat16",
    "pgn:./a.safetensors": "pgn:./a.safetensors",
    "pgn:a.pth": "pgn:a.pth",
    "pgn:/data/my nets/a.safetensors": "pgn:/data/my%20nets/a.safetensors",
}


@pytest.mark.parametrize("name", CANONICAL)
def test_canonical_names(name: str, file: Path) -> None:
    spec = parse_loss(name)
    assert str(spec) == CANONICAL[name]
    assert parse_loss(str(spec)) == spec
    assert spec.family == "pgn"


@pytest.mark.parametrize("path", ["/a:b,c=d.safetensors", "C:\\nets\\a.safetensors", "./größe 100%/a%20.pth"])
def test_paths_of_any_kind_are_quoted(path: str) -> None:
    text = str(LossSpec("pgn", path))
    assert " " not in text
    assert text.count(":") == 1
    assert parse_loss(text).network == path


BAD = {
    "pgn": "must be pgn:NAME; NAME is one of mine, or a path",
    "pgn:": "must be pgn:NAME",
    "pgn:mime": "gradient network 'mime' is not known. Did you mean 'mine'",
    "pgn:mine:weights=random": "option of pgn losses 'weights' is not known. Allowed: dtype, channels",
    "pgn:mine:lpips": "option of pgn losses 'lpips' is not known",
    "pgn:mine:dtype=float16": "value of dtype 'float16' is not known",
    "pgn:mine:dtype=float32:dtype=float32": "gives dtype twice",
}


@pytest.mark.parametrize("name", BAD)
def test_names_that_are_refused(name: str, file: Path) -> None:
    with pytest.raises(ConfigError, match=BAD[name]) as told:
        parse_loss(name)
    assert isinstance(told.value, UnknownNameError) == ("not known" in BAD[name])


def test_loading_by_name(file: Path) -> None:
    x, y = torch.rand(2, 2, 3, 16, 16)
    loss = load_loss("pgn:mine:dtype=bfloat16", reduction="none")
    assert str(loss) == "pgn:mine:dtype=bfloat16"
    plain = load_loss("pgn:mine", reduction="none")
    by_path = load_loss(f"pgn:{file}", reduction="none")
    assert torch.equal(plain(x, y), by_path(x, y))
    assert torch.equal(plain(x, y), perceptual_distance(x, y, "pgn:mine"))
    grey = load_loss("pgn:mine:channels=gray")
    assert grey(x[:, :1], y[:, :1]).shape == ()
    with pytest.raises(ConfigError, match="pgn:mine has nothing to train; leave out trainable"):
        load_loss("pgn:mine", trainable="all")
    with pytest.raises(ConfigError, match=r"pgn:custom was built in Python.*save_pgn"):
        load_loss("pgn:custom")
    with pytest.raises(WeightsError, match=r"none.safetensors does not exist"):
        load_loss("pgn:none.safetensors")
    assert find_family("vgg16") is None


def test_in_plans(file: Path, tmp_path: Path) -> None:
    x, y = torch.rand(2, 2, 3, 16, 16)
    assert expand(" pgn:mine ") == ["pgn:mine"]
    assert network_of("pgn:mine") != network_of("pgn:mine:dtype=bfloat16")
    assert located("pgn:mine", "/plans") == "pgn:mine"
    assert located("pgn:nets/a.safetensors", "/plans") == "pgn:/plans/nets/a.safetensors"
    assert located("pgn:/x/a.safetensors", "/plans") == "pgn:/x/a.safetensors"
    check_files("pgn:mine", tmp_path)
    with pytest.raises(WeightsError, match=r"there is no file .*a.safetensors"):
        check_files("pgn:a.safetensors", tmp_path)
    name = "pgn:pretrained_files/mine.safetensors"
    found = signatures([name, "pixel:mse"], tmp_path)
    assert str(found[name]).startswith(f"{name}|architecture:")
    assert imitated_loss(str(found[name])) == "pixel:mse"
    assert set(LossBank(["pgn:mine", "pixel:mse"]).distances(x, y)) == {"pgn:mine", "pixel:mse"}


def test_costs_are_its_own(file: Path) -> None:
    from lossnets.runs.measure_cost import measure_costs

    assert cost_key("pgn:mine:dtype=bfloat16") == "pgn:mine:dtype=bfloat16"
    costs = {c.loss: c for c in measure_costs(["pgn:mine"], images=1, side=16, rounds=1, memory=False)}
    assert costs["pgn:mine"].error == ""
    assert costs["pgn:mine"].seconds > 0


def test_facts_and_texts(file: Path) -> None:
    facts = loss_facts("pgn:mine")
    assert (facts.family, facts.imitates, facts.architecture) == ("pgn", "pixel:mse", None)
    assert facts.contender == "pgn:mine"
    far = loss_facts("pgn:/far/away.safetensors")
    assert (far.family, far.imitates) == ("pgn", None)
    assert loss_facts("pixel:mse").imitates is None
    assert weights_ready("pgn:mine")
    assert not weights_ready("pgn:/far/away.safetensors")
    assert weights_origin("pgn:mine") == (
        "a gradient network that imitates pixel:mse, installed with lossnets"
    )
    assert "its file is not here" in weights_origin("pgn:/far/away.safetensors")
    assert "load_loss('pgn:mine')" in python_lines("pgn:mine", "super-resolution")[1]


def test_short_names_in_figures() -> None:
    names = ["pgn:a/one%20two.safetensors", "pgn:two.pth:dtype=bfloat16", "pgn:three", "pixel:mse"]
    assert list(short_names(names).values()) == ["pgn:one two", "pgn:two", "pgn:three", "pixel:mse"]
    same = ["pgn:a/x.safetensors", "pgn:b/x.safetensors"]
    assert short_names(same) == {name: name for name in same}


def test_signatures_of_other_losses_imitate_nothing() -> None:
    assert imitated_loss("vgg16/relu1_1|weights:x:sha256:0|mean:0|std:1|numerics:1") == ""
    assert imitated_loss("") == ""
    text = "pgn:a|weights:sha256:1|imitates:(vgg19/relu1_1:spatial-l1:pooling=avg;weights:w)|numerics:1"
    assert imitated_loss(text) == "vgg19/relu1_1:spatial-l1:pooling=avg"


def test_leaderboards_name_the_imitated_loss(file: Path) -> None:
    own = load_loss("pgn:mine").signature()
    runs = [
        RunRecord(
            RunConfig(loss=loss, signature=signature, benchmark="sim", data="d", fingerprint="f"),
            "done", scores=(ScoreRecord("2afc", value, "fraction"),),
        )
        for loss, signature, value in (("pgn:mine", own, 0.7), ("pixel:mse", "pixel:mse|numerics:1", 0.9))
    ]  # fmt: skip
    (board,) = leaderboards(runs)
    assert [(row.loss, row.note) for row in board.rows] == [
        ("pixel:mse", ""), ("pgn:mine", "imitates pixel:mse"),
    ]  # fmt: skip
    failed = RunRecord(replace(runs[0].config, seed=1), "failed", failure=Failure("DataError", "broken"))
    (board,) = leaderboards([*runs, failed])
    assert board.rows[1].note == "imitates pixel:mse; 1 of 2 seeds failed"
