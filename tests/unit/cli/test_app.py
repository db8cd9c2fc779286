"""The command as a whole: help without torch, one message for an error, statuses, nearest names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lossnets import cli
from lossnets.cli import app
from lossnets.errors import ConfigError, MissingExtraError
from lossnets.version import __version__

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def toy_command(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A command "toy" that raises what a test puts into ``error``."""
    box = SimpleNamespace(error=None)

    def toy(word: str = "hello") -> None:
        """Say a word."""
        if box.error is not None:
            raise box.error
        print(word)

    monkeypatch.setitem(sys.modules, "lossnets.cli.toy", SimpleNamespace(toy=toy))
    monkeypatch.setitem(app.COMMANDS, "toy", app.Entry("toy", "toy", "A toy."))
    return box


def test_help_lists_every_command(capsys: Captured) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, entry in app.COMMANDS.items():
        assert name in out
        assert entry.help[:40] in out
    assert "lossnets distance a.png b.png" in out


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["nonsense"]])
def test_nothing_heavy_is_imported_to_answer_at_once(arguments: list[str]) -> None:
    code = (
        "import sys; from lossnets.cli import main; main(sys.argv[1:]); "
        "heavy = {'torch', 'numpy', 'sqlalchemy', 'timm'} & set(sys.modules); sys.exit(len(heavy))"
    )
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=False)
    assert run.returncode == 0


def test_version(capsys: Captured) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"lossnets {__version__}\n"


def test_python_m_is_the_command() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "lossnets", "--version"], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, f"lossnets {__version__}\n")


def test_a_command_gets_its_options(toy_command: SimpleNamespace, capsys: Captured) -> None:
    assert cli.main(["toy", "--word", "bye"]) == 0
    assert capsys.readouterr().out == "bye\n"


def test_an_unknown_command_answers_with_the_nearest(capsys: Captured) -> None:
    assert cli.main(["swep", "plan.yaml"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "error: command 'swep' is not known. Did you mean 'sweep'? All of them: lossnets --help\n"
    )


def test_an_unknown_option_is_refused(toy_command: SimpleNamespace, capsys: Captured) -> None:
    assert cli.main(["toy", "--wrod", "x"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--wrod" in captured.err


def test_an_error_of_ours_is_one_message_on_stderr(toy_command: SimpleNamespace, capsys: Captured) -> None:
    toy_command.error = ConfigError("word must be kind; got 'x'")
    assert cli.main(["toy"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "error: word must be kind; got 'x'\n")


def test_debugging_shows_the_traceback(toy_command: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSNETS_DEBUG", "1")
    toy_command.error = ConfigError("word")
    with pytest.raises(ConfigError, match="word"):
        cli.main(["toy"])


def test_an_error_of_the_program_is_not_hidden(toy_command: SimpleNamespace) -> None:
    toy_command.error = ZeroDivisionError("a defect")
    with pytest.raises(ZeroDivisionError):
        cli.main(["toy"])


def test_ctrl_c_ends_with_130(toy_command: SimpleNamespace, capsys: Captured) -> None:
    toy_command.error = KeyboardInterrupt()
    assert cli.main(["toy"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_the_way_out_is_one_plain_message(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(
        cli, "require", lambda module, extra, purpose: _require(module, extra, purpose, missing)
    )
    assert cli.main(["--help"]) == 2
    assert "pip install 'lossnets[bench]'" in capsys.readouterr().err


def _require(module: str, extra: str, purpose: str, missing: str) -> object:
    if module == missing:
        raise MissingExtraError(
            f"{purpose} needs {module!r}. Install it with: pip install 'lossnets[{extra}]'"
        )
    return object()


def test_without_typer_a_real_process_says_so(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError(\"No module named 'typer'\", name='typer')")
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    run = subprocess.run(
        [sys.executable, "-m", "lossnets", "--help"],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr == (
        "error: the lossnets command needs the package 'typer', which is not installed. "
        "Install it with: pip install 'lossnets[bench]'\n"
    )


@pytest.mark.parametrize("name", app.COMMANDS)
def test_the_help_of_every_command_has_an_example(name: str, capsys: Captured) -> None:
    assert cli.main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert "Example" in out or name in ("data", "weights")  # their subcommands have theirs
    assert f"lossnets {name}" in out
