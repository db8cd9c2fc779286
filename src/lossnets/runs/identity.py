"""What makes two runs the same run: their configuration, hashed.

A run is one loss on one benchmark with one data set, profile, variant and seed. Everything that can
change its scores is a field of `RunConfig`; everything that cannot (device, threads, where the
store lies) is not, so that a sweep continues on another machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from lossnets.errors import ConfigError, unknown_name
from lossnets.home import printable

UNRESOLVED = "unresolved"
"""The signature of a loss that could not be loaded, and the fingerprint of data that could not be read."""


def canonical_json(value: object) -> str:
    """JSON that is the same text for equal values: sorted keys, no spaces, no NaN, UTF-8 as it is.

    Raises:
        ConfigError: the value holds something that JSON has no word for (NaN, a set, a tensor).

    >>> canonical_json({"b": 1, "a": [True, None, "é"]})
    '{"a":[true,null,"é"],"b":1}'
    """
    try:
        text = json.dumps(
            _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"configuration values must be plain JSON values; got {value!r}: {error}") from None
    return printable(text)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)  # 1 and 1.0 are one setting, however it was written in the plan
    return value


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the scores of one run.

    Attributes:
        loss: canonical loss name (``vgg16/relu3_3``).
        signature: of the loss: name, weights hash and whatever else changes the number;
            `UNRESOLVED` for a loss that could not be loaded.
        benchmark: name of the benchmark (``similarity``).
        data: name of the data set, for people; not part of the identity.
        fingerprint: hash of the data set's content and of how it is read.
        profile: ``paper``, ``small`` or ``smoke``.
        variant: ``baseline``, ``lin``, ``tune`` or ``scratch``.
        seed: of every random number in the run.
        options: settings of the benchmark that differ from its defaults, plain JSON values.
    """

    loss: str
    signature: str
    benchmark: str
    data: str
    fingerprint: str
    profile: str = "small"
    variant: str = "baseline"
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        frozen = json.loads(canonical_json(self.options))  # a copy that shares nothing with the caller's
        object.__setattr__(self, "options", MappingProxyType(frozen))

    def __reduce__(self) -> tuple[Any, ...]:
        return RunConfig.from_dict, (self.to_dict(),)  # a mapping proxy does not pickle

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """Build from `to_dict`'s output; the inverse of it.

        Raises:
            ConfigError: a key is missing.
            UnknownNameError: a key is not known.
        """
        names = [item.name for item in dataclasses.fields(cls)]
        for key in values:
            if key not in names:
                raise unknown_name("key of a run's configuration", key, names)
        missing = [name for name in names[:5] if name not in values]
        if missing:
            raise ConfigError(
                f"a run's configuration needs the keys {', '.join(missing)}; got {dict(values)!r}"
            )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, in the order of the fields; a new dictionary every time."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        values["options"] = json.loads(canonical_json(self.options))
        return values

    @cached_property
    def identity(self) -> str:
        """64 hexadecimal digits: the SHA-256 of the configuration as canonical JSON, without `data`."""
        values = self.to_dict()
        del values["data"]  # a file that is renamed is the same data; the fingerprint says so
        return hashlib.sha256(canonical_json(values).encode()).hexdigest()

    @property
    def resolved(self) -> bool:
        """False where the loss could not be loaded or the data could not be read."""
        return UNRESOLVED not in (self.signature, self.fingerprint)

    def __str__(self) -> str:
        head = f"{self.loss} on {self.benchmark}/{self.data}"
        return f"{head} ({self.profile}, {self.variant}, seed {self.seed})"
