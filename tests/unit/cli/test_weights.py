"""`lossnets weights list | fetch | verify`, on a catalogue of three networks."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from typer.testing import CliRunner, Result

from lossnets import networks
from lossnets.cli.weights import app
from lossnets.errors import ConfigError, LossnetsError, UnknownNameError, WeightsError, unknown_name
from lossnets.networks import inventory
from lossnets.networks.spec import NetworkSpec, WeightsSpec

CONTENT = save({"features.0.weight": torch.ones(2, 3), "classifier.weight": torch.zeros(2)})
SHA = hashlib.sha256(CONTENT).hexdigest()
SPECS = {
    "net": NetworkSpec(
        "net",
        "torchvision",
        WeightsSpec(
            "V1", f"net-{SHA[:8]}.safetensors", "http://127.0.0.1:9/net", sha256_prefix=SHA[:8],
            licence="MIT", training_data="ImageNet-1K", megabytes=12.34,
        ),
    ),
    "unhashed": NetworkSpec("unhashed", "timm", WeightsSpec("tag", "timm.unhashed.bin", "http://localhost:9/u")),
    "bare": NetworkSpec("bare", "torchvision"),
}  # fmt: skip


class Plan:
    expected = {"features.0.weight": torch.Size([2, 3]), "classifier.weight": torch.Size([2])}  # noqa: RUF012


def spec_of(name: str) -> NetworkSpec:
    if name not in SPECS:
        raise unknown_name("network", name, SPECS)
    return SPECS[name]


@pytest.fixture(autouse=True)
def catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    def names(pattern: str = "*") -> list[str]:
        return [name for name in SPECS if pattern in ("*", name)]

    for place in (inventory, networks):
        monkeypatch.setattr(place, "list_networks", names)
        monkeypatch.setattr(place, "network_spec", spec_of)
    monkeypatch.setattr(inventory, "blueprint", lambda name: Plan)


@pytest.fixture
def folder() -> Path:
    path = Path(os.environ["LOSSNETS_HOME"]) / "weights"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def net_file(folder: Path) -> Path:
    path = folder / f"net-{SHA[:8]}.safetensors"
    path.write_bytes(CONTENT)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def output(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exception is None, result.output
    assert result.exit_code == 0
    return result.stdout


def failure(*arguments: object) -> LossnetsError:
    """Our own error comes through: the command's main turns it into one line."""
    error = run(*arguments).exception
    assert isinstance(error, LossnetsError), error
    return error


class TestList:
    def test_table(self, net_file):
        lines = output("list").splitlines()
        net = next(line for line in lines if " net " in line)
        for text in ("V1", net_file.name, "12.3", "MIT", "ImageNet-1K", f"present: {net_file}"):
            assert text in net
        assert "to be downloaded" in next(line for line in lines if "unhashed" in line)
        assert "random only" in next(line for line in lines if "bare" in line)

    def test_json(self, net_file):
        cards = json.loads(output("list", "net", "--json"))
        assert cards == [
            {
                "network": "net", "weights": "V1", "file": net_file.name, "megabytes": 12.34,
                "licence": "MIT", "training_data": "ImageNet-1K", "source": "http://127.0.0.1:9/net",
                "sha256": SHA[:8],
                "state": "present", "path": str(net_file),
            }
        ]  # fmt: skip

    def test_a_truncated_file_is_not_present(self, net_file):
        net_file.write_bytes(CONTENT[:-1])
        assert json.loads(output("list", "net", "--json"))[0]["state"] == "to be downloaded"

    def test_an_unknown_licence_says_so(self):
        assert json.loads(output("list", "unhashed", "--json"))[0]["licence"] == "unknown"

    def test_no_match(self):
        assert "Did you mean 'net'" in str(failure("list", "nett"))

    def test_packaged_and_not_installed(self, monkeypatch, tmp_path):
        here = NetworkSpec("here", "timm", WeightsSpec("packaged", "x", package="json"))
        gone = NetworkSpec("gone", "timm", WeightsSpec("packaged", "x", package="not-installed-package"))
        monkeypatch.setattr(inventory, "packaged_file", lambda name: tmp_path / name)
        assert inventory.weights_card(here).state == "packaged"
        assert inventory.weights_card(here).path == str(tmp_path / "here")
        assert inventory.weights_card(gone).state == "package not installed"


class TestFetch:
    def test_prints_path_and_hash(self, net_file):
        out = output("fetch", "net")
        assert out == f"net  {net_file}\n  sha256 {SHA}  as published (V1)\n"

    def test_shows_a_bar_with_bytes(self, folder, net_file, monkeypatch):
        def find(spec, progress):
            progress(0, 5_000_000)
            progress(5_000_000, 5_000_000)
            return net_file

        monkeypatch.setattr(inventory.weights, "find", find)
        result = run("fetch", "net")
        assert "5.0/5.0 MB" in result.stderr
        assert re.match("net ", result.stdout)

    def test_nothing_on_stderr_where_nothing_is_downloaded(self, net_file):
        assert run("fetch", "net").stderr == ""

    def test_an_unknown_name_stops_before_any_download(self, monkeypatch):
        monkeypatch.setattr(inventory, "fetch", lambda *a: pytest.fail("fetched"))
        assert isinstance(failure("fetch", "net", "nett"), UnknownNameError)

    def test_one_failure_does_not_stop_the_others(self, net_file):
        result = run("fetch", "unhashed", "bare", "net")
        assert result.stdout.startswith(f"net  {net_file}")
        error = str(result.exception)
        assert isinstance(result.exception, WeightsError)
        assert "timm.unhashed.bin" in error
        assert "offline" in error
        assert "bare has no published weights: use weights='random'" in error


class TestVerify:
    def test_a_published_file(self, net_file):
        out = output("verify", net_file)
        assert out == f"ok   {net_file}\n     sha256 {SHA}\n     as published (V1)\n"

    def test_a_file_of_ones_own_against_a_network(self, tmp_path):
        path = tmp_path / "mine.safetensors"
        path.write_bytes(CONTENT)
        assert "fits net\n" in output("verify", path, "--network", "net")
        assert "whole and readable (2 tensors); no network publishes" in output("verify", path)
        path.write_bytes(save({"0.weight": torch.ones(2, 3)}))
        assert "fits net (1 tensors, a part of it)" in output("verify", path, "--network", "net")

    def test_keys_that_do_not_fit(self, tmp_path):
        path = tmp_path / "mine.safetensors"
        path.write_bytes(save({"features.0.weight": torch.ones(3, 2), "other": torch.ones(1)}))
        result = run("verify", path, "--network", "net")
        assert isinstance(result.exception, WeightsError)
        assert str(result.exception) == "1 of 1 weights files must not be used"
        assert (
            "missing classifier.weight; unexpected other; mis-shaped features.0.weight (3, 2)"
            in result.stdout
        )

    def test_another_content_under_a_published_name(self, net_file):
        net_file.write_bytes(save({"features.0.weight": torch.ones(2, 3)}))
        result = run("verify", net_file, "--json")
        assert isinstance(result.exception, WeightsError)
        check = json.loads(result.stdout)[0]
        assert check["good"] is False
        assert re.fullmatch(
            rf"not as published for V1: it has sha256 \w{{64}}, .* begins with {SHA[:8]}", check["finding"]
        )

    def test_the_whole_folder(self, folder, net_file):
        (folder / "cut.safetensors").write_bytes(CONTENT[:-1])
        (folder / "page.pth").write_bytes(b"<html>")
        (folder / "next.pth.part").write_bytes(b"123")
        (folder / "next.pth.part.json").write_text("{}")
        (folder / "next.pth.lock").write_text("")
        result = run("verify")
        assert str(result.exception) == "2 of 4 weights files must not be used"
        verdicts = [line.split()[:2] for line in result.stdout.splitlines() if line[:3] in ("ok ", "BAD")]
        names = [(verdict, Path(path).name) for verdict, path in verdicts]
        assert names == [
            ("BAD", "cut.safetensors"), ("ok", net_file.name), ("ok", "next.pth.part"), ("BAD", "page.pth"),
        ]  # fmt: skip
        assert "interrupted download, 3 bytes; fetch continues it" in result.stdout
        assert "is truncated" in result.stdout
        assert "is a web page" in result.stdout

    def test_an_empty_folder(self):
        assert output("verify").startswith("no weights files in ")
        assert json.loads(output("verify", "--json")) == []

    def test_a_missing_file(self, tmp_path):
        result = run("verify", tmp_path / "no.pth")
        assert "it does not exist" in result.stdout
        assert isinstance(result.exception, WeightsError)

    def test_a_network_without_a_file(self):
        assert isinstance(failure("verify", "--network", "net"), ConfigError)

    def test_an_unknown_network(self, net_file):
        assert isinstance(failure("verify", net_file, "--network", "nett"), UnknownNameError)


def test_help_shows_an_example_of_each_command():
    for command in ("list", "fetch", "verify"):
        assert f"Example: lossnets weights {command}" in output(command, "--help")


@pytest.mark.shared
def test_real_files_and_the_real_catalogue(shared_weights, monkeypatch):
    monkeypatch.undo()
    file = shared_weights / "mobilenet_v2-b0353104.pth"
    check = inventory.check_file(file, "mobilenet_v2")
    assert check.good
    assert check.finding == "as published (IMAGENET1K_V1); fits mobilenet_v2"
    assert inventory.check_file(file).network == "mobilenet_v2"
    assert not inventory.check_file(file, "alexnet").good
