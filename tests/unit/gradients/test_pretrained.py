"""Trained networks by name: the package's, one's own, files; what the card and the loss say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import lossnets
from lossnets.errors import ConfigError, UnknownNameError, WeightsError
from lossnets.gradients import (
    DEFAULT_PGN,
    Card,
    GradientNetwork,
    PGNLoss,
    list_pretrained,
    pretrained_card,
    save_pgn,
)
from lossnets.gradients import pretrained as module
from lossnets.gradients.pretrained import own_folder, resolve
from lossnets.losses import DEFAULT_LOSS, load_loss


@pytest.fixture
def shipped(pretrained: Path, thin: Mapping[str, GradientNetwork], card: Card) -> Path:
    """The package's folder with its default network."""
    save_pgn(pretrained / f"{DEFAULT_PGN}.safetensors", thin["proxy"], replace(card, name=DEFAULT_PGN))
    return pretrained


def own(thin: Mapping[str, GradientNetwork], card: Card, name: str) -> Path:
    own_folder().mkdir(parents=True, exist_ok=True)
    return save_pgn(own_folder() / f"{name}.safetensors", thin["proxy"], card)


def test_without_a_name_it_is_the_packages(shipped: Path, pair: tuple[Tensor, Tensor]) -> None:
    loss = PGNLoss.from_pretrained()
    assert loss.name == f"pgn:{DEFAULT_PGN}"
    assert torch.equal(loss(*pair), lossnets.load_loss(f"pgn:{DEFAULT_PGN}")(*pair))
    assert resolve() == shipped / f"{DEFAULT_PGN}.safetensors"
    assert pretrained_card().name == DEFAULT_PGN


def test_names_of_the_package_and_of_ones_own(
    shipped: Path, thin: Mapping[str, GradientNetwork], card: Card
) -> None:
    assert list_pretrained() == [DEFAULT_PGN]
    path = own(thin, card, "mine")
    own(thin, replace(card, name="other"), DEFAULT_PGN)
    assert list_pretrained() == [DEFAULT_PGN, "mine"]
    assert resolve("mine") == path
    assert pretrained_card("mine").fidelity == {"cosine": 0.5}
    assert pretrained_card(DEFAULT_PGN).name == DEFAULT_PGN  # the package's goes first


def test_unknown_names_and_missing_files(shipped: Path) -> None:
    with pytest.raises(
        UnknownNameError, match=f"gradient network '{DEFAULT_PGN}x' is not known. Did you"
    ) as told:
        PGNLoss.from_pretrained(f"{DEFAULT_PGN}x")
    assert f". A checkpoint of your own goes by its path, or into {own_folder()}" in str(told.value)
    with pytest.raises(UnknownNameError, match="gradient network '' is not known"):
        PGNLoss.from_pretrained("")
    with pytest.raises(ConfigError, match="a gradient network goes by its name or path; got int"):
        PGNLoss.from_pretrained(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="loss must be a loss or its name; got int"):
        PGNLoss.from_pretrained(loss=3)  # type: ignore[arg-type]
    with pytest.raises(
        WeightsError, match=r"checkpoint .*none.safetensors does not exist. Networks that are"
    ):
        PGNLoss.from_pretrained("./none.safetensors")
    with pytest.raises(WeightsError, match="does not exist"):
        resolve(Path("none"))


def test_from_a_file_and_device(shipped: Path, pair: tuple[Tensor, Tensor]) -> None:
    path = resolve()
    loss = PGNLoss.from_pretrained(path, device="cpu", data_range=(-1, 1), compute_dtype=torch.bfloat16)
    assert loss.data_range == (-1.0, 1.0)
    assert loss.name == f"pgn:{path}:dtype=bfloat16"
    plain = PGNLoss.from_pretrained()
    assert loss.signature().split("|")[2] == plain.signature().split("|")[2]


def test_the_packages_network_imitates_the_packages_loss() -> None:
    loss = PGNLoss.from_pretrained(loss=DEFAULT_LOSS)
    assert loss.name == f"pgn:{DEFAULT_PGN}"
    assert loss.imitates == load_loss(DEFAULT_LOSS).signature()


def test_the_packages_own_files_are_what_their_cards_say() -> None:
    """Small enough, named as their card, loaded and of finite fields."""
    for path in sorted(module.SHIPPED.glob("*.safetensors")):
        assert path.stat().st_size <= 5e6
        loss = PGNLoss.from_pretrained(path.stem)
        card = pretrained_card(path.stem)
        assert card.name == path.stem
        assert card.fidelity
        assert card.data
        assert Path(f"{path}.json").is_file()
        x = torch.rand(1, 3, 64, 64, requires_grad=True)
        loss(x, torch.rand(1, 3, 64, 64)).backward()
        assert bool(x.grad.isfinite().all())
