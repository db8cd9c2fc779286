"""Fetching data sets from a server that does what servers do wrong; small copies of the real layouts."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lossnets.datasets import (
    catalogue,
    data_home,
    fetch,
    image_folder,
    locate,
    masked_folder,
    part_folder,
    read_mask,
    verify,
)
from lossnets.datasets.facts import Archive, Content, DataSetCard
from lossnets.datasets.index_pages import links
from lossnets.errors import DataError, UnknownNameError
from lossnets.home import offline_mode
from lossnets.images import read_image

module = importlib.import_module("lossnets.datasets.fetch")
downloads = importlib.import_module("lossnets.download")
RNG = np.random.default_rng(0)


def picture(kind: str, *, grey: bool = False, side: int = 32) -> bytes:
    values = RNG.integers(0, 255, (side, side) if grey else (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format=kind)
    return buffer.getvalue()


def mask() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((RNG.random((32, 32)) < 0.2).astype(np.uint8) * 255).save(buffer, format="TIFF")
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


TRAIN = {f"train2014/COCO_train2014_{k:012}.jpg": picture("JPEG", grey=k == 1) for k in range(4)}
VAL = {f"val2014/COCO_val2014_{k:012}.jpg": picture("JPEG") for k in range(2)}
TRAIN_ZIP, VAL_ZIP = zipped(TRAIN), zipped(VAL)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOSSNETS_DATA", raising=False)
    monkeypatch.setattr(downloads.time, "sleep", lambda _seconds: None)


def known(monkeypatch: pytest.MonkeyPatch, card: DataSetCard) -> DataSetCard:
    monkeypatch.setitem(catalogue._CARDS, card.name, card)
    return card


@pytest.fixture
def coco(web, monkeypatch) -> DataSetCard:
    """COCO's real card with another address, checksum and number of files."""
    real = catalogue.card("coco2014")
    archives = tuple(
        dataclasses.replace(
            archive, url=web.put(f"/{archive.filename}", content), size=len(content), unpacked=None,
            sha256=hashlib.sha256(content).hexdigest(),
        )
        for archive, content in zip(real.archives, (TRAIN_ZIP, VAL_ZIP), strict=True)
    )  # fmt: skip
    contents = tuple(
        dataclasses.replace(c, count=len(files)) for c, files in zip(real.contents, (TRAIN, VAL), strict=True)
    )
    return known(monkeypatch, dataclasses.replace(real, archives=archives, contents=contents))


def one_archive(monkeypatch, url: str, **facts: object) -> DataSetCard:
    archive = Archive(url, url.rpartition("/")[2], **facts)
    contents = (Content("train", ("train2014/*.jpg",), len(TRAIN)),)
    return known(
        monkeypatch,
        DataSetCard("toy", "A toy", (), "CC0", "", "Ask.", archives=(archive,), contents=contents),
    )


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


class TestAllGoesWell:
    def test_whole_and_nothing_else(self, coco, web):
        root = fetch("coco2014")
        assert root == data_home() / "coco2014" == locate("coco2014")
        assert tree(root) == {**TRAIN, **VAL}
        assert [path for path, _ in web.requests] == ["/train2014.zip", "/val2014.zip"]
        images = image_folder(part_folder("coco2014", root, "train"))
        assert [p.name for p in images] == sorted(Path(name).name for name in TRAIN)
        assert read_image(images[1]).shape == (3, 32, 32)  # the grey one

    def test_a_second_time_needs_no_network(self, coco):
        root = fetch("coco2014")
        with offline_mode():
            assert fetch("coco2014") == root

    def test_parts_come_one_by_one(self, coco, web):
        assert tree(fetch("coco2014", parts=["val"])) == VAL
        assert tree(fetch("coco2014")) == {**TRAIN, **VAL}
        assert [path for path, _ in web.requests] == ["/val2014.zip", "/train2014.zip"]

    def test_a_copy_of_the_user_is_enough(self, coco, web, tmp_path, monkeypatch):
        monkeypatch.setenv("LOSSNETS_DATA", f"{tmp_path / 'new'}{os.pathsep}{tmp_path / 'mine'}")
        for name, content in {**TRAIN, **VAL}.items():
            file = tmp_path / "mine" / "coco2014" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        assert fetch("coco2014") == tmp_path / "mine" / "coco2014"
        assert not web.requests

    def test_another_folder_and_kept_archives(self, coco, tmp_path):
        root = fetch("coco2014", folder=tmp_path / "here", keep_archives=True)
        assert root == tmp_path / "here"
        kept = {".archives/train2014.zip": TRAIN_ZIP, ".archives/val2014.zip": VAL_ZIP}
        assert tree(root) == {**TRAIN, **VAL, **kept}
        report = verify(root)  # told by what it holds
        assert (report.good, report.name) == (True, "coco2014")
        assert [f.what for f in report.findings][-2:] == ["train2014.zip", "val2014.zip"]

    def test_progress(self, coco):
        seen: dict[str, list[tuple[int, int | None]]] = {}
        fetch("coco2014", progress=lambda label, *amount: seen.setdefault(label, []).append(amount))
        labels = ["train2014.zip", "unpacking train2014.zip", "val2014.zip", "unpacking val2014.zip"]
        assert list(seen) == labels
        assert seen["train2014.zip"][-1] == (len(TRAIN_ZIP), len(TRAIN_ZIP))
        total = sum(map(len, TRAIN.values()))
        assert seen["unpacking train2014.zip"][-1] == (total, total)

    def test_files_of_the_user_beside_it_stay(self, coco):
        other = data_home() / "coco2014" / "train2014" / "notes.txt"
        other.parent.mkdir(parents=True)
        other.write_text("mine")
        fetch("coco2014")
        assert other.read_text() == "mine"

    def test_what_is_not_fetched(self):
        with pytest.raises(DataError, match=r"'sample-digits' is not fetched. Install lossnets"):
            fetch("sample-digits")
        with pytest.raises(UnknownNameError, match="Did you mean 'coco2014'"):
            fetch("coco2015")
        with pytest.raises(UnknownNameError, match="part of coco2014 'test' is not known"):
            fetch("coco2014", parts=["test"])


class TestTrouble:
    def test_connections_that_break(self, coco, web):
        web.script = [web.cut(500), web.status(503), web.cut(300)]
        assert tree(fetch("coco2014")) == {**TRAIN, **VAL}
        assert web.requests[:4] == [
            ("/train2014.zip", None),
            ("/train2014.zip", "bytes=500-"),
            ("/train2014.zip", "bytes=500-"),
            ("/train2014.zip", "bytes=800-"),
        ]

    def test_a_server_that_ignores_ranges(self, coco, web):
        web.ranges = False
        web.script = [web.cut(500)]
        assert tree(fetch("coco2014")) == {**TRAIN, **VAL}

    def test_it_goes_on_where_an_earlier_start_stopped(self, coco, web):
        web.script = [web.cut(700), *[web.status(500)] * 9]
        with pytest.raises(DataError, match="700 bytes are kept"):
            fetch("coco2014")
        web.script, web.sent = [], 0
        fetch("coco2014")
        assert web.sent == len(TRAIN_ZIP) - 700 + len(VAL_ZIP)

    def test_a_wrong_checksum(self, coco, web):
        web.files["/train2014.zip"] = bytes(len(TRAIN_ZIP))
        with pytest.raises(DataError, match=r"it has sha256 .* Nothing was kept"):
            fetch("coco2014")
        assert locate("coco2014") is None
        assert tree(data_home() / "coco2014") == {}

    def test_a_wrong_size(self, coco, web):
        web.script = [web.instead(TRAIN_ZIP[:900])]
        with pytest.raises(DataError, match=f"has 900 bytes, expected {len(TRAIN_ZIP)}"):
            fetch("coco2014")

    def test_md5_where_only_that_is_published(self, web, monkeypatch):
        right = hashlib.md5(TRAIN_ZIP).hexdigest()
        url = web.put("/toy.zip", TRAIN_ZIP)
        one_archive(monkeypatch, url, md5="0" * 32)
        with pytest.raises(DataError, match=f"it has md5 {right}, expected {'0' * 32}"):
            fetch("toy")
        one_archive(monkeypatch, url, md5=right)
        assert tree(fetch("toy")) == TRAIN

    @pytest.mark.parametrize("share", [0.3, 0.99])
    @pytest.mark.parametrize("make", [zipped, tarred])
    def test_a_truncated_file_without_a_checksum(self, make, share, web, monkeypatch):
        whole = make(TRAIN)
        one_archive(monkeypatch, web.put("/toy.bin", whole))
        web.script = [web.instead(whole[: int(share * len(whole))])]
        with pytest.raises(DataError, match=r"refused: it is damaged or incomplete .* Nothing was kept"):
            fetch("toy")
        assert tree(fetch("toy")) == TRAIN  # the next start gets it right

    def test_an_archive_with_something_else_in_it(self, web, monkeypatch):
        one_archive(monkeypatch, web.put("/toy.zip", zipped(VAL)))
        with pytest.raises(DataError, match=r"does not hold what .*toy.* train2014/\*\.jpg: 0 of 4 files"):
            fetch("toy")
        assert tree(data_home() / "toy") == {}

    def test_a_malicious_archive(self, web, monkeypatch):
        one_archive(monkeypatch, web.put("/toy.tgz", tarred({**TRAIN, "../../../evil.jpg": b"evil"})))
        with pytest.raises(DataError, match="would leave the folder"):
            fetch("toy")
        assert set(tree(data_home())) == {"toy/.archives/toy.tgz"}

    def test_a_bomb(self, web, monkeypatch):
        monkeypatch.setattr(module, "_SLACK", 0)
        zeros = {f"train2014/{k}.jpg": bytes(1_000_000) for k in range(4)}
        one_archive(monkeypatch, web.put("/toy.tgz", tarred(zeros)), unpacked=100_000)
        with pytest.raises(DataError, match="allowed are 200000 bytes"):
            fetch("toy")

    def test_offline(self, coco, web):
        with offline_mode(), pytest.raises(DataError) as caught:
            fetch("coco2014")
        assert "lossnets is offline" in str(caught.value)
        brought = data_home() / "coco2014" / ".archives"
        assert f"put the file at {brought / 'train2014.zip'}" in str(caught.value)
        for name, content in (("train2014.zip", TRAIN_ZIP), ("val2014.zip", VAL_ZIP)):
            brought.mkdir(parents=True, exist_ok=True)
            (brought / name).write_bytes(content)
        with offline_mode():
            assert tree(fetch("coco2014")) == {**TRAIN, **VAL}
        assert not web.requests

    def test_a_missing_file(self, coco, web):
        del web.files["/val2014.zip"]
        with pytest.raises(DataError, match="answered 404"):
            fetch("coco2014")
        assert set(tree(data_home() / "coco2014")) == set(TRAIN)

    def test_too_little_room(self, coco, web, monkeypatch):
        monkeypatch.setattr(module, "free_bytes", lambda _folder: 1000)
        with pytest.raises(DataError, match=r"needs about .* kB in .*coco2014, 1 kB are free: make room"):
            fetch("coco2014")
        assert not web.requests

    def test_what_is_there_already_needs_no_room(self, coco, monkeypatch):
        with offline_mode(), pytest.raises(DataError, match="offline"):
            fetch("coco2014")
        brought = data_home() / "coco2014" / ".archives"
        brought.mkdir(parents=True)
        (brought / "train2014.zip").write_bytes(TRAIN_ZIP)
        needed = len(TRAIN_ZIP) + 2 * len(VAL_ZIP)  # unpacked ones count as much as archives here
        monkeypatch.setattr(module, "free_bytes", lambda _folder: needed)
        fetch("coco2014")

    def test_a_disk_that_fills_up_while_unpacking(self, coco, web, monkeypatch):
        real = Path.open

        def full(self, mode="r", *args, **kwargs):
            if ".unpacking" in self.parts and "w" in mode:
                raise OSError(28, "No space left on device", str(self))
            return real(self, mode, *args, **kwargs)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "open", full)
            with pytest.raises(DataError, match="No space left on device"):
                fetch("coco2014")
        assert set(tree(data_home() / "coco2014")) == {".archives/train2014.zip"}
        fetch("coco2014")
        assert [path for path, _ in web.requests] == ["/train2014.zip", "/val2014.zip"]  # not again

    def test_a_place_that_cannot_be_a_folder(self, coco, tmp_path):
        (tmp_path / "file").write_text("x")
        with pytest.raises(DataError, match=r"here cannot be written: Not a directory"):
            fetch("coco2014", folder=tmp_path / "file" / "here")

    def test_two_at_once(self, coco, web):
        threads = [threading.Thread(target=fetch, args=("coco2014",)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert tree(data_home() / "coco2014") == {**TRAIN, **VAL}
        assert len(web.requests) == 2


KILLED = """
import importlib, os, signal, sys
from lossnets.datasets import catalogue, fetch
from lossnets.datasets.facts import Archive, Content, DataSetCard

step, url = sys.argv[1:]
catalogue._CARDS["toy"] = DataSetCard(
    "toy", "A toy", (), "CC0", "", "Ask.",
    archives=(Archive(url, "toy.zip"),), contents=(Content("train", ("train2014/*.jpg",), 4),),
)
module = importlib.import_module("lossnets.datasets.fetch")

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

def progress(label, done, total):
    if step in label and done >= total // 2:
        die()

if step == "moving":
    module._move = die
fetch("toy", progress=progress)
"""


@pytest.mark.parametrize("step", ["toy.zip", "unpacking", "moving"])
def test_a_process_that_is_killed(step, web, monkeypatch):
    url = web.put("/toy.zip", TRAIN_ZIP)
    command = [sys.executable, "-c", KILLED, step, url]
    died = subprocess.run(command, check=False, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    one_archive(monkeypatch, url)
    assert locate("toy") is None
    assert tree(fetch("toy")) == TRAIN


# --- the real layouts, small ------------------------------------------------------------------------


def smaller(monkeypatch, name: str, counts: dict[str, int], urls: dict[str, str]) -> DataSetCard:
    """The real card with other addresses and numbers, and without checksums."""
    real = catalogue.card(name)
    archives = tuple(
        dataclasses.replace(a, url=urls.get(a.filename, a.url), size=None, sha256=None, md5=None)
        for a in real.archives
    )
    contents = tuple(
        dataclasses.replace(c, count=counts.get(c.part, c.count), size=None, md5=None) for c in real.contents
    )
    return known(monkeypatch, dataclasses.replace(real, archives=archives, contents=contents))


def test_bsds300(web, monkeypatch):
    files = {
        f"BSDS300/images/{part}/{k}.jpg": picture("JPEG") for part in ("train", "test") for k in range(2)
    }
    lists = {"BSDS300/iids_test.txt": b"0\n1\n", "BSDS300/images/._x.jpg": b"junk"}
    url = web.put("/b.tgz", tarred({**files, **lists}))
    smaller(monkeypatch, "bsds300", {"train": 2, "test": 2}, {"BSDS300-images.tgz": url})
    root = fetch("bsds300")
    test = part_folder("bsds300", root, "test")
    assert [p.name for p in image_folder(test)] == ["0.jpg", "1.jpg"]
    assert image_folder(test, names=root / "BSDS300" / "iids_test.txt") == image_folder(test)
    assert verify("bsds300", deep=True).good


def test_bsds500(web, monkeypatch):
    parts = ("train", "val", "test")
    data = "BSR/BSDS500/data"
    files = {f"{data}/images/{part}/{k}.jpg": picture("JPEG") for part in parts for k in range(2)}
    files |= {f"{data}/groundTruth/{part}/{k}.mat": b"MATLAB" for part in parts for k in range(2)}
    files |= {f"{data}/images/{part}/Thumbs.db": b"windows" for part in parts}
    files["BSR/bench/data/images/1.jpg"] = picture("JPEG")
    url = web.put("/b.tgz", tarred(files))
    smaller(monkeypatch, "bsds500", dict.fromkeys(parts, 2), {"BSR_bsds500.tgz": url})
    root = fetch("bsds500")
    assert tree(root) == files
    assert len(image_folder(part_folder("bsds500", root, "train"))) == 2
    assert verify("bsds500").decoded == 6


@pytest.mark.parametrize(("name", "count"), [("set5", 5), ("set14", 14)])
def test_set5_and_set14(name, count, web, monkeypatch):
    folder = {"set5": "Set5_HR", "set14": "Set14_HR"}[name]
    files = {f"{folder}/{k:02}.png": picture("PNG", grey=k == 3) for k in range(count)}
    smaller(monkeypatch, name, {}, {f"{folder}.tar.gz": web.put("/s.tgz", tarred(files))})
    root = fetch(name)
    assert len(image_folder(root)) == len(image_folder(part_folder(name, root, "test"))) == count
    assert verify(name).good


def test_set5_as_bitmaps_in_one_folder():
    root = data_home() / "set5"
    root.mkdir(parents=True)
    for k in range(5):
        (root / f"{k}.bmp").write_bytes(picture("BMP"))
    assert fetch("set5") == root
    assert verify("set5").decoded == 5


def test_bapps(web, monkeypatch):
    number = io.BytesIO()
    np.save(number, np.array([0.4]))
    splits = {"val": ["traditional", "cnn", "superres", "deblur", "color", "frameinterp"]}
    splits["train"] = ["traditional", "cnn", "mix"]
    urls = {}
    for phase, names in splits.items():
        files = {}
        for split in names:
            files |= {f"{phase}/{split}/{kind}/000000.png": picture("PNG") for kind in ("ref", "p0", "p1")}
            files[f"{phase}/{split}/judge/000000.npy"] = number.getvalue()
        urls[f"twoafc_{phase}.tar.gz"] = web.put(
            f"/{phase}", tarred(files, "w")
        )  # it is named so and is not gzip
    files = {
        f"jnd/val/{s}/{k}/000000.png": picture("PNG") for s in ("traditional", "cnn") for k in ("p0", "p1")
    }
    files |= {f"jnd/val/{s}/same/000000.npy": number.getvalue() for s in ("traditional", "cnn")}
    urls["jnd.tar.gz"] = web.put("/jnd", tarred(files))
    smaller(monkeypatch, "bapps", dict.fromkeys(("2afc-val", "2afc-train", "jnd"), 1), urls)

    from lossnets.datasets import read_bapps_2afc, read_bapps_jnd

    root = fetch("bapps")
    assert [path for path, _ in web.requests] == ["/val", "/jnd"]
    assert len(read_bapps_2afc(root)) == 6
    assert len(read_bapps_jnd(root)) == 2
    assert verify("bapps").skipped == ("2afc-train",)
    fetch("bapps", parts=["2afc-train"])
    assert len(read_bapps_2afc(root, phase="train")) == 3
    assert verify("bapps").skipped == ()


class TestMassachusettsRoads:
    COUNTS = {"train": 3, "val": 1, "test": 2}  # noqa: RUF012

    @pytest.fixture
    def roads(self, web, monkeypatch) -> dict[str, bytes]:
        real = catalogue.card("massachusetts-roads")
        files, archives = {}, []
        for a in real.archives:
            count = self.COUNTS[a.parts[0]]
            page = "<html><h1>Index</h1><a href='../'>up</a> <a href='notes.txt'>notes</a>"
            for k in range(count):
                name = f"{k}0528720_15{a.filename}"
                content = picture("TIFF") if "sat" in a.unpack else mask()
                url = web.put(f"/mass/{a.unpack}/{name}", content)
                page += f'<a href="{url if k else name}">{name}</a>\n'
                files[f"{a.unpack}/{name}"] = content
            url = web.put(f"/mass/{a.unpack}/index.html", page.encode())
            archives.append(dataclasses.replace(a, url=url, index=count))
        contents = tuple(dataclasses.replace(c, count=self.COUNTS[c.part]) for c in real.contents)
        known(monkeypatch, dataclasses.replace(real, archives=tuple(archives), contents=contents))
        return files

    def test_all_files_of_the_pages(self, roads):
        root = fetch("massachusetts-roads")
        assert tree(root) == roads
        items = masked_folder(root)
        assert [item.split for item in items] == ["train"] * 3 + ["val"] + ["test"] * 2
        assert (items[0].image.name, items[0].mask.name) == ("00528720_15.tiff", "00528720_15.tif")
        assert 0.1 < float(read_mask(items[0].mask).mean()) < 0.3
        assert verify("massachusetts-roads", deep=True).decoded == 12

    def test_files_that_are_there_are_not_fetched_again(self, roads, web):
        web.script = [web.cut(10**9)] * 3 + [web.status(404)]
        with pytest.raises(DataError, match="answered 404"):
            fetch("massachusetts-roads")
        first = [path for path, _ in web.requests if path.endswith(".tiff")][:-1]
        web.requests.clear()
        fetch("massachusetts-roads")
        assert len(first) == 2
        assert not set(first) & {path for path, _ in web.requests}

    def test_a_page_with_too_few_files(self, roads, web):
        web.files["/mass/train/sat/index.html"] = b"<html>Moved.</html>"
        with pytest.raises(DataError, match=r"lists 0 files \*\.tiff, expected 3: it may have been moved"):
            fetch("massachusetts-roads")

    def test_a_page_in_place_of_an_image(self, roads, web):
        web.files["/mass/train/sat/00528720_15.tiff"] = b"<html>Sorry</html>"
        with pytest.raises(DataError, match="it is not a TIFF image"):
            fetch("massachusetts-roads")


def test_links_of_other_places_are_left_out():
    page = """<a href="http://evil.org/roads/1.tif"></a> <a href="../2.tif"></a> <a href="/roads/3.tif"></a>
    <a href="4.tif?x=1"></a> <A HREF='%2e%2e%2f5.tif'></A> <a href="sub/6.tif"></a> <a href=".7.tif"></a>
    <a name="8.tif"></a> <a href="http://x.org/roads/9.tif"></a> <a href="10.tiff"></a>
    <a href="11.tif"></a>"""
    found = links(page, "https://x.org/roads/index.html", ".tif")
    assert found == {f"{k}.tif": f"https://x.org/roads/{k}.tif" for k in (3, 4, 9, 11)}


def test_svhn_and_stl10_as_torchvision_reads_them(web, monkeypatch):
    """Files of a few images, under torchvision's names; torchvision's own checksums replaced by theirs."""
    from scipy.io import savemat

    from lossnets.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    from torchvision.datasets import STL10, SVHN

    buffer = io.BytesIO()
    savemat(buffer, {"X": np.zeros((32, 32, 3, 4), np.uint8), "y": np.array([[10], [1], [2], [3]])})
    urls = {
        f"{part}_32x32.mat": web.put(f"/{part}", buffer.getvalue()) for part in ("train", "test", "extra")
    }
    smaller(monkeypatch, "svhn", {}, urls)
    root = fetch("svhn")
    assert set(tree(root)) == set(urls)
    for part in urls:
        assert verify("svhn").good, part
    monkeypatch.setattr(SVHN, "_check_integrity", lambda self: True)
    assert SVHN(str(root), "extra").labels.tolist() == [0, 1, 2, 3]

    binary = {f"stl10_binary/{part}_X.bin": bytes(2 * 3 * 96 * 96) for part in ("train", "test", "unlabeled")}
    binary |= {f"stl10_binary/{part}_y.bin": bytes([1, 2]) for part in ("train", "test")}
    binary["stl10_binary/class_names.txt"] = b"airplane\nbird\n"
    smaller(monkeypatch, "stl10", {}, {"stl10_binary.tar.gz": web.put("/stl10", tarred(binary))})
    root = fetch("stl10")
    assert tree(root) == binary
    monkeypatch.setattr(STL10, "_check_integrity", lambda self: True)
    assert STL10(str(root), "unlabeled").data.shape == (2, 3, 96, 96)


def test_a_wrong_single_file_is_found(tmp_path):
    (tmp_path / "svhn").mkdir()
    for part in ("train", "test", "extra"):
        (tmp_path / "svhn" / f"{part}_32x32.mat").write_bytes(b"short")
    report = verify(tmp_path / "svhn")
    assert not report.good
    assert report.findings[0].result == "5 bytes, expected 182040794"
