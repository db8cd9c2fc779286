"""Archives that are good, damaged or malicious: nothing is ever written outside the folder."""

from __future__ import annotations

import errno
import gzip
import importlib
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from lossnets.datasets.archives import archive_problem
from lossnets.datasets.unpack import unpack
from lossnets.errors import DataError

module = importlib.import_module("lossnets.datasets.unpack")
FILES = {"set/train/a.txt": b"first" * 1000, "set/train/b.txt": os.urandom(30_000), "set/empty.txt": b""}
LIMIT = 10_000_000


def tar_of(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    mode = {".tgz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(path.suffix, "w")
    with tarfile.open(path, mode) as file:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                file.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return path


def zip_of(path: Path, members: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            file.writestr(info, content)
    return path


def special(name: str, kind: bytes, target: str = "") -> dict[str, bytes | tarfile.TarInfo]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return {name: info}


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "place" / "out"


class TestGoodArchives:
    @pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.tar.bz2", "a.tar.xz"])
    def test_tar(self, name, tmp_path, out):
        archive = tar_of(tmp_path / name, {**special("set", tarfile.DIRTYPE), **FILES})
        assert unpack(archive, out, limit=LIMIT) == 35_000
        assert tree(out) == FILES
        assert archive_problem(archive) is None

    def test_zip(self, tmp_path, out):
        seen: list[tuple[int, int | None]] = []
        archive = zip_of(tmp_path / "a.zip", {"set/": b"", **FILES})
        unpack(archive, out, limit=LIMIT, progress=lambda done, total: seen.append((done, total)))
        assert tree(out) == FILES
        assert seen[-1] == (35_000, 35_000)
        assert archive_problem(archive) is None

    def test_its_ending_does_not_matter(self, tmp_path, out):
        unpack(zip_of(tmp_path / "download.php", FILES), out, limit=LIMIT)
        assert tree(out) == FILES

    def test_what_is_there_is_overwritten(self, tmp_path, out):
        for text in (b"old", b"new"):
            unpack(tar_of(tmp_path / "a.tar", {"x/f.txt": text}), out, limit=LIMIT)
        assert tree(out) == {"x/f.txt": b"new"}

    def test_neither_owner_nor_permissions_are_taken_over(self, tmp_path, out):
        info = tarfile.TarInfo("f.txt")
        info.mode, info.uid = 0o4777, 12345
        unpack(tar_of(tmp_path / "a.tar", {"f.txt": info}), out, limit=LIMIT)
        assert not (out / "f.txt").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR)
        assert (out / "f.txt").stat().st_uid == os.getuid()

    def test_links_inside_become_copies(self, tmp_path, out):
        members = {
            **special("set/soft.txt", tarfile.SYMTYPE, "../other/../set/train/a.txt"),
            **FILES,
            **special("set/hard.txt", tarfile.LNKTYPE, "set/train/a.txt"),
            **special("set/to_folder", tarfile.SYMTYPE, "train"),
        }
        unpack(tar_of(tmp_path / "a.tar", members), out, limit=LIMIT)
        assert tree(out) == {**FILES, **dict.fromkeys(("set/soft.txt", "set/hard.txt"), b"first" * 1000)}
        assert not any(p.is_symlink() for p in out.rglob("*"))


BAD_NAMES = [
    "../evil.txt",
    "a/../../evil.txt",
    "a/../b.txt",
    "/evil.txt",
    "C:\\evil.txt",
    "..\\evil.txt",
    "\\evil",
]


class TestMaliciousArchives:
    @pytest.mark.parametrize("name", BAD_NAMES)
    @pytest.mark.parametrize("kind", ["tar", "zip"])
    def test_names_that_leave_the_folder(self, name, kind, tmp_path, out):
        make = tar_of if kind == "tar" else zip_of
        archive = make(tmp_path / f"a.{kind}", {"good.txt": b"good", name: b"evil"})
        with pytest.raises(DataError, match=r"is refused: its entry .* would leave the folder"):
            unpack(archive, out, limit=LIMIT)
        assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {archive.name, "good.txt"}

    @pytest.mark.parametrize("target", ["/etc/passwd", "../../secret.txt"])
    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
    def test_links_that_leave_the_folder(self, kind, target, tmp_path, out):
        archive = tar_of(tmp_path / "a.tar", special("link", kind, target))
        with pytest.raises(DataError, match="its link 'link' points outside"):
            unpack(archive, out, limit=LIMIT)

    def test_a_link_of_a_zip(self, tmp_path, out):
        archive = zip_of(tmp_path / "a.zip", {"link": b"/etc/passwd"}, stat.S_IFLNK | 0o777)
        with pytest.raises(DataError, match="its link 'link' points outside"):
            unpack(archive, out, limit=LIMIT)

    def test_writing_through_a_link(self, tmp_path, out):
        """First a link to a folder, then a file "in" it: there is no link by then."""
        members = {**special("door", tarfile.SYMTYPE, "."), "door/f.txt": b"x"}
        unpack(tar_of(tmp_path / "a.tar", members), out, limit=LIMIT)
        assert tree(out) == {"door/f.txt": b"x"}

    @pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
    def test_devices(self, kind, tmp_path, out):
        with pytest.raises(DataError, match="is a device or another special file"):
            unpack(tar_of(tmp_path / "a.tar", special("dev", kind)), out, limit=LIMIT)

    @pytest.mark.parametrize("kind", ["tgz", "zip"])
    def test_a_bomb(self, kind, tmp_path, out):
        make = tar_of if kind == "tgz" else zip_of
        archive = make(tmp_path / f"bomb.{kind}", {"zeros": bytes(5_000_000)})
        assert archive.stat().st_size < 10_000
        with pytest.raises(DataError, match="allowed are 1000000 bytes"):
            unpack(archive, out, limit=1_000_000)
        assert sum(map(len, tree(out).values())) <= 1_000_000

    def test_many_small_files_and_copies_count_together(self, tmp_path, out):
        members = {f"{k}.txt": bytes(1000) for k in range(5)}
        copies = {k: v for n in range(5) for k, v in special(f"c{n}", tarfile.LNKTYPE, "0.txt").items()}
        archive = tar_of(tmp_path / "a.tar", {**members, **copies})
        assert unpack(archive, out, limit=10_000) == 10_000
        with pytest.raises(DataError, match="allowed are 9999 bytes"):
            unpack(archive, out, limit=9_999)

    def test_too_many_entries(self, tmp_path, out, monkeypatch):
        monkeypatch.setattr(module, "MAX_FILES", 2)
        with pytest.raises(DataError, match="more than 2 entries"):
            unpack(zip_of(tmp_path / "a.zip", FILES), out, limit=LIMIT)

    def test_a_file_where_a_folder_must_be(self, tmp_path, out):
        archive = tar_of(tmp_path / "a.tar", {"a": b"x", "a/b": b"y"})
        with pytest.raises(DataError, match="damaged or incomplete"):
            unpack(archive, out, limit=LIMIT)


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


class TestDamagedArchives:
    @pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.95])
    @pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.tar.bz2", "a.tar.xz", "a.zip"])
    def test_cut_short(self, name, share, tmp_path, out):
        archive = (zip_of if name == "a.zip" else tar_of)(tmp_path / name, FILES)
        content = archive.read_bytes().rstrip(b"\0")
        archive.write_bytes(content[: int(share * len(content))])
        assert "is damaged or incomplete" in str(archive_problem(archive))
        with pytest.raises(DataError, match=f"archive {name} is damaged or incomplete .*fetch it again"):
            unpack(archive, out, limit=LIMIT)

    @pytest.mark.parametrize("name", ["a.tgz", "a.zip"])
    def test_one_wrong_byte(self, name, tmp_path, out):
        archive = (zip_of if name == "a.zip" else tar_of)(tmp_path / name, FILES)
        archive.write_bytes(flipped(archive.read_bytes(), 20_000))
        assert "is damaged" in str(archive_problem(archive))
        with pytest.raises(DataError, match="is damaged or incomplete"):
            unpack(archive, out, limit=LIMIT)

    def test_a_wrong_header_in_the_middle_of_a_tar(self, tmp_path, out):
        archive = tar_of(tmp_path / "a.tar", FILES)
        archive.write_bytes(flipped(archive.read_bytes(), 512 * 11))  # 512 + 5000 -> the second header
        with pytest.raises(DataError, match="something behind its last readable entry"):
            unpack(archive, out, limit=LIMIT)

    def test_a_web_page_in_place_of_an_archive(self, tmp_path, out):
        page = tmp_path / "a.tgz"
        page.write_bytes(b"<html>Please log in</html>")
        assert archive_problem(page) == "is damaged or incomplete (it is neither zip nor tar)"
        page.write_bytes(gzip.compress(b"<html>Please log in</html>"))
        assert "neither zip nor tar" in str(archive_problem(page))

    def test_a_full_disk_is_not_damage(self, tmp_path, out, monkeypatch):
        archive = tar_of(tmp_path / "a.tgz", FILES)

        def full(*_args: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(module._Writer, "_count", full)
        with pytest.raises(DataError, match=r"No space left on device.*are free in"):
            unpack(archive, out, limit=LIMIT)
