"""``lossnets pgn train`` as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lossnets.cli import main
from lossnets.cli.pgn import COMMANDS
from lossnets.cli.pgn_train import parse_settings
from lossnets.errors import ConfigError
from lossnets.gradients import load_pgn
from lossnets.images.files import write_image

Captured = pytest.CaptureFixture[str]
TINY = [
    "--profile", "smoke", "--steps", "2", "--set", "log_every=1", "--set", "fidelity_steps=2",
    "--set", 'fit_settings={"image-prior": {"width": 4, "scales": 2}, "deep-decoder": {"width": 4}}',
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("images")
    for k in range(2):
        write_image(made / f"{k}.png", torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(k)))
    (made / "broken.png").write_bytes(b"nothing")
    return made


def run(folder: Path, out: Path, *more: str, loss: str = "pixel:l1") -> int:
    return main(["pgn", "train", "--loss", loss, "--images", str(folder), "--out", str(out), *TINY, *more])


def test_train_writes_a_checkpoint_and_tells_how_it_goes(
    folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "mine.safetensors"
    assert run(folder, out, "--backbone", "shuffled", "--set", 'settings={"width": 8}', "--seed", "5") == 0
    printed, told = capsys.readouterr()
    assert printed == f"{out}\n"
    assert "step 1/2, meta-loss" in told
    assert "step 2/2, meta-loss" in told
    assert "1 of 3 images are left out: broken.png:" in told
    assert "held-out image-prior fits: cosine" in told
    assert f"lossnets pgn evaluate {out} --images DIR" in told
    network, card = load_pgn(out)
    assert network.architecture.settings == {"width": 8}
    assert card.training["seed"] == 5
    # the same command again has nothing to do; other settings are refused; --no-resume begins anew
    assert run(folder, out, "--backbone", "shuffled", "--set", 'settings={"width": 8}', "--seed", "5") == 0
    assert "step 1/2" not in capsys.readouterr().err
    assert run(folder, out, "--backbone", "shuffled", "--seed", "6") == 2
    error = capsys.readouterr().err
    assert "holds a training with other settings: settings is {'width': 8} there, {} here; seed is 5" in error
    assert "--no-resume" in error


def test_a_family_alone_finds_its_backbone(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    small = ["--set", 'settings={"width": 8, "blocks": 1}', "--set", "fidelity_crops=0"]
    assert run(folder, out, "--proxy", "warped", *small) == 0
    architecture = load_pgn(out)[0].architecture
    assert (architecture.family, architecture.backbone, architecture.proxy) == ("proxy", "shuffled", "warped")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--backbone", "resnet4"], "Did you mean 'resnet-4'"),
        (["--family", "thin"], "family of gradient networks 'thin' is not known"),
        (["--family", "distilled", "--backbone", "unet"], "family 'distilled' has no backbone 'unet'"),
        (["--family", "proxy", "--backbone", "distilled"], "backbone 'distilled' is a family of its own"),
        (["--set", "backbone=unet"], "name the backbone by --backbone"),
        (["--set", "lr"], "--set takes KEY=VALUE, e.g. --set lr=0.001; got 'lr'"),
        (["--set", "learning_rate=1"], "setting of a training 'learning_rate' is not known"),
        (["--crop", "50"], "crop must be a multiple of 16 pixels"),
        (["--device", "tpu"], "device must be like 'cpu', 'cuda', 'cuda:1' or 'mps'; got 'tpu'"),
        (["--profile", "large"], "profile 'large' is not known"),
        (["--precision", "16"], "precision '16' is not known"),
    ],
)
def test_what_a_user_can_mend(
    folder: Path, tmp_path: Path, capsys: Captured, arguments: list[str], text: str
) -> None:
    assert run(folder, tmp_path / "a.safetensors", *arguments) == 2
    assert text in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_unknown_losses_and_folders(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    assert run(folder, tmp_path / "a.safetensors", loss="pixel:mae") == 2
    assert run(tmp_path / "nowhere", tmp_path / "a.safetensors") == 2
    assert "does not exist" in capsys.readouterr().err


def test_settings_are_json_or_text() -> None:
    assert parse_settings(["a=1", "b=text", 'c={"d": [1]}', "e=x=y"]) == {
        "a": 1, "b": "text", "c": {"d": [1]}, "e": "x=y"
    }  # fmt: skip
    with pytest.raises(ConfigError, match="--set a is given twice"):
        parse_settings(["a=1", "a=2"])


def test_help_names_the_commands_and_an_unknown_one_is_refused(capsys: Captured) -> None:
    assert main(["pgn", "--help"]) == 0
    out = capsys.readouterr().out
    for name, entry in COMMANDS.items():
        assert name in out
        assert entry.help[:30] in out
    assert main(["pgn", "trian"]) == 2
    assert "Did you mean 'pgn train'" in capsys.readouterr().err
