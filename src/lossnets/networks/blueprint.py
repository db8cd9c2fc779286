"""A network without its numbers: traced, described, with every name of every tap resolved.

Blueprints are built on the meta device in milliseconds and kept, so that names can be checked and
printed without loading a single weight.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from lossnets.errors import ConfigError, unknown_name
from lossnets.networks import catalogue
from lossnets.networks.describe import describe_taps, without_data
from lossnets.networks.graph import TracedNetwork, UntraceableError, trace
from lossnets.networks.hooked import describe_hooked
from lossnets.networks.points import layer_aliases
from lossnets.networks.spec import NetworkSpec, Tap
from lossnets.networks.verify import verify_trace
from lossnets.torch_state import standard_state

logger = logging.getLogger("lossnets")


@dataclass(frozen=True, eq=False)
class Blueprint:
    """What is needed to resolve taps of a network and to fill it with numbers.

    Attributes:
        spec: what is known of the network; its points are canonical tap names.
        expected: parameter and buffer names of the whole network with their shapes.
        taps: module path -> record, in the order of computation.
        traced: the network as a graph on the meta device; None where it cannot be traced.
        rebuild: makes the architecture anew on the CPU.
        fixed_size: the one image size (H, W) that the network takes, where it takes only one.
        pooling: ``max`` as published, or ``avg``.
        recipe: function and arguments that make it again, for pickling.
    """

    spec: NetworkSpec
    expected: dict[str, torch.Size]
    taps: dict[str, Tap]
    traced: TracedNetwork | None
    rebuild: Callable[[], nn.Module] = field(repr=False)
    fixed_size: tuple[int, int] | None = None
    pooling: str = "max"
    recipe: tuple[Any, ...] = field(default=(), repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the call that makes it: graphs and functions do not pickle, names do."""
        return self.recipe

    def __deepcopy__(self, memo: dict[int, Any]) -> Blueprint:
        """A blueprint never changes: its copy is itself."""
        return self

    def resolve(self, tap: str) -> Tap:
        """The record of a tap, by module path, human alias or the paper's child index.

        Raises:
            UnknownNameError: the network has no such tap; the message holds the nearest names.
        """
        name = str(tap)
        for record in self.taps.values():
            if name in (record.module, record.name) or name in record.aliases:
                return record
        known = [n for r in self.taps.values() for n in (r.name, r.module)]
        see = f"lossnets taps {self.spec.name}" if self.spec.library != "user" else ""
        raise unknown_name(f"tap of {self.spec.name}", name, known, see=see)

    def retrace(self) -> TracedNetwork:
        """The traced network with tensors on the CPU, freshly initialised."""
        return trace_library(self.rebuild(), self.spec.library)


def trace_library(model: nn.Module, library: str) -> TracedNetwork:
    """Trace a model with the leaf modules and functions that its library asks for."""
    if library != "timm":
        return trace(model)
    from timm.models import _features_fx as fx_rules

    return trace(model, leaves=fx_rules.get_notrace_modules(), functions=fx_rules.get_notrace_functions())


@standard_state()
def blueprint(name: str, pooling: str = "max") -> Blueprint:
    """The blueprint of a network by name (see `catalogue.list_networks`).

    Args:
        name: the network.
        pooling: ``"max"`` as published, or ``"avg"``: every max pooling becomes average pooling
            (Gatys et al. 2016; the loss that PGNs imitate, Nikulin et al. 2021).
    """
    return _blueprint(catalogue.network_spec(name).name, pooling, catalogue.builder_sha256(name))


@lru_cache(maxsize=64)
def _blueprint(name: str, pooling: str, builder: str) -> Blueprint:
    del builder  # what builds a network of the user's own, by content: another one makes another network
    spec = catalogue.network_spec(name)
    size = catalogue.input_size(spec)

    def rebuild(meta: bool = False) -> nn.Module:
        return swap_pooling(catalogue.build(spec.name, meta=meta), pooling)

    if spec.library == "user":
        made = make_blueprint(spec, rebuild(), rebuild, size)
    else:
        made = make_blueprint(spec, rebuild(meta=True), rebuild, size)
    return replace(made, pooling=pooling, recipe=(blueprint, (spec.name, pooling)))


def make_blueprint(
    spec: NetworkSpec,
    model: nn.Module,
    rebuild: Callable[[], nn.Module],
    size: tuple[int, int],
    channels: int = 3,
) -> Blueprint:
    """Trace and describe a model.

    Args:
        spec: what is known of it; its points are module paths or other names of taps.
        model: on the meta device; or, if nobody knows it, with its numbers: then the traced graph must
            prove to compute the same, or taps are read through hooks.
        rebuild: makes the model anew.
        size: an image size (H, W) that it accepts.
        channels: number of input channels.

    Raises:
        UnknownNameError: a point is no tap of the network.
        ConfigError: the model does not process an image of ``size``.
    """
    expected = {key: value.shape for key, value in model.state_dict().items()}
    traced, fixed = None, None
    try:
        traced = trace_library(without_data(model), spec.library)
        taps, fixed = _describe(traced, size, channels)
        if spec.library == "user":
            verify_trace(model, taps, [fixed or size], channels)
    except UntraceableError as reason:
        logger.info("%s; its taps are read through hooks", reason)
        traced = None
        taps, fixed = _describe_hooked(model, size, channels)
    taps = _named(spec.name, model, taps)
    made = Blueprint(spec, expected, taps, traced, rebuild, fixed)
    points = tuple(made.resolve(p).name for p in spec.points)
    lpips_points = tuple(made.resolve(p).name for p in spec.lpips_points)
    return replace(made, spec=replace(spec, points=points, lpips_points=lpips_points))


def _describe_hooked(
    model: nn.Module, size: tuple[int, int], channels: int
) -> tuple[dict[str, Tap], tuple[int, int] | None]:
    model = copy.deepcopy(model)  # its code runs, and may change its buffers
    try:
        return describe_hooked(model, size, channels)
    except Exception as error:  # arbitrary code of the model
        shape = (1, channels, *size)
        raise ConfigError(
            f"{type(model).__name__} does not process an image of shape {shape}: {error}. "
            "Pass size=(H, W) that it accepts, and a mean and std with one value per input channel"
        ) from error


def _describe(
    traced: TracedNetwork, size: tuple[int, int], channels: int
) -> tuple[dict[str, Tap], tuple[int, int] | None]:
    try:
        return describe_taps(traced, channels=channels), None
    except Exception as any_size:  # the network's own code refuses the probing size
        try:
            return describe_taps(traced, fixed_size=size, channels=channels), size
        except Exception as own_size:
            raise UntraceableError(f"shapes cannot be followed: {own_size}") from any_size


def _named(network: str, model: nn.Module, taps: dict[str, Tap]) -> dict[str, Tap]:
    """Give taps their human names and the paper's child indices."""
    features = getattr(model, "features", None)
    parent, prefix = (features, "features.") if isinstance(features, nn.Sequential) else (model, "")
    children = [(name, type(module).__name__) for name, module in parent.named_children()]
    human = layer_aliases(network, children) if prefix else {}
    index = {prefix + name: str(i) for i, (name, _) in enumerate(children)}
    named = {}
    for path, tap in taps.items():
        aliases = [a for a in (human.get(path), path, index.get(path)) if a]
        named[path] = replace(tap, name=aliases[0], aliases=tuple(dict.fromkeys(aliases[1:])))
    return named


def swap_pooling(model: nn.Module, pooling: str) -> nn.Module:
    """Replace every max pooling by average pooling of the same window, if ``pooling`` is ``"avg"``."""
    if pooling not in ("max", "avg"):
        raise ConfigError(f"pooling must be 'max' or 'avg'; got {pooling!r}")
    if pooling == "avg":
        for path, module in list(model.named_modules()):
            if isinstance(module, nn.MaxPool2d):
                parent, _, child = path.rpartition(".")
                average = nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode)
                setattr(model.get_submodule(parent), child, average)
    return model


@standard_state()
def user_blueprint(
    module: nn.Module,
    name: str,
    size: tuple[int, int],
    channels: int,
    points: Iterable[str],
    stated: str = "",
) -> Blueprint:
    """The blueprint of a user's own module (deep-copied: the user's object is left as it is)."""
    parameters = sum(p.numel() for p in module.parameters())
    spec = NetworkSpec(name=name, library="user", points=tuple(points), parameters=parameters, stated=stated)
    try:
        own = copy.deepcopy(module).eval()
    except Exception as error:  # arbitrary attributes of the module
        raise ConfigError(f"module {type(module).__name__} cannot be copied: {error}") from error
    made = make_blueprint(spec, own, lambda: copy.deepcopy(own), size, channels)
    return replace(made, recipe=(user_blueprint, (own, name, size, channels, tuple(points), stated)))
