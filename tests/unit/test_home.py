"""Where files go, the offline switch, and writes that are whole or not there."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from lossnets.errors import ConfigError, LossnetsError, StoreError
from lossnets.home import (
    atomic_write,
    home,
    locked,
    make_folder,
    offline,
    offline_mode,
    original_name,
    printable,
    write_error,
)


@contextlib.contextmanager
def somebody_who_may_not_write() -> Iterator[Path]:
    """A folder without write permission, and a user whom permissions bind (root is not)."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o755)


class TestHome:
    def test_comes_from_the_environment_and_is_not_created(self, tmp_path, monkeypatch):
        monkeypatch.setenv("LOSSNETS_HOME", str(tmp_path / "new"))
        assert home() == tmp_path / "new"
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize("setting", ["", None])
    def test_defaults_to_the_cache_of_the_user(self, setting, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("LOSSNETS_HOME")
        if setting is not None:
            monkeypatch.setenv("LOSSNETS_HOME", setting)
        assert home() == tmp_path / ".cache" / "lossnets"

    def test_expands_the_tilde_and_does_not_move_with_the_working_directory(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("LOSSNETS_HOME", "~/here")
        assert home() == tmp_path / "here"
        monkeypatch.setenv("LOSSNETS_HOME", "relative")
        monkeypatch.chdir(tmp_path)
        assert home() == tmp_path / "relative"

    def test_a_file_in_its_place_is_named(self, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("LOSSNETS_HOME", str(tmp_path / "file"))
        with pytest.raises(ConfigError, match=r"LOSSNETS_HOME must be a folder, .*file is a file; set it"):
            home()

    def test_no_home_directory_at_all_names_the_way_out(self, monkeypatch):
        monkeypatch.delenv("LOSSNETS_HOME")

        def fail(self):
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "expanduser", fail)
        with pytest.raises(ConfigError, match="set LOSSNETS_HOME to a folder that can be written"):
            home()

    def test_importing_the_package_touches_nothing(self, tmp_path):
        environment = {**os.environ, "LOSSNETS_HOME": str(tmp_path / "no"), "HOME": str(tmp_path / "user")}
        code = "import lossnets.home, lossnets.download, lossnets.networks.weights"
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)
        assert list(tmp_path.iterdir()) == []


class TestMakeFolder:
    def test_makes_parents_and_accepts_what_is_there(self, tmp_path):
        assert make_folder(tmp_path / "a" / "b").is_dir()
        assert make_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"

    def test_a_file_on_the_way(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigError, match=r"cannot be created \(Not a directory\).*LOSSNETS_HOME"):
            make_folder(tmp_path / "file" / "weights")

    def test_no_permission(self):
        with (
            somebody_who_may_not_write() as folder,
            pytest.raises(ConfigError, match=r"cannot be created \(Permission denied\).*LOSSNETS_HOME"),
        ):
            make_folder(folder / "weights")


class TestOffline:
    @pytest.mark.parametrize("setting", ["1", "true", "YES", "On", " 1 "])
    def test_yes(self, setting, monkeypatch):
        monkeypatch.setenv("LOSSNETS_OFFLINE", setting)
        assert offline()

    @pytest.mark.parametrize("setting", ["", "0", "false", "No", "off"])
    def test_no(self, setting, monkeypatch):
        monkeypatch.setenv("LOSSNETS_OFFLINE", setting)
        assert not offline()

    def test_not_set_is_no(self, monkeypatch):
        monkeypatch.delenv("LOSSNETS_OFFLINE")
        assert not offline()

    def test_anything_else_is_refused(self, monkeypatch):
        monkeypatch.setenv("LOSSNETS_OFFLINE", "maybe")
        with pytest.raises(
            ConfigError, match=r"LOSSNETS_OFFLINE must be one of 1, true, yes, on or 0, .*'maybe'"
        ):
            offline()

    def test_the_with_block_wins_and_nests(self, monkeypatch):
        monkeypatch.setenv("LOSSNETS_OFFLINE", "0")
        with offline_mode():
            assert offline()
            with offline_mode(enabled=False):
                assert not offline()
            assert offline()
        assert not offline()

    def test_it_ends_with_an_error_too(self, monkeypatch):
        monkeypatch.setenv("LOSSNETS_OFFLINE", "0")
        with pytest.raises(ValueError), offline_mode():
            raise ValueError
        assert not offline()

    def test_threads_are_inside_it(self, monkeypatch):
        monkeypatch.setenv("LOSSNETS_OFFLINE", "0")
        seen = []
        with offline_mode():
            thread = threading.Thread(target=lambda: seen.append(offline()))
            thread.start()
            thread.join()
        assert seen == [True]


class TestAtomicWrite:
    def test_bytes_and_text(self, tmp_path):
        with atomic_write(tmp_path / "a") as file:
            file.write(b"\x00\xff")
        with atomic_write(tmp_path / "b", "w") as file:
            file.write("grün")
        assert (tmp_path / "a").read_bytes() == b"\x00\xff"
        assert (tmp_path / "b").read_text("utf-8") == "grün"
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]

    def test_nothing_is_at_the_path_before_the_end(self, tmp_path):
        with atomic_write(tmp_path / "a") as file:
            file.write(b"x")
            file.flush()
            assert not (tmp_path / "a").exists()
        assert (tmp_path / "a").exists()

    def test_an_error_inside_keeps_the_old_content_and_comes_through(self, tmp_path):
        (tmp_path / "a").write_text("old")
        with pytest.raises(KeyError), atomic_write(tmp_path / "a", "w") as file:  # noqa: PT012
            file.write("new")
            raise KeyError
        assert (tmp_path / "a").read_text() == "old"
        assert len(list(tmp_path.iterdir())) == 1

    def test_a_symbolic_link_stays_one(self, tmp_path):
        (tmp_path / "real").write_text("old")
        (tmp_path / "link").symlink_to(tmp_path / "real")
        with atomic_write(tmp_path / "link", "w") as file:
            file.write("new")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real").read_text() == "new"

    def test_the_umask_decides_who_may_read(self, tmp_path):
        before = os.umask(0o027)
        try:
            with atomic_write(tmp_path / "a"):
                pass
        finally:
            os.umask(before)
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640

    def test_a_long_name_leaves_room_for_the_temporary_one(self, tmp_path):
        name = "x" * 255
        with atomic_write(tmp_path / name, "w") as file:
            file.write("1")
        assert (tmp_path / name).read_text() == "1"

    @pytest.mark.parametrize("mode", ["r", "a", "xb", "w+"])
    def test_other_modes_are_refused(self, mode, tmp_path):
        with pytest.raises(ConfigError, match="mode must be 'wb' or 'w'"), atomic_write(tmp_path / "a", mode):
            pass

    def test_a_missing_folder(self, tmp_path):
        with (
            pytest.raises(
                LossnetsError, match=r"cannot be written: No such file or directory. Choose a folder"
            ),
            atomic_write(tmp_path / "no" / "a"),
        ):
            pass

    def test_no_permission(self):
        with (
            somebody_who_may_not_write() as folder,
            pytest.raises(StoreError, match="cannot be written: Permission denied"),
            atomic_write(folder / "a", error=StoreError),
        ):
            pass

    def test_a_folder_in_its_place(self, tmp_path):
        (tmp_path / "a").mkdir()
        with pytest.raises(LossnetsError, match="Is a directory"), atomic_write(tmp_path / "a"):
            pass
        assert [p.name for p in tmp_path.iterdir()] == ["a"]

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_a_full_disk_keeps_the_old_content(self, tmp_path, monkeypatch):
        """Every write goes to the device that is always full."""
        (tmp_path / "a").write_text("old")
        real = Path.open
        monkeypatch.setattr(
            Path,
            "open",
            lambda self, *a, **k: real(Path("/dev/full") if ".tmp" in self.name else self, *a, **k),
        )
        with (
            pytest.raises(StoreError, match=r"No space left on device. \d+ are free in .*: make room there"),
            atomic_write(tmp_path / "a", error=StoreError) as file,
        ):
            file.write(b"x" * 100_000)
        assert (tmp_path / "a").read_bytes() == b"old"

    def test_errors_of_other_files_inside_the_block_are_not_relabelled(self, tmp_path):
        with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a"):
            (tmp_path / "other").read_text()

    def test_a_killed_process_leaves_the_old_file(self, tmp_path):
        (tmp_path / "a").write_text("old")
        code = f"""
import time
from lossnets.home import atomic_write
with atomic_write({str(tmp_path / "a")!r}, "w") as file:
    file.write("new"); file.flush(); print("writing", flush=True); time.sleep(60)
"""
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"writing\n"
            process.send_signal(signal.SIGKILL)
        assert (tmp_path / "a").read_text() == "old"


def test_a_full_disk_says_needed_and_free_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=7))
    error = write_error(
        tmp_path / "a", OSError(errno.ENOSPC, "No space left on device"), StoreError, needed=10
    )
    assert isinstance(error, StoreError)
    assert f"10 more bytes are needed, 7 are free in {tmp_path}: make room there" in str(error)


class TestLocked:
    def test_one_at_a_time_and_no_litter(self, tmp_path):
        inside, most = [], []

        def work():
            with locked(tmp_path / "lock"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.01)
                inside.pop()

        threads = [threading.Thread(target=work) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == [1] * 12
        assert list(tmp_path.iterdir()) == []

    def test_a_lock_on_a_file_that_its_holder_has_removed_is_no_lock(self, tmp_path, monkeypatch):
        """Between our opening and our turn the holder ends and removes the file: we must open it anew."""
        module = sys.modules["lossnets.home"]
        real, calls = module._lock, []

        def slow(descriptor: int, path: Path) -> None:
            calls.append(path)
            if len(calls) == 1:
                path.unlink()
            real(descriptor, path)

        monkeypatch.setattr(module, "_lock", slow)
        with locked(tmp_path / "lock"):
            assert (tmp_path / "lock").exists()
        assert len(calls) == 2

    def test_what_a_killed_process_leaves_does_not_block(self, tmp_path):
        code = f"""
import pathlib, time
from lossnets.home import locked
with locked(pathlib.Path({str(tmp_path / "lock")!r})):
    print("held", flush=True); time.sleep(60)
"""
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            process.send_signal(signal.SIGKILL)
        assert (tmp_path / "lock").exists()
        with locked(tmp_path / "lock"):
            pass
        assert not (tmp_path / "lock").exists()


def test_text_with_a_name_that_is_no_utf8_is_written_and_read_back(tmp_path: Path) -> None:
    name = "caf\udce9.png"  # as Python holds the byte E9 of Latin-1
    with atomic_write(tmp_path / "names.json", "w") as file:
        json.dump({"name": name}, file, ensure_ascii=False)
    assert json.loads((tmp_path / "names.json").read_text(encoding="utf-8")) == {"name": name}
    assert original_name(printable(name)) == name
