"""Fetch one file from the web: resumed where it stopped, verified, and in place only when it is whole."""

from __future__ import annotations

import errno
import http.client
import json
import logging
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from .errors import LossnetsError, WeightsError
from .file_hash import content_hash
from .home import free_bytes, hub_offline, locked, make_folder, offline, write_error
from .version import __version__

logger = logging.getLogger("lossnets")

Progress = Callable[[int, int | None], None]
_CHUNK = 1 << 18
_HINT = "A proxy or a moved file may be the cause: fetch it by other means and name it as a local file"
HUB = "https://huggingface.co"
"""Where addresses of Hugging Face's hub begin; HF_ENDPOINT puts a mirror in its place."""
_BUSY = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class _Version:
    """Which version of the remote file the bytes in the part belong to; stored beside the part."""

    url: str
    etag: str | None = None
    modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """What If-Range accepts: a strong ETag, else the date."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    def differs(self, now: _Version) -> bool:
        """Whether an answer is about another version; what it leaves out says nothing."""
        pairs = ((self.validator, now.validator), (self.total, now.total))
        return any(mine and theirs and mine != theirs for mine, theirs in pairs)


@dataclass
class _Job:
    """One download: what is wanted, and where its bytes go."""

    url: str
    destination: Path
    part: Path
    sha256: str | None
    prefix: str | None
    size: int | None
    progress: Progress | None
    timeout: float
    error: type[LossnetsError]
    check: Callable[[Path], str | None] | None

    @property
    def note(self) -> Path:
        return self.part.with_name(self.part.name + ".json")

    def done(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


class _TransientError(Exception):
    """The connection or the server failed in a way that may pass."""


def download(
    url: str,
    destination: Path,
    *,
    sha256: str | None = None,
    sha256_prefix: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
    retries: int = 4,
    timeout: float = 30.0,
    backoff: float = 0.5,
    error: type[LossnetsError] = WeightsError,
    check: Callable[[Path], str | None] | None = None,
) -> Path:
    """Fetch ``url`` into ``destination``; return ``destination``, whole and verified.

    The environment is obeyed: LOSSNETS_OFFLINE; for Hugging Face's hub also HF_HUB_OFFLINE, and a mirror in
    HF_ENDPOINT; http_proxy, https_proxy, all_proxy and no_proxy (proxies that speak HTTP).

    Bytes arrive in ``<destination>.part``, where an interrupted download continues, in this process
    or a later one; the file takes its name only when size and hash are right. A file that is there
    already and fits is returned without a connection. Processes that want the same file take turns.

    Args:
        url: http or https.
        destination: the file; its folder is created.
        sha256: full hash of the file.
        sha256_prefix: first digits of the hash where only those are known.
        size: bytes of the file where known.
        progress: called with (bytes done, bytes in total or None).
        retries: failures in a row, without a byte gained, after which it gives up.
        timeout: seconds without a byte after which a connection counts as broken.
        backoff: seconds before the first retry; doubles with each.
        error: class of the errors.
        check: looks at a complete file and tells what is wrong with it, as the rest of a sentence that
            begins with "it", or None; for files without a published hash.

    Raises:
        WeightsError: (or ``error``) offline, out of reach, wrong size or hash, disk full, not writable.
        ConfigError: the folder cannot be created.
    """
    hub, url = url.startswith(HUB), mirrored(url, error)
    part = destination.with_name(destination.name + ".part")
    job = _Job(url, destination, part, sha256, sha256_prefix, size, progress, timeout, error, check)
    if _is_there(job):
        return destination
    if offline():
        raise error(
            f"{destination.name} would be downloaded from {url}, but lossnets is offline "
            f"(LOSSNETS_OFFLINE or offline_mode); put the file at {destination}, or allow the network"
        )
    if hub and hub_offline():
        raise error(
            f"{destination.name} would be downloaded from {url}, but HF_HUB_OFFLINE forbids Hugging Face's "
            f"hub; put the file at {destination}, or unset HF_HUB_OFFLINE"
        )
    if not url.lower().startswith(("http://", "https://")):
        raise error(f"url must begin with http:// or https://, got {url!r}")
    if not is_address(url):
        raise error(f"url must name a server, got {url!r}")
    make_folder(destination.parent)
    try:
        with locked(destination.with_name(destination.name + ".lock")):
            if not _is_there(job):  # another process may have brought it while this one waited
                _bring(job, retries, backoff)
    except OSError as cause:
        raise write_error(destination, cause, error, needed=_missing(job), note=_kept(job)) from cause
    return destination


def mirrored(url: str, error: type[LossnetsError] = WeightsError) -> str:
    """Where a file is fetched: from the mirror of HF_ENDPOINT, where it is one of Hugging Face's hub.

    Raises:
        WeightsError: (or ``error``) HF_ENDPOINT is no address.
    """
    mirror = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    if not mirror or not url.startswith(HUB):
        return url
    if not mirror.lower().startswith(("http://", "https://")) or not is_address(mirror):
        raise error(f"HF_ENDPOINT must begin with http:// or https:// and name a server; got {mirror!r}")
    return mirror + url.removeprefix(HUB)


def is_address(text: str) -> bool:
    """Whether an address can be taken apart: brackets and port are right, and there is a server.

    >>> is_address("http://[::1]:80/a"), is_address("http://[::1"), is_address("http://a:port")
    (True, False, False)
    """
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        return bool(parts.hostname) and (parts.port is None or parts.port >= 0)
    except ValueError:
        return False


def hash_problem(got: str, sha256: str | None, prefix: str | None) -> str | None:
    """What is wrong with a hash, as the rest of a sentence ("it ..."); None where it is as published."""
    if sha256 is not None and got != sha256.lower():
        return f"has sha256 {got}, expected {sha256}"
    if prefix is not None and not got.startswith(prefix.lower()):
        return f"has sha256 {got}, expected one that begins with {prefix}"
    return None


def _is_there(job: _Job) -> bool:
    if not job.destination.is_file():
        return False
    problem = _content_problem(job, job.destination, job.size)
    if problem is not None:
        logger.warning("%s %s; it is downloaded again", job.destination, problem)
    return problem is None


def _bring(job: _Job, retries: int, backoff: float) -> None:
    """Fetch until the part is whole and right, then give it its name."""
    continued = _part_state(job)[1] > 0
    if not (continued and _missing(job) == 0):  # else it was killed between the last byte and the name
        continued |= _fetch_all(job, retries, backoff)
    problem = _content_problem(job, job.part, _total(job))
    if problem and continued:  # the file may have changed between two attempts
        logger.warning("%s: the file %s after it was continued; starting over", job.url, problem)
        job.discard()
        _fetch_all(job, retries, backoff)
        problem = _content_problem(job, job.part, _total(job))
    if problem:
        job.discard()
        raise job.error(f"{job.url} gave a file that is refused: it {problem}. Nothing was kept. {_HINT}")
    job.part.replace(job.destination)
    job.note.unlink(missing_ok=True)


def _fetch_all(job: _Job, retries: int, backoff: float) -> bool:
    """Connect until the part has all bytes; return whether it took more than one connection."""
    failures, best, connections = 0, job.done(), 1
    while True:
        try:
            _fetch(job)
        except _TransientError as trouble:
            failures = 1 if job.done() > best else failures + 1
            if failures > retries:
                raise job.error(_gave_up(job, trouble, retries)) from trouble
            logger.warning("%s: %s; trying again", job.url, trouble)
        else:
            return connections > 1
        best, connections = max(best, job.done()), connections + 1
        time.sleep(min(30.0, backoff * 2 ** (failures - 1)))


def _gave_up(job: _Job, trouble: Exception, retries: int) -> str:
    return (
        f"{job.destination.name} cannot be downloaded from {job.url}: {trouble}, and {retries} retries did "
        f"not help. If you have the file, put it at {job.destination}. {_kept(job)}".rstrip()
    )


def _kept(job: _Job) -> str:
    done = job.done()
    return f"{done} bytes are kept in {job.part}, where the next try continues." if done else ""


def _content_problem(job: _Job, path: Path, size: int | None) -> str | None:
    """What is wrong with a complete file, as the rest of a sentence ("it ..."); None where nothing is."""
    done = path.stat().st_size
    if size is not None and done != size:
        return f"has {done} bytes, expected {size}"
    problem = job.check(path) if job.check is not None else None
    if problem is None and (job.sha256 or job.prefix):
        problem = hash_problem(content_hash(path), job.sha256, job.prefix)
    return problem


def _total(job: _Job) -> int | None:
    version = _read_note(job)
    return job.size if job.size is not None else version.total if version else None


def _missing(job: _Job) -> int | None:
    """Bytes that the part lacks (negative: has too many); None where the length is not known."""
    total = _total(job)
    return None if total is None else total - job.done()


def _fetch(job: _Job) -> None:
    """Append to the part what is missing of it, over one connection."""
    version, start = _part_state(job)
    request = urllib.request.Request(job.url, headers=_headers(version, start))  # noqa: S310 checked: http(s)
    try:
        response = _open(request, job)
    except urllib.error.HTTPError as answer:
        with answer:
            _refused(job, answer)
        return
    except (OSError, http.client.HTTPException) as trouble:  # URLError is an OSError
        reason = getattr(trouble, "reason", trouble)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise job.error(f"{job.url}: its certificate is refused ({reason}). {_HINT}") from trouble
        raise _TransientError(f"no connection ({reason})") from trouble
    with response:
        _receive(job, response, version, start)


def _open(request: urllib.request.Request, job: _Job) -> Any:
    """Connect, by way of the proxy that the environment names."""
    named = urllib.request.getproxies()
    proxies = {scheme: named.get(scheme) or named.get("all") for scheme in ("http", "https")}
    if not any(proxies.values()):
        return urllib.request.urlopen(request, timeout=job.timeout)  # noqa: S310 checked: http(s)
    proxy = proxies[request.type] or ""
    foreign = "://" in proxy and not proxy.lower().startswith(("http://", "https://"))
    if foreign and not urllib.request.proxy_bypass(request.host):
        raise job.error(
            f"{job.destination.name} would be downloaded through the proxy {proxy!r} ({request.type}_proxy "
            "or all_proxy); only proxies that speak HTTP can be used. Name one that does, exempt the server "
            f"in no_proxy, or put the file at {job.destination}"
        )
    if proxy and not is_address(proxy) and not urllib.request.proxy_bypass(request.host):
        raise job.error(
            f"{request.type}_proxy (or all_proxy) must be an address, e.g. http://host:8080; got {proxy!r}"
        )
    handler = urllib.request.ProxyHandler({scheme: each for scheme, each in proxies.items() if each})
    return urllib.request.build_opener(handler).open(request, timeout=job.timeout)


def _read_note(job: _Job) -> _Version | None:
    try:
        return _Version(**json.loads(job.note.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _part_state(job: _Job) -> tuple[_Version | None, int]:
    """The version that the part belongs to and its length; (None, 0) where it cannot be continued."""
    version = _read_note(job)
    if version is None or version.url != job.url or not (version.validator or job.sha256 or job.prefix):
        job.discard()
        return None, 0
    return version, job.done()


def _headers(version: _Version | None, start: int) -> dict[str, str]:
    headers = {"User-Agent": f"lossnets/{__version__}", "Accept-Encoding": "identity"}
    if version is not None and start:
        headers["Range"] = f"bytes={start}-"
        if version.validator:
            headers["If-Range"] = version.validator
    return headers


def _refused(job: _Job, answer: urllib.error.HTTPError) -> None:
    """Turn an HTTP error into a retry, a start from zero, or the end."""
    if answer.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        version, done = _part_state(job)
        if version is not None and done and done == version.total:
            return  # the part was whole already
        job.discard()
        raise _TransientError("the server does not continue this file") from answer
    if answer.code in _BUSY:
        raise _TransientError(f"the server answered {answer.code} {answer.reason}") from answer
    raise job.error(
        f"{job.destination.name} cannot be downloaded: {job.url} answered {answer.code} {answer.reason}; "
        f"if you have the file, put it at {job.destination}"
    ) from answer


def _receive(job: _Job, response: http.client.HTTPResponse, version: _Version | None, start: int) -> None:
    headers = response.headers
    if headers.get("Content-Encoding", "identity").lower() not in _own_encodings(job.url):
        raise job.error(
            f"{job.url} answered with Content-Encoding {headers['Content-Encoding']}, not the file"
        )
    resumed = response.status == HTTPStatus.PARTIAL_CONTENT
    first, total = _extent(response)
    now = _Version(job.url, headers.get("ETag"), headers.get("Last-Modified"), total)
    if resumed and (first != start or version is None or version.differs(now)):
        job.discard()
        raise _TransientError("the file changed between two attempts")
    if job.size is not None and total is not None and total != job.size:
        job.discard()
        raise job.error(f"{job.url} has {total} bytes, expected {job.size}: not the same file. {_HINT}")
    if not resumed:
        start = 0
        job.discard()
        job.note.write_text(json.dumps(asdict(now)), "utf-8")
    _check_room(job, start, total)
    with job.part.open("ab") as file:
        _copy(job, response, file, start, total)


def _own_encodings(url: str) -> tuple[str, ...]:
    """What Content-Encoding may say of the file as it is: many servers call a .tar.gz "x-gzip".

    >>> _own_encodings("http://host/a.tar.gz?x"), _own_encodings("http://host/a.zip")
    (('identity', 'gzip', 'x-gzip'), ('identity',))
    """
    packed = urlsplit(url).path.lower().endswith((".gz", ".tgz"))
    return ("identity", "gzip", "x-gzip") if packed else ("identity",)


def _extent(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """First byte of the answer and length of the whole file (None: not told)."""
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdigit() else None
    span, _, whole = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    first = span.partition("-")[0]
    return int(first) if first.isdigit() else -1, int(whole) if whole.isdigit() else None


def _check_room(job: _Job, start: int, total: int | None) -> None:
    """Refuse before the disk is full rather than when it is: others write to it, too."""
    free = free_bytes(job.part.parent)
    if total is not None and free is not None and total - start > free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _copy(
    job: _Job, response: http.client.HTTPResponse, file: IO[bytes], done: int, total: int | None
) -> None:
    while True:
        if job.progress is not None:
            job.progress(done, total)
        try:
            chunk = response.read1(_CHUNK)
        except (OSError, http.client.HTTPException) as trouble:
            raise _TransientError(f"the connection broke after {done} bytes ({trouble})") from trouble
        if not chunk:
            break
        file.write(chunk)
        file.flush()  # what is on disk is what a killed process continues from
        done += len(chunk)
    if total is not None and done < total:
        raise _TransientError(f"the connection ended after {done} of {total} bytes")
    os.fsync(file.fileno())
