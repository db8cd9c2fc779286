"""The losses of a plan: shorthands expanded to canonical names, names grouped by network, signatures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from lossnets.errors import ConfigError, LossnetsError, WeightsError, unknown_name
from lossnets.home import is_file, user_path
from lossnets.losses import LossBank, parse_loss
from lossnets.losses.families import family_names
from lossnets.networks import network_spec

SHORTHANDS = {
    "*points": "each extraction point of the study, one loss a point",
    "all-points": "all extraction points of the study together, one loss",
}


def expand(pattern: str) -> list[str]:
    """Canonical loss names of one line of a plan.

    A loss name stands for itself; ``NETWORK/*points`` for one loss at each of the network's
    extraction points of the study, ``NETWORK/all-points`` for one loss at all of them. What follows
    a colon is kept: ``vgg16/*points:sort``.

    Raises:
        ConfigError: the name does not parse, or the study has no points of that network.
        UnknownNameError: a network, tap or shorthand is not known.
    """
    return [str(parse_loss(name)) for name in _spelled_out(pattern)]


def _spelled_out(pattern: str) -> list[str]:
    network, slash, rest = pattern.partition("/*")
    if slash:
        word, colon, options = rest.partition(":")
        if f"*{word}" not in SHORTHANDS:
            raise unknown_name("shorthand", f"*{word}", SHORTHANDS)
        return [f"{network}/{point}{colon}{options}" for point in _points(network, pattern)]
    taps, colon, options = pattern.partition(":")
    network, slash, last = taps.rpartition("/")
    if slash and last == "all-points":
        return [f"{network}/{','.join(_points(network, pattern))}{colon}{options}"]
    return [pattern]


def _points(network: str, pattern: str) -> tuple[str, ...]:
    points = network_spec(network).points
    if not points:
        raise ConfigError(
            f"{pattern!r}: there are no study points of {network!r}; "
            f"name its taps instead (lossnets taps {network})"
        )
    return points


def network_of(loss: str) -> str:
    """What losses have in common that share a forward pass: network, weights, input.

    >>> network_of("vgg16/relu3_3:sort") == network_of("lpips:vgg16"), network_of("pixel:mse")
    (True, 'pixel')
    >>> network_of("vgg16/relu3_3") == network_of("vgg16/relu3_3:weights=random-0")
    False
    """
    spec = parse_loss(loss)
    if spec.family == "pixel":
        return "pixel"
    if spec.family in family_names():
        return str(spec)
    return "|".join((spec.network, spec.weights, spec.pooling, spec.input, spec.channels, spec.dtype))


def located(loss: str, folder: str | Path) -> str:
    """The loss name with its files (``weights=``, ``head=``, ``pgn:``) as absolute paths, from here.

    >>> located("vgg16/relu3_3:weights=data/vgg.pth", "/plans")
    'vgg16/relu3_3:weights=/plans/data/vgg.pth'
    """
    found = {option: str(path) for option, path in _files(loss, folder).items()}
    return str(replace(parse_loss(loss), **found)) if found else loss  # type: ignore[arg-type]


def check_files(loss: str, folder: str | Path) -> None:
    """Raise WeightsError unless every file that the loss name mentions is there."""
    for option, path in _files(loss, folder).items():
        if not is_file(path):
            raise WeightsError(
                f"{option} of {loss!r}: there is no file {path} (relative paths start at the folder of the "
                f"plan, {folder})"
            )


def _files(loss: str, folder: str | Path) -> dict[str, Path]:
    given = parse_loss(loss).files()
    return {option: Path(folder) / user_path(path, option) for option, path in given.items()}


def by_network(losses: Iterable[str]) -> list[list[str]]:
    """Loss names in lists that share a network, in order of first appearance."""
    groups: dict[str, list[str]] = {}
    for loss in losses:
        groups.setdefault(network_of(loss), []).append(loss)
    return list(groups.values())


def load_bank(losses: Sequence[str], device: str = "cpu") -> LossBank:
    """A `lossnets.losses.LossBank` of these losses: weights are read, one network for all its taps."""
    return LossBank(list(losses), device=device)


def signatures(losses: Sequence[str], folder: str | Path = ".") -> dict[str, str | LossnetsError]:
    """Loss name -> signature, or the error that loading it ended in; each network is loaded once.

    Names and signatures are those of the plan: where its folder lies on this machine is not in them.
    """
    found: dict[str, str | LossnetsError] = {}
    for group in by_network(losses):
        found |= _signatures(group, folder)
    return {loss: found[loss] for loss in losses}


def _signatures(group: list[str], folder: str | Path) -> dict[str, str | LossnetsError]:
    try:
        return dict(bank_signatures(load_bank([located(loss, folder) for loss in group]), group, folder))
    except LossnetsError as error:
        if len(group) == 1:
            return {group[0]: error}
    alone = [_signatures([loss], folder) for loss in group]
    return {loss: answer for answers in alone for loss, answer in answers.items()}


def bank_signatures(bank: LossBank, losses: Sequence[str], folder: str | Path) -> dict[str, str]:
    """Signatures of the plan's losses, of a bank that has them by their located names."""
    return {
        loss: loss + bank.signatures[name].removeprefix(name)
        for loss, name in ((loss, located(loss, folder)) for loss in losses)
    }
