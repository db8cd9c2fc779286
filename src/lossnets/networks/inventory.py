"""Which weights there are and where, and whether files are what they should be, as records."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lossnets.download import hash_problem
from lossnets.errors import UnknownNameError, WeightsError
from lossnets.networks import weights
from lossnets.networks.blueprint import blueprint
from lossnets.networks.catalogue import list_networks, network_spec, packaged_file
from lossnets.networks.spec import NetworkSpec, WeightsSpec


@dataclass(frozen=True)
class WeightsCard:
    """The default weights of one network, and where they are.

    Attributes:
        network: its name.
        weights: exact name of the weights; None where none are published.
        file: name of the file as published.
        megabytes: its size as published (10^6 bytes); None where it is not.
        licence: as stated by the publisher, or that it is not.
        training_data: what the weights were trained on.
        source: URL or package.
        sha256: what is published of the hash: all of it, its first digits, or nothing.
        state: ``packaged``, ``present``, ``to be downloaded``, ``package not installed``, ``random only``.
        path: the file on this machine.
    """

    network: str
    weights: str | None
    file: str | None
    megabytes: float | None
    licence: str
    training_data: str
    source: str | None
    sha256: str | None
    state: str
    path: str | None


@dataclass(frozen=True)
class FileCheck:
    """What was found out about one file.

    Attributes:
        path: the file.
        sha256: its hash; None where it was refused before.
        network: the network that it was held against; None where none is known for it.
        finding: what is right with it, or what is wrong.
        good: whether it may be used.
    """

    path: str
    sha256: str | None
    network: str | None
    finding: str
    good: bool


def weights_cards(pattern: str = "*") -> list[WeightsCard]:
    """One card for each network that matches a shell-style pattern, in the catalogue's order."""
    return [weights_card(network_spec(name)) for name in list_networks(pattern)]


def weights_card(spec: NetworkSpec) -> WeightsCard:
    """The card of one network's default weights."""
    entry = spec.weights or WeightsSpec("none")
    state, path = _state(spec)
    return WeightsCard(
        network=spec.name,
        weights=None if spec.weights is None else entry.name,
        file=entry.filename,
        megabytes=entry.megabytes,
        licence=entry.licence,
        training_data=entry.training_data,
        source=entry.url or entry.package,
        sha256=entry.sha256 or entry.sha256_prefix,
        state=state,
        path=None if path is None else str(path),
    )


def _state(spec: NetworkSpec) -> tuple[str, Path | None]:
    if spec.weights is None:
        return "random only", None
    if spec.weights.package is not None:
        installed = importlib.util.find_spec(spec.weights.package.replace("-", "_")) is not None
        return ("packaged", packaged_file(spec.name)) if installed else ("package not installed", None)
    path = weights.locate(spec.weights)
    return ("to be downloaded" if path is None else "present"), path


def fetch(spec: NetworkSpec, progress: Callable[[int, int | None], None] | None = None) -> FileCheck:
    """Bring the default weights of a network to this machine where they are not here, and check them.

    Raises:
        WeightsError: none are published, or they cannot be had.
    """
    if spec.weights is None:
        raise WeightsError(
            f"{spec.name} has no published weights: use weights='random' or a file of your own"
        )
    if spec.weights.package is not None:
        path = packaged_file(spec.name)
    else:
        path = weights.find(spec.weights, progress=progress)
    return FileCheck(str(path), weights.verify_file(path), spec.name, _published(spec.weights), good=True)


def check_file(path: Path, network: str | None = None) -> FileCheck:
    """Hold a file against the published hash and, where that does not settle it, against the network's keys.

    Args:
        path: the file.
        network: the network that it should fit; None: the one that publishes a file of this name.

    Raises:
        UnknownNameError: there is no such network.
    """
    spec = _publisher(path.name) if network is None else network_spec(network)
    name = None if spec is None else spec.name
    digest = None
    try:
        digest = weights.verify_file(path)
        return FileCheck(
            str(path), digest, name, _finding(path, digest, spec, keys=network is not None), good=True
        )
    except WeightsError as error:
        return FileCheck(str(path), digest, name, str(error), good=False)


def check_folder() -> list[FileCheck]:
    """Check every file in ``LOSSNETS_HOME/weights``; interrupted downloads are reported as such."""
    folder = weights.weights_folder()
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [_unfinished(f) if f.suffix == ".part" else check_file(f) for f in files if _is_weights(f)]


def _is_weights(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.suffix not in (".json", ".lock")


def _unfinished(path: Path) -> FileCheck:
    done = path.stat().st_size
    return FileCheck(
        str(path), None, None, f"interrupted download, {done} bytes; fetch continues it", good=True
    )


def _finding(path: Path, digest: str, spec: NetworkSpec | None, *, keys: bool) -> str:
    """What is right with a whole file; raises what is wrong."""
    findings = []
    entry = None if spec is None else spec.weights
    if entry is not None and entry.filename == path.name:
        problem = hash_problem(digest, entry.sha256, entry.sha256_prefix)
        if problem is not None:
            raise WeightsError(f"not as published for {entry.name}: it {problem}")
        findings.append(_published(entry))
    state = weights.read_state_dict(path)
    if spec is not None and keys:
        fitted = weights.match_state(state, blueprint(spec.name).expected)
        whole = len(fitted) == len(blueprint(spec.name).expected)
        findings.append(f"fits {spec.name}" + ("" if whole else f" ({len(fitted)} tensors, a part of it)"))
    return (
        "; ".join(findings) or f"whole and readable ({len(state)} tensors); no network publishes such a file"
    )


def _published(entry: WeightsSpec) -> str:
    if entry.sha256 or entry.sha256_prefix:
        return f"as published ({entry.name})"
    return f"whole; no hash is published to compare with ({entry.name})"


def _publisher(filename: str) -> NetworkSpec | None:
    """The network that publishes a file of this name, if the catalogue knows one."""
    if filename.startswith("timm."):
        try:
            return network_spec(f"timm/{filename.removeprefix('timm.').rpartition('.')[0]}")
        except UnknownNameError:
            return None
    specs = (network_spec(name) for name in list_networks())
    return next((s for s in specs if s.weights is not None and s.weights.filename == filename), None)
