"""Checkpoints: what is written comes back; what is damaged, foreign or a pickle is refused, with reasons."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, safe_open, save_file
from torch import Tensor

from lossnets.errors import ConfigError, WeightsError
from lossnets.gradients import (
    Architecture,
    Card,
    GradientNetwork,
    PGNLoss,
    check_imitates,
    load_pgn,
    read_card,
    save_pgn,
)
from lossnets.losses import load_loss
from lossnets.networks.state_dicts import state_sha256


@pytest.fixture
def file(tmp_path: Path, thin: Mapping[str, GradientNetwork], card: Card) -> Path:
    return save_pgn(tmp_path / "mine.safetensors", thin["proxy"], card)


@pytest.mark.parametrize("family", ["proxy", "direct", "distilled"])
def test_what_is_saved_comes_back(
    family: str, thin: Mapping[str, GradientNetwork], card: Card, tmp_path: Path, pair: tuple[Tensor, Tensor]
) -> None:
    network = thin[family].train()
    network(*pair)  # running statistics are part of it
    card = replace(card, architecture=network.architecture)
    path = save_pgn(tmp_path / "a.safetensors", network, card)
    found, read = load_pgn(path)
    assert read == card == read_card(path)
    assert not found.training
    assert torch.equal(found.gradient(*pair), network.eval().gradient(*pair))
    beside = json.loads((tmp_path / "a.safetensors.json").read_text(encoding="utf-8"))
    assert beside == json.loads(json.dumps(card.as_dict()))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "a.safetensors.json"]


def test_loading_leaves_the_random_state_alone(file: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_pgn(file)
    assert torch.equal(torch.rand(3), expected)


def test_half_precision_halves_the_file(
    file: Path, thin: Mapping[str, GradientNetwork], card: Card, pair: tuple[Tensor, Tensor]
) -> None:
    path = save_pgn(file.with_name("half.safetensors"), thin["proxy"], card, dtype=torch.float16)
    bytes_ = [sum(t.nbytes for t in load_file(p).values()) for p in (file, path)]
    assert bytes_[1] < 0.6 * bytes_[0]
    found, _ = load_pgn(path)
    assert {p.dtype for p in found.parameters()} == {torch.float32}
    ours, theirs = (n.gradient(*pair).detach().flatten() for n in (found, thin["proxy"]))
    assert float(torch.cosine_similarity(ours, theirs, 0)) > 0.999


def test_no_entry_of_a_record_loses_a_training(
    file: Path, thin: Mapping[str, GradientNetwork], card: Card
) -> None:
    odd = {"cosine": float("nan"), "ratio": np.float32(0.5), "n": torch.tensor(3), "to": (Path("a"), 1e400)}
    path = save_pgn(file, thin["proxy"], replace(card, fidelity=odd))
    assert load_pgn(path)[1].fidelity == {"cosine": None, "ratio": 0.5, "n": 3, "to": ["a", None]}
    text = Path(f"{path}.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail)["fidelity"]["cosine"] is None


def rewritten(path: Path, change: Callable[[dict, dict], None]) -> Path:
    """The file with other tensors or metadata, its sum right again."""
    tensors = load_file(path)
    with safe_open(path, framework="pt") as opened:
        metadata = opened.metadata()
    change(tensors, metadata)
    if "tensors-sha256" in metadata:
        metadata["tensors-sha256"] = state_sha256(tensors)
    save_file(tensors, path, metadata)
    return path


def carded(**changes: object) -> Callable[[dict, dict], None]:
    def change(_: dict, metadata: dict) -> None:
        record = json.loads(metadata["lossnets-pgn"])
        for key, value in changes.items():
            record.pop(key, None) if value is None else record.update({key: value})
        metadata["lossnets-pgn"] = json.dumps(record)

    return change


KEY = "backbone.stem.weight"
DAMAGES: dict[str, tuple[Callable[[dict, dict], None], str]] = {
    "missing tensor": (lambda t, m: t.pop(KEY), f"do not fit the architecture of its card. missing: {KEY}$"),
    "extra tensor": (lambda t, m: t.update(more=torch.zeros(1)), "unexpected: more$"),
    "other shape": (lambda t, m: t.update({KEY: torch.zeros(1)}), rf"mis-shaped: {KEY} \(1,\) torch.float32"),
    "integers": (lambda t, m: t.update({KEY: t[KEY].int()}), f"mis-shaped: {KEY} .* torch.int32 instead of"),
    "NaN": (lambda t, m: t[KEY].view(-1)[3].fill_(torch.nan), f"NaN or infinite numbers in {KEY}"),
    "infinite": (lambda t, m: t[KEY].view(-1)[3].fill_(torch.inf), "its training has diverged"),
    "no card": (lambda t, m: m.pop("lossnets-pgn"), "not of a gradient network: it has no card"),
    "no JSON": (lambda t, m: m.update({"lossnets-pgn": "{"}), "its card is damaged, it is no JSON"),
    "no record": (lambda t, m: m.update({"lossnets-pgn": "[]"}), "its card must be a record of entries"),
    "later format": (carded(format=2), "its format is 2; this version of lossnets .* reads format 1"),
    "entry missing": (carded(loss=None), "its card is damaged: loss is missing"),
    "entry unknown": (carded(colour="red"), "its card is damaged: colour is unknown"),
    "entry of another kind": (carded(data=3), "its card is damaged: data must be dict, got int"),
    "unknown backbone": (carded(architecture={"backbone": "vgg"}), "backbone 'vgg' is not known"),
    "no name": (carded(architecture={"backbone": 3}), "backbone must be a name, as text; got 3"),
    "settings": (
        carded(architecture={"backbone": "shuffled", "settings": {"depth": 3}}),
        "its architecture cannot be built here: settings of backbone 'shuffled' do not fit",
    ),
    "other architecture": (carded(architecture={"backbone": "resnet"}), "missing: .* more; unexpected: "),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_and_foreign_files_are_refused(damage: str, file: Path) -> None:
    change, text = DAMAGES[damage]
    rewritten(file, change)
    with pytest.raises(WeightsError, match=text) as told:
        load_pgn(file)
    assert f"checkpoint {file} is refused: " in str(told.value)


def test_bytes_that_have_changed_are_noticed(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(WeightsError, match="its tensors are not those that were saved"):
        load_pgn(file)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_files(share: float, file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    for read in (load_pgn, read_card):
        with pytest.raises(WeightsError, match=r"is empty|truncated|not a safetensors file"):
            read(file)


def test_missing_files_folders_and_pickles(tmp_path: Path, thin: Mapping[str, GradientNetwork]) -> None:
    with pytest.raises(WeightsError, match="it does not exist"):
        load_pgn(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="it is a folder"):
        load_pgn(tmp_path)
    for name in ("a.pth", "a.safetensors"):
        torch.save(thin["proxy"].state_dict(), tmp_path / name)
        with pytest.raises(WeightsError, match=r"it is a torch file \(a pickle\)"):
            load_pgn(tmp_path / name)
    save_file({"a": torch.zeros(1)}, tmp_path / "b.safetensors")
    with pytest.raises(WeightsError, match="not of a gradient network"):
        read_card(tmp_path / "b.safetensors")


def test_what_is_not_saved(tmp_path: Path, thin: Mapping[str, GradientNetwork], card: Card) -> None:
    with pytest.raises(ConfigError, match=r"must end in .safetensors; got 'a.pth'"):
        save_pgn(tmp_path / "a.pth", thin["proxy"], card)
    with pytest.raises(ConfigError, match="the card describes another architecture than the network has"):
        save_pgn(tmp_path / "a.safetensors", thin["direct"], card)
    with torch.no_grad():
        next(thin["proxy"].parameters()).view(-1)[0] = torch.nan
    with pytest.raises(WeightsError, match=r"is not saved: NaN or infinite numbers in backbone.stem.weight"):
        save_pgn(tmp_path / "a.safetensors", thin["proxy"], card)
    with pytest.raises(WeightsError, match="cannot be written"):
        save_pgn(
            tmp_path / "none" / "a.safetensors", build(), replace(card, architecture=build().architecture)
        )
    assert list(tmp_path.iterdir()) == []


def build() -> GradientNetwork:
    from lossnets.gradients import build_network

    return build_network(Architecture("proxy", "shuffled", {"width": 4, "blocks": 0}))


def test_a_failed_save_leaves_the_old_file(
    file: Path, thin: Mapping[str, GradientNetwork], card: Card
) -> None:
    before = file.read_bytes()
    with torch.no_grad():
        next(thin["proxy"].parameters()).fill_(torch.inf)
    with pytest.raises(WeightsError, match="not saved"):
        save_pgn(file, thin["proxy"], card)
    assert file.read_bytes() == before


NAME = "squeezenet1_1/features.1:weights=random-0"


def test_another_loss_is_refused_and_the_differences_are_named(card: Card) -> None:
    loss = load_loss(NAME)
    card = replace(card, loss=loss.name, loss_signature=loss.signature())
    check_imitates(card, NAME)
    check_imitates(card, loss)
    cases = {
        "squeezenet1_1/features.1:weights=random-1": "weights: it imitates [0-9a-f]{64}, asked for [0-9a-f]",
        "squeezenet1_1/features.4:weights=random-0": "loss: it imitates squeezenet1_1/features.1, asked for",
        "squeezenet1_1/features.1:l1:weights=random-0": "asked for squeezenet1_1/features.1:spatial-l1",
        "squeezenet1_1/features.1:input=raw:weights=random-0": "mean: it imitates 0.485,.*asked for 0,0,0",
        "pixel:mse": "weights: it imitates .*, asked for nothing",
    }
    for name, text in cases.items():
        with pytest.raises(WeightsError, match=text) as told:
            check_imitates(card, name)
        assert "imitates another loss (squeezenet1_1/features.1:weights=random-0)" in str(told.value)
        assert "lossnets pgn train --loss NAME" in str(told.value)


class Elsewhere:
    """A loss whose weights are the same file in another folder."""

    name = "elsewhere"

    def signature(self) -> str:
        return SIGNATURE.format("/b/y.pth")


SIGNATURE = "squeezenet1_1/features.1:weights={}|weights:file:sha256:ab12|mean:0|std:1|numerics:1"


def test_where_weights_lie_and_precision_make_no_other_loss(card: Card) -> None:
    loss = load_loss(NAME)
    card = replace(card, loss=loss.name, loss_signature=loss.signature())
    check_imitates(card, f"{NAME}:dtype=bfloat16")
    moved = replace(card, loss_signature=SIGNATURE.format("/a/x.pth"))
    check_imitates(moved, Elsewhere())  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match="weights: it imitates ab13, asked for ab12"):
        check_imitates(replace(moved, loss_signature=SIGNATURE.replace("ab12", "ab13")), Elsewhere())  # type: ignore[arg-type]


def test_a_loss_of_a_checkpoint(file: Path, pair: tuple[Tensor, Tensor]) -> None:
    loss = PGNLoss.from_pretrained(file, loss="pixel:mse", reduction="none", data_range=(0, 1))
    assert loss.name == f"pgn:{file}"
    assert loss.imitates == "pixel:mse|numerics:1"
    assert loss(*pair).shape == (2,)
    assert load_pgn(file, loss="pixel:mse")[1].loss == "pixel:mse"
    with pytest.raises(WeightsError, match="imitates another loss"):
        load_pgn(file, loss="pixel:l1")
    with pytest.raises(WeightsError, match="imitates another loss"):
        PGNLoss.from_pretrained(str(file), loss="pixel:l1")
