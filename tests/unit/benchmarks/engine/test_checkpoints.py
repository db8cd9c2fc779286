"""Checkpoints without pickle: what goes in comes out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lossnets.benchmarks.engine.checkpoints import SafetensorsIO, flatten, read_checkpoint, unflatten
from lossnets.errors import DataError

CONTENT = {
    "epoch": 3,
    "state_dict": {"model.weight": torch.arange(6.0).reshape(2, 3)},
    "optimizer_states": [
        {"state": {0: {"step": torch.tensor(4.0)}}, "param_groups": [{"betas": (0.9, 0.999)}]}
    ],
    "nothing": None,
    "flag": True,
    "text": "ä",
    "place": Path("folder"),
    "nested": {("a", 1): [1.5, {"b": torch.ones(1, dtype=torch.int64)}]},
}


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.safetensors"
    SafetensorsIO("me").save_checkpoint(CONTENT, path)
    back = SafetensorsIO("me").load_checkpoint(path)
    assert torch.equal(back["state_dict"]["model.weight"], CONTENT["state_dict"]["model.weight"])
    assert back["optimizer_states"][0]["state"][0]["step"] == 4
    assert back["optimizer_states"][0]["param_groups"][0]["betas"] == (0.9, 0.999)
    assert back["nested"]["a", 1][1]["b"].dtype == torch.int64
    assert (back["nothing"], back["flag"], back["text"], back["place"]) == (None, True, "ä", "folder")


def test_what_cannot_be_stored_is_refused() -> None:
    with pytest.raises(DataError, match="holds object, which cannot be stored without pickle"):
        flatten({"x": object()})


def test_flat_text_has_no_tensors() -> None:
    text, tensors = flatten({"x": torch.zeros(2)})
    assert list(tensors) == ["0"]
    assert torch.equal(unflatten(text, tensors)["x"], torch.zeros(2))


def test_other_files_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="is no checkpoint of a training benchmark"):
        read_checkpoint(tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="is missing or damaged"):
        read_checkpoint(tmp_path / "none.safetensors")
