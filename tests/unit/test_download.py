"""Downloads against a server on this machine that does everything that servers do wrong."""

from __future__ import annotations

import hashlib
import importlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lossnets.download import download
from lossnets.errors import ConfigError, DataError, WeightsError
from lossnets.home import offline_mode

module = importlib.import_module("lossnets.download")
CONTENT = random.Random(0).randbytes(700_000)
OTHER = random.Random(1).randbytes(700_000)
SHA = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """One file at /file. ``script`` holds what happens to the next requests; after it all goes well."""

    def __init__(self) -> None:
        self.content, self.etag, self.date = CONTENT, '"one"', None
        self.ranges, self.length, self.checks_if_range = True, True, True
        self.script: list[Callable[[Handler], None]] = []
        self.requests: list[tuple[str | None, str | None, int]] = []  # Range, If-Range, bytes sent
        self.release = threading.Event()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.plan = self  # type: ignore[attr-defined]
        self.http.daemon_threads = True
        self.http.block_on_close = False
        self.url = f"http://127.0.0.1:{self.http.server_port}/file"

    @property
    def sent(self) -> list[int]:
        return [request[2] for request in self.requests]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None: ...

    def do_GET(self) -> None:
        self.plan: Server = self.server.plan  # type: ignore[attr-defined]
        self.row = len(self.plan.requests)
        self.plan.requests.append((self.headers["Range"], self.headers["If-Range"], 0))
        self.close_connection = True
        (self.plan.script.pop(0) if self.plan.script else serve)(self)

    def body(self, data: bytes) -> None:
        seen = self.plan.requests[self.row]
        self.plan.requests[self.row] = (*seen[:2], seen[2] + len(data))
        self.wfile.write(data)
        self.wfile.flush()

    def head(self) -> bytes:
        """Send status and headers; return what the body should be."""
        plan, start = self.plan, 0
        same = not plan.checks_if_range or self.headers["If-Range"] in (None, plan.etag, plan.date)
        if self.headers["Range"] and plan.ranges and same:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if start >= len(plan.content):
            self.send_error(416)
            return b""
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(plan.content) - 1}/{len(plan.content)}")
        if plan.length:
            self.send_header("Content-Length", str(len(plan.content) - start))
        for name, value in (("ETag", plan.etag), ("Last-Modified", plan.date)):
            if value:
                self.send_header(name, value)
        self.end_headers()
        return plan.content[start:]


def serve(handler: Handler) -> None:
    handler.body(handler.head())


def cut(after: int, *, reset: bool = False) -> Callable[[Handler], None]:
    """The connection ends after so many bytes of the body, politely or not."""

    def act(handler: Handler) -> None:
        handler.body(handler.head()[:after])
        if reset:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            time.sleep(0.1)

    return act


def stall(after: int) -> Callable[[Handler], None]:
    """Nothing more comes after so many bytes, and the connection stays open."""

    def act(handler: Handler) -> None:
        handler.body(handler.head()[:after])
        handler.plan.release.wait(30)

    return act


def status(code: int) -> Callable[[Handler], None]:
    return lambda handler: handler.send_error(code)


def hang_up(handler: Handler) -> None:
    """The connection ends before an answer."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("LOSSNETS_OFFLINE", "0")
    monkeypatch.setenv("no_proxy", "*")
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.release.set()
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "weights" / "net.bin"


def fetch(server: Server, target: Path, **options: Any) -> Path:
    return download(server.url, target, **{"backoff": 0.0, "timeout": 5.0, **options})


def part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def alone(target: Path) -> bool:
    """The file is right, and nothing else lies beside it."""
    return target.read_bytes() == CONTENT and [p.name for p in target.parent.iterdir()] == [target.name]


class TestAllGoesWell:
    def test_the_file_arrives_whole_and_alone(self, server, target):
        assert fetch(server, target, sha256=SHA, sha256_prefix=SHA[:8], size=len(CONTENT)) == target
        assert alone(target)
        assert server.requests == [(None, None, len(CONTENT))]

    def test_progress_counts_bytes_to_the_total(self, server, target):
        seen: list[tuple[int, int | None]] = []
        fetch(server, target, progress=lambda done, total: seen.append((done, total)))
        assert seen[0] == (0, len(CONTENT))
        assert seen[-1] == (len(CONTENT), len(CONTENT))
        assert seen == sorted(seen)

    def test_a_file_that_is_there_needs_no_connection(self, server, target):
        fetch(server, target, sha256=SHA)
        with offline_mode():
            assert fetch(server, target, sha256=SHA.upper()) == target
        assert len(server.requests) == 1

    @pytest.mark.parametrize("wrong", [CONTENT[:-1], OTHER])
    def test_a_file_that_is_there_and_wrong_is_replaced(self, wrong, server, target, caplog):
        target.parent.mkdir()
        target.write_bytes(wrong)
        fetch(server, target, sha256=SHA, size=len(CONTENT))
        assert alone(target)
        assert "it is downloaded again" in caplog.text

    def test_without_a_length_the_hash_still_counts(self, server, target):
        server.length = False
        totals = []
        fetch(server, target, sha256=SHA, progress=lambda done, total: totals.append(total))
        assert alone(target)
        assert set(totals) == {None}

    def test_an_empty_file(self, server, target):
        server.script = [
            lambda h: (h.send_response(200), h.send_header("Content-Length", "0"), h.end_headers())
        ]
        assert fetch(server, target).read_bytes() == b""


class TestBrokenConnections:
    @pytest.mark.parametrize("reset", [False, True])
    def test_it_continues_where_the_connection_ended(self, reset, server, target):
        server.script = [cut(300_000, reset=reset), cut(100_000, reset=reset)]
        fetch(server, target, sha256=SHA)
        assert alone(target)
        assert server.sent == [300_000, 100_000, 300_000]
        assert server.requests[1][:2] == ("bytes=300000-", '"one"')

    def test_a_date_is_as_good_as_an_etag_and_a_weak_etag_is_not(self, server, target):
        server.etag, server.date = 'W/"weak"', "Wed, 21 Oct 2015 07:28:00 GMT"
        server.script = [cut(300_000)]
        fetch(server, target)
        assert alone(target)
        assert server.requests[1] == ("bytes=300000-", server.date, 400_000)

    def test_progress_keeps_the_number_of_retries_from_running_out(self, server, target):
        server.script = [cut(100_000) for _ in range(6)]
        fetch(server, target, retries=1)
        assert alone(target)
        assert server.sent == [100_000] * 7

    def test_a_server_that_ignores_ranges_starts_over_once(self, server, target):
        server.ranges = False
        server.script = [cut(300_000)]
        fetch(server, target, sha256=SHA)
        assert alone(target)
        assert server.sent == [300_000, 700_000]

    def test_without_validator_and_hash_it_starts_over(self, server, target):
        server.etag = None
        server.script = [cut(300_000)]
        fetch(server, target)
        assert alone(target)
        assert server.requests[1] == (None, None, 700_000)

    def test_without_validator_the_hash_allows_to_continue(self, server, target):
        server.etag = None
        server.script = [cut(300_000)]
        fetch(server, target, sha256_prefix=SHA[:8])
        assert alone(target)
        assert server.requests[1] == ("bytes=300000-", None, 400_000)

    def test_a_stalled_connection_is_given_up_and_continued(self, server, target):
        server.script = [stall(300_000)]
        fetch(server, target, sha256=SHA, timeout=0.3)
        assert alone(target)
        assert server.sent == [300_000, 400_000]

    def test_it_gives_up_keeps_the_part_and_says_so(self, server, target):
        server.script = [cut(300_000), cut(0), cut(0), cut(0)]
        with pytest.raises(WeightsError) as caught:
            fetch(server, target, retries=2)
        assert str(caught.value) == (
            f"net.bin cannot be downloaded from {server.url}: "
            "the connection ended after 300000 of 700000 bytes, "
            f"and 2 retries did not help. If you have the file, put it at {target}. "
            f"300000 bytes are kept in {part(target)}, where the next try continues."
        )
        server.script = []
        fetch(server, target)
        assert alone(target)
        assert server.sent[-1] == 400_000

    def test_nobody_listens(self, server, target):
        server.http.shutdown()
        server.http.server_close()
        with pytest.raises(DataError, match=r"no connection .*refused.* and 1 retries"):
            fetch(server, target, retries=1, error=DataError)

    def test_no_answer_at_all_then_one(self, server, target):
        server.script = [hang_up, hang_up]
        fetch(server, target)
        assert alone(target)

    def test_the_pause_doubles(self, server, target, monkeypatch):
        pauses: list[float] = []
        monkeypatch.setattr(module.time, "sleep", pauses.append)
        server.script = [status(503)] * 4
        fetch(server, target, backoff=0.5)
        assert pauses == [0.5, 1.0, 2.0, 4.0]


class TestTheFileChanges:
    """The file on the server is another one when the download continues."""

    def change(self, handler: Handler) -> None:
        handler.plan.content, handler.plan.etag = CONTENT, '"two"'
        serve(handler)

    def test_if_range_makes_it_start_over(self, server, target):
        server.content = OTHER
        server.script = [cut(300_000), self.change]
        fetch(server, target)
        assert alone(target)
        assert server.sent == [300_000, 700_000]

    def test_a_server_that_ignores_if_range_is_caught_by_the_etag(self, server, target):
        server.content, server.checks_if_range = OTHER, False
        server.script = [cut(300_000), self.change]
        fetch(server, target)
        assert alone(target)

    def test_a_mixture_is_caught_by_the_hash(self, server, target, caplog):
        server.content, server.etag = OTHER, None
        server.script = [cut(300_000), self.change]
        server.checks_if_range = False

        def change_silently(handler: Handler) -> None:
            handler.plan.content = CONTENT
            serve(handler)

        server.script[1] = change_silently
        fetch(server, target, sha256=SHA)
        assert alone(target)
        assert server.sent == [300_000, 400_000, 700_000]
        assert "starting over" in caplog.text

    def test_a_part_of_another_address_is_not_continued(self, server, target):
        server.script = [cut(300_000)]
        with pytest.raises(WeightsError):
            fetch(server, target, retries=0)
        download(server.url + "?other", target, sha256=SHA, backoff=0.0)
        assert alone(target)
        assert server.sent == [300_000, 700_000]

    @pytest.mark.parametrize("note", ["", "{}", "[1]", '{"url": 1, "what": 2}'])
    def test_a_part_whose_note_cannot_be_read_is_not_continued(self, note, server, target):
        target.parent.mkdir()
        part(target).write_bytes(OTHER[:1000])
        part(target).with_name("net.bin.part.json").write_text(note)
        fetch(server, target)
        assert alone(target)

    def test_a_part_that_is_longer_than_the_file(self, server, target):
        server.script = [cut(300_000)]
        with pytest.raises(WeightsError):
            fetch(server, target, retries=0)
        with part(target).open("ab") as file:
            file.write(OTHER)
        fetch(server, target, sha256=SHA)
        assert alone(target)


class TestRefused:
    def test_a_wrong_hash_leaves_nothing_behind(self, server, target):
        server.content = OTHER
        with pytest.raises(WeightsError) as caught:
            fetch(server, target, sha256=SHA)
        assert f"expected {SHA}" in str(caught.value)
        assert f"has sha256 {hashlib.sha256(OTHER).hexdigest()}" in str(caught.value)
        assert "Nothing was kept" in str(caught.value)
        assert list(target.parent.iterdir()) == []
        assert len(server.requests) == 1

    def test_a_wrong_hash_after_it_was_continued_is_tried_once_more_only(self, server, target):
        server.content = OTHER
        server.script = [cut(300_000), serve, cut(300_000), serve]
        with pytest.raises(WeightsError, match="begins with 00000000"):
            fetch(server, target, sha256_prefix="00000000")
        assert len(server.requests) == 4
        assert list(target.parent.iterdir()) == []

    def test_a_wrong_size_is_refused_before_the_body(self, server, target):
        with pytest.raises(DataError, match="has 700000 bytes, expected 700001"):
            fetch(server, target, size=700_001, error=DataError)
        assert list(target.parent.iterdir()) == []

    def test_a_short_body_without_a_length_is_refused(self, server, target):
        server.length = False
        server.script = [cut(300_000)]
        with pytest.raises(WeightsError, match="it has 300000 bytes, expected 700000"):
            fetch(server, target, size=700_000)

    def test_what_the_callers_check_finds_is_refused(self, server, target):
        with pytest.raises(WeightsError, match="is refused: it is a web page"):
            fetch(server, target, check=lambda path: "is a web page")
        assert list(target.parent.iterdir()) == []

    @pytest.mark.parametrize("code", [401, 403, 404, 410])
    def test_a_dead_link_is_told_at_once(self, code, server, target):
        server.script = [status(code)]
        with pytest.raises(
            WeightsError, match=rf"answered {code} .*; if you have the file, put it at {target}"
        ):
            fetch(server, target)
        assert len(server.requests) == 1

    @pytest.mark.parametrize("code", [408, 429, 500, 503])
    def test_a_busy_server_is_asked_again(self, code, server, target):
        server.script = [status(code), cut(300_000), status(code)]
        fetch(server, target, sha256=SHA)
        assert alone(target)
        assert server.sent == [0, 300_000, 0, 400_000]

    def test_a_compressed_answer_is_not_the_file(self, server, target):
        def zipped(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Encoding", "gzip")
            handler.end_headers()

        server.script = [zipped]
        with pytest.raises(WeightsError, match="Content-Encoding gzip"):
            fetch(server, target)

    @pytest.mark.parametrize("name", ["x-gzip", "gzip", "X-GZIP"])
    def test_a_compressed_file_may_be_called_so(self, name, server, target):
        def named(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Encoding", name)
            handler.send_header("Content-Length", str(len(CONTENT)))
            handler.end_headers()
            handler.body(CONTENT)

        server.script = [named]
        download(f"{server.url}.tar.gz", target, sha256=SHA)
        assert alone(target)

    @pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/file", "weights.pth"])
    def test_other_schemes(self, url, server, target):
        with pytest.raises(WeightsError, match="url must begin with http:// or https://"):
            download(url, target)


class TestOffline:
    @pytest.fixture(autouse=True)
    def no_sockets(self, server, monkeypatch):
        def fail(*args: Any) -> None:
            raise AssertionError("a socket was used")

        for name in ("connect", "connect_ex", "bind"):
            monkeypatch.setattr(socket.socket, name, fail)
        monkeypatch.setattr(socket, "getaddrinfo", fail)

    def test_no_socket_is_opened(self, server, target):
        with offline_mode(), pytest.raises(WeightsError) as caught:
            fetch(server, target)
        for text in (server.url, str(target), "LOSSNETS_OFFLINE"):
            assert text in str(caught.value)
        assert not target.parent.exists()

    def test_the_variable_does_the_same(self, server, target, monkeypatch):
        monkeypatch.setenv("LOSSNETS_OFFLINE", "1")
        with pytest.raises(DataError, match="offline"):
            fetch(server, target, error=DataError)

    def test_the_guard_of_these_tests_works(self, server, target):
        with pytest.raises(AssertionError, match="a socket was used"):
            fetch(server, target)


CHILD = """
import sys
from pathlib import Path
from lossnets.download import download
download(sys.argv[1], Path(sys.argv[2]), sha256=sys.argv[3], timeout=30)
"""


class TestProcesses:
    def start(self, server: Server, target: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-W", "error", "-c", CHILD, server.url, str(target), SHA]
        return subprocess.Popen(command, env={**os.environ, "no_proxy": "*"})

    def test_a_killed_download_continues_in_the_next_process(self, server, target):
        server.script = [stall(300_000)]
        process = self.start(server, target)
        deadline = time.monotonic() + 30
        while not (part(target).exists() and part(target).stat().st_size == 300_000):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not target.exists()
        assert self.start(server, target).wait(30) == 0
        assert alone(target)
        assert server.requests[1] == ("bytes=300000-", '"one"', 400_000)

    def test_killed_between_the_last_byte_and_the_name_needs_no_connection(self, server, target, monkeypatch):
        real = Path.replace

        def killed(*args: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(server, target, sha256=SHA)
        monkeypatch.setattr(Path, "replace", real)
        fetch(server, target, sha256=SHA)
        assert alone(target)
        assert len(server.requests) == 1

    def test_two_processes_and_three_threads_download_it_once(self, server, target):
        processes = [self.start(server, target) for _ in range(2)]
        results: list[Path] = []
        threads = [
            threading.Thread(target=lambda: results.append(fetch(server, target, sha256=SHA, timeout=30.0)))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [process.wait(60) for process in processes] == [0, 0]
        assert results == [target] * 3
        assert alone(target)
        assert server.sent == [700_000]


def mounted(folder: Path, size: str) -> bool:
    options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        return subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


class TestFullDisk:
    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        disk = tmp_path / "disk"
        disk.mkdir()
        if not mounted(disk, "400k"):
            pytest.skip("no small disk can be mounted here")
        yield disk
        subprocess.run(["umount", str(disk)], check=True)

    def test_too_small_a_disk_is_told_before_it_is_full(self, server, small_disk):
        with pytest.raises(
            WeightsError, match=r"No space left .* 700000 more bytes are needed, 4\d{5} are free"
        ):
            fetch(server, small_disk / "net.bin")
        assert not part(small_disk / "net.bin").exists()

    def test_a_disk_that_fills_up_keeps_the_part_for_later(self, server, small_disk, monkeypatch):
        target = small_disk / "net.bin"
        monkeypatch.setattr(module, "free_bytes", lambda folder: None)  # others fill it after we looked
        with pytest.raises(
            WeightsError, match=r"No space left .* more bytes are needed, \d+ are free"
        ) as caught:
            fetch(server, target, sha256=SHA)
        kept = part(target).stat().st_size
        assert 300_000 < kept < 410_000
        assert f"{700_000 - kept} more bytes are needed" in str(caught.value)
        assert f"{kept} bytes are kept in {part(target)}, where the next try continues" in str(caught.value)
        assert part(target).read_bytes() == CONTENT[:kept]
        subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
        fetch(server, target, sha256=SHA)
        assert alone(target)
        assert server.sent[1] == 700_000 - kept

    def test_the_same_without_a_disk_to_mount(self, server, target, monkeypatch):
        """The system call says that the disk is full, after the first piece."""
        real, files = Path.open, []

        class Full:
            def __init__(self, file: Any) -> None:
                self.file, self.written = file, 0

            def __enter__(self) -> Full:
                return self

            def __exit__(self, *args: object) -> None:
                self.file.close()

            def write(self, data: bytes) -> None:
                if self.written:
                    raise OSError(28, "No space left on device")
                self.written = self.file.write(data)

            def __getattr__(self, name: str) -> Any:
                return getattr(self.file, name)

        def opened(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
            file = real(self, mode, *args, **options)
            if self.name.endswith(".part") and mode == "ab":
                files.append(Full(file))
                return files[-1]
            return file

        monkeypatch.setattr(Path, "open", opened)
        with pytest.raises(DataError, match="No space left") as caught:
            fetch(server, target, sha256=SHA, error=DataError)
        kept = files[0].written
        assert 0 < kept == part(target).stat().st_size
        assert f"{700_000 - kept} more bytes are needed" in str(caught.value)
        monkeypatch.setattr(Path, "open", real)
        fetch(server, target, sha256=SHA)
        assert alone(target)
        assert server.sent[1] == 700_000 - kept


class TestUnwritable:
    def test_the_home_is_a_file(self, server, tmp_path):
        (tmp_path / "home").write_text("")
        with pytest.raises(ConfigError, match=r"cannot be created .*LOSSNETS_HOME"):
            fetch(server, tmp_path / "home" / "weights" / "net.bin")
        assert server.requests == []

    def test_the_folder_may_not_be_written(self, server, target, monkeypatch):
        target.parent.mkdir()

        def refuse(*args: Any, **options: Any) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(
            WeightsError, match=r"net.bin cannot be written: Permission denied. .*LOSSNETS_HOME"
        ):
            fetch(server, target)
        assert server.requests == []

    def test_a_folder_has_the_name(self, server, target):
        target.mkdir(parents=True)
        with pytest.raises(WeightsError, match="cannot be written: Is a directory"):
            fetch(server, target)


class TestEnvironment:
    def test_a_mirror_takes_the_place_of_the_hub(self, server, target, monkeypatch):
        monkeypatch.setenv("HF_ENDPOINT", server.url.rpartition("/")[0] + "/")
        name = server.url.rpartition("/")[2]
        assert download(f"https://huggingface.co/{name}", target, sha256=SHA).read_bytes() == CONTENT

    def test_a_mirror_that_is_no_address_is_refused(self, server, target, monkeypatch):
        monkeypatch.setenv("HF_ENDPOINT", "mirror.example")
        with pytest.raises(WeightsError, match="HF_ENDPOINT must begin with http"):
            download("https://huggingface.co/file", target)

    @pytest.mark.parametrize("address", ["http://[::1", "http://host:port", "http://host:99999", "http://"])
    def test_addresses_that_cannot_be_taken_apart_are_refused_by_name(
        self, address, server, target, monkeypatch
    ):
        with pytest.raises(WeightsError, match="url must name a server"):
            download(address, target)
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("http_proxy", address)
        with pytest.raises(WeightsError, match=r"http_proxy \(or all_proxy\) must be an address"):
            download("http://nowhere.example/file", target)
        monkeypatch.delenv("http_proxy")
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(WeightsError, match=r"HF_ENDPOINT must begin with http.* and name a server"):
            download("https://huggingface.co/file", target)

    def test_hugging_faces_switch_forbids_its_hub_and_nothing_else(self, server, target, monkeypatch):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(WeightsError, match="HF_HUB_OFFLINE forbids Hugging Face's hub"):
            download("https://huggingface.co/file", target)
        assert fetch(server, target).read_bytes() == CONTENT

    @pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
    def test_a_proxy_is_asked(self, server, target, monkeypatch, variable):
        """The server stands for a proxy: it is asked for another one's file, by its whole address."""
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv(variable, server.url.rpartition("/")[0])
        path = server.url.rpartition("/")[2]
        assert download(f"http://nowhere.example/{path}", target, sha256=SHA).read_bytes() == CONTENT

    @pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
    def test_a_proxy_that_does_not_speak_http_is_refused_by_name(self, server, target, monkeypatch, variable):
        monkeypatch.setenv("no_proxy", "other.example")
        monkeypatch.setenv(variable, "socks5://127.0.0.1:9")
        with pytest.raises(WeightsError, match=r"proxy 'socks5://127.* only proxies that speak HTTP"):
            download("http://nowhere.example/file", target)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert fetch(server, target).read_bytes() == CONTENT
