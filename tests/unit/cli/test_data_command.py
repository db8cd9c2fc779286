"""`lossnets data list | info | fetch | verify`, as a user calls them."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lossnets.cli import main
from lossnets.datasets import catalogue, data_home
from lossnets.datasets.facts import Archive, Content, DataSetCard


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Iterator[Path]:
    """A data set on a server of this machine; its archive."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(buffer, format="PNG")
    archive = tmp_path / "www" / "toy.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("train/a.png", "train/b.png", "val/c.png"):
            file.writestr(name, buffer.getvalue())
    http = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(archive.parent)))
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{http.server_port}/toy.zip"
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    card = DataSetCard(
        "toy", "A toy", ("train/*.png",), "CC0", "Nobody 2020", "Ask.", use="play", homepage="http://toy",
        archives=(Archive(url, "toy.zip", size=archive.stat().st_size, sha256=sha256, checksum_from="us"),),
        contents=(Content("train", ("train/*.png",), 2), Content("val", ("val/*.png",), 1)),
        size_on_disk=5_000,
    )  # fmt: skip
    monkeypatch.setitem(catalogue._CARDS, "toy", card)
    monkeypatch.delenv("LOSSNETS_DATA", raising=False)
    monkeypatch.setenv("LOSSNETS_OFFLINE", "0")
    monkeypatch.setenv("no_proxy", "*")
    yield archive
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def run(capsys):
    """Run the command line -> (status, stdout, stderr)."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["data", *map(str, arguments)])
        return status, *capsys.readouterr()

    return call


@pytest.mark.usefixtures("toy")
class TestList:
    def test_table(self, run):
        status, out, err = run("list")
        assert (status, err) == (0, "")
        rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
        assert "20.2 GB" in rows["coco2014"]
        assert rows["coco2014"].split()[-1] == "missing"
        assert "with packages" in rows["sample-roads"]
        assert f"Looked for in {data_home()}" in out

    def test_json(self, run):
        facts = {entry["name"]: entry for entry in json.loads(run("list", "--json")[1])}
        assert facts["svhn"]["contents"][0]["md5"] == "e26dedcc434d2e4c54c9b2d4a06d8373"
        assert (facts["toy"]["state"], facts["toy"]["folder"]) == ("missing", None)


@pytest.mark.usefixtures("toy")
class TestInfo:
    def test_all_facts(self, run):
        out = run("info", "stl10")[1]
        for text in (
            "STL-10: 96×96 images",
            "Coates, Lee, Ng",
            "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz (train, test, unlabeled; 2.6 GB)",
            "md5 91f7769df0f17e558f3565bffb0c7dfb, from TensorFlow Datasets (sha256) and torchvision (md5)",
            "missing:  train, test, unlabeled",
        ):
            assert text in out

    def test_what_is_not_known_is_said(self, run):
        out = run("info", "bapps")[1]
        assert out.count("checksum: none published") == 3
        assert "(2afc-train; about 5.3 GB, optional)" in out

    def test_json(self, run):
        assert json.loads(run("info", "toy", "--json")[1])["citation"] == "Nobody 2020"

    def test_unknown(self, run):
        status, out, err = run("info", "coco")
        assert (status, out) == (2, "")
        assert err.startswith("error: data set 'coco' is not known. Did you mean 'coco2014'")


class TestFetch:
    def test_it_comes_and_is_verified(self, toy, run):
        status, out, _ = run("fetch", "toy")
        root = data_home() / "toy"
        assert (status, out.splitlines()) == (
            0,
            [f"toy  {root}", "  licence: CC0", "  please cite: Nobody 2020"],
        )
        status, out, _ = run("verify", "toy", "--deep")
        assert (status, out.splitlines()) == (
            0,
            [
                f"toy  {root}", "ok   train: train/*.png: 2 files", "ok   val: val/*.png: 1 files",
                "     3 images decoded",
            ],
        )  # fmt: skip
        toy.unlink()
        assert run("fetch", "toy")[0] == 0  # it is here already
        assert f"complete: {root}" in run("info", "toy")[1]

    def test_options(self, toy, run, tmp_path):
        options = ("--to", tmp_path / "here", "--keep-archives", "--part", "val")
        assert run("fetch", "toy", *options)[0] == 0
        assert (tmp_path / "here" / ".archives" / "toy.zip").read_bytes() == toy.read_bytes()
        report = json.loads(run("verify", tmp_path / "here", "--json")[1])
        assert (report["good"], report["name"], report["decoded"]) == (True, "toy", 3)

    def test_a_wrong_checksum_is_one_message(self, toy, run):
        toy.write_bytes(bytes(toy.stat().st_size))
        status, out, err = run("fetch", "toy")
        assert (status, out) == (2, "")
        assert err.splitlines()[-1].startswith("error: http://127.0.0.1")
        assert "gave a file that is refused: it has sha256" in err
        assert "Traceback" not in err

    def test_offline(self, toy, run, monkeypatch):
        monkeypatch.setenv("LOSSNETS_OFFLINE", "1")
        status, _, err = run("fetch", "toy")
        assert status == 2
        assert err.startswith("error: toy.zip would be downloaded from http://127.0.0.1")
        assert err.count("\n") == 1

    def test_an_unknown_part(self, toy, run):
        status, _, err = run("fetch", "toy", "--part", "tets")
        assert (status, err) == (2, "error: part of toy 'tets' is not known. Allowed: train, val\n")


@pytest.mark.usefixtures("toy")
class TestVerify:
    def test_a_bad_one(self, run):
        run("fetch", "toy")
        (data_home() / "toy" / "val" / "c.png").write_bytes(b"no image")
        status, out, err = run("verify", "toy")
        assert status == 2
        assert "BAD  val/c.png: " in out
        assert "is not as it should be: 1 of 3 checks failed" in err

    def test_a_folder_of_images(self, run, tmp_path):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
        status, out, _ = run("verify", tmp_path)
        assert (status, out.splitlines()[1]) == (0, "ok   images: 1 files")
        (tmp_path / "b.png").write_bytes(b"no image")
        status, _, err = run("verify", tmp_path)
        assert (status, err.splitlines()[-1]) == (2, f"error: 1 images in {tmp_path} cannot be read")

    def test_what_is_not_there(self, run):
        status, out, err = run("verify", "svhn")
        assert (status, out) == (2, "")
        assert "lossnets data fetch svhn (1.6 GB to download; licence: non-commercial use only)" in err


def test_help(run):
    assert all(f"│ {name} " in run("--help")[1] for name in ("list", "info", "fetch", "verify"))
    assert "go on where an earlier start stopped" in " ".join(run("fetch", "--help")[1].split())
