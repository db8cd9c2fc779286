"""A web server on this machine with several files, which can be told to misbehave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Web:
    """Files by path. ``script`` holds what happens to the next requests; after it all goes well."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.script: list[Callable[[Handler], None]] = []
        self.requests: list[tuple[str, str | None]] = []  # path, Range
        self.ranges = True
        self.sent = 0
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.plan = self  # type: ignore[attr-defined]
        self.http.daemon_threads = True
        self.http.block_on_close = False

    def put(self, path: str, content: bytes) -> str:
        self.files[path] = content
        return f"http://127.0.0.1:{self.http.server_port}{path}"

    @staticmethod
    def cut(after: int) -> Callable[[Handler], None]:
        """The connection ends after so many bytes of the body."""
        return lambda handler: handler.answer(upto=after)

    @staticmethod
    def status(code: int) -> Callable[[Handler], None]:
        return lambda handler: handler.send_error(code)

    @staticmethod
    def instead(content: bytes) -> Callable[[Handler], None]:
        """Something else, politely."""
        return lambda handler: handler.answer(content=content)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None: ...

    def do_GET(self) -> None:
        self.plan: Web = self.server.plan  # type: ignore[attr-defined]
        self.plan.requests.append((self.path, self.headers["Range"]))
        self.close_connection = True
        if self.path not in self.plan.files:
            self.send_error(404)
        else:
            (self.plan.script.pop(0) if self.plan.script else Handler.answer)(self)

    def answer(self, *, upto: int | None = None, content: bytes | None = None) -> None:
        whole = self.plan.files[self.path] if content is None else content
        start = 0
        if self.headers["Range"] and self.plan.ranges:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        self.send_header("Content-Length", str(len(whole) - start))
        self.send_header("ETag", '"one"')
        self.end_headers()
        body = whole[start:][:upto]
        self.plan.sent += len(body)
        self.wfile.write(body)
        self.wfile.flush()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("LOSSNETS_OFFLINE", "0")
    monkeypatch.setenv("no_proxy", "*")
    server = Web()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()
