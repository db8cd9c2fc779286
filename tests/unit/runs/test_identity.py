"""A run's identity is the SHA-256 of its configuration: equal for equal runs, different otherwise."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossnets.errors import ConfigError, UnknownNameError
from lossnets.runs.identity import UNRESOLVED, RunConfig, canonical_json

CONFIG = RunConfig(
    "pixel:mse", "sig", "toy", "noise", "ab" * 32, "smoke", "baseline", 3, {"resize": 64, "a": None}
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_identity_is_the_hash_of_the_text_written_by_hand() -> None:
    text = (
        '{"benchmark":"toy","fingerprint":"'
        + "ab" * 32
        + '","loss":"pixel:mse","options":{"a":null,"resize":64},'
        '"profile":"smoke","seed":3,"signature":"sig","variant":"baseline"}'
    )
    assert CONFIG.identity == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"loss": "pixel:l1"},
        {"signature": "other"},
        {"benchmark": "other"},
        {"fingerprint": "cd" * 32},
        {"profile": "small"},
        {"variant": "lin"},
        {"seed": 4},
        {"options": {"resize": 65, "a": None}},
        {"options": {"resize": 64}},
    ],
)
def test_everything_that_changes_the_number_changes_the_identity(change: dict[str, Any]) -> None:
    assert replace(CONFIG, **change).identity != CONFIG.identity


def test_a_data_set_that_is_only_called_differently_is_the_same_run() -> None:
    assert replace(CONFIG, data="renamed").identity == CONFIG.identity


def test_order_and_spelling_of_options_do_not_matter() -> None:
    assert replace(CONFIG, options={"a": None, "resize": 64.0}).identity == CONFIG.identity


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_a_configuration_survives_dictionary_and_pickle(options: dict[str, Any]) -> None:
    config = replace(CONFIG, options=options)
    for copy in (RunConfig.from_dict(config.to_dict()), pickle.loads(pickle.dumps(config))):
        assert copy == config
        assert copy.identity == config.identity
        assert hash(copy) == hash(config)


def test_a_configuration_shares_nothing_with_its_caller() -> None:
    options = {"splits": ["a"]}
    config = replace(CONFIG, options=options)
    before = config.identity
    options["splits"].append("b")
    config.to_dict()["options"]["splits"].append("c")
    assert replace(config).identity == before


def test_unknown_and_missing_keys_are_refused() -> None:
    values = CONFIG.to_dict()
    with pytest.raises(UnknownNameError, match=r"'sed' is not known. Did you mean 'seed'"):
        RunConfig.from_dict(values | {"sed": 1})
    del values["signature"]
    with pytest.raises(ConfigError, match="needs the keys signature"):
        RunConfig.from_dict(values)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x"])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="configuration values must be plain JSON values"):
        canonical_json({"a": value})


def test_a_loss_that_was_not_loaded_is_not_resolved() -> None:
    assert CONFIG.resolved
    assert not replace(CONFIG, signature=UNRESOLVED).resolved


def test_a_name_that_is_no_utf8_can_be_hashed_and_read_back() -> None:
    text = canonical_json({"file": "caf\udce9.png"})
    assert text.encode()
    assert json.loads(text) == {"file": "caf\udce9.png"}
