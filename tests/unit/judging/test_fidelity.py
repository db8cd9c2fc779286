"""Fidelity and trajectories: known angles, projections by hand, real trajectories, records."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from lossnets.errors import ConfigError, DataError
from lossnets.generators import make_population
from lossnets.judging import FidelityResult, Stop, fidelity, fit_images, make_rivals, trajectory
from lossnets.judging.fidelity import compare
from lossnets.judging.fits import FitSettings
from lossnets.judging.trajectories import spread
from lossnets.losses import load_loss

from .small import SETTINGS, images, pgn_of, true_loss

TRUE = true_loss()
Y = images(3, 16)
RIVALS = {r.key: r for r in make_rivals(TRUE, None, Y, only=["true", "mse"])}


def run(factor: float = 1.0, **options: Any) -> FidelityResult:
    settings = {"steps": 4, "looks": 2, "generators": ["deep-decoder"], "scales": (1, 2),
                "generator_settings": SETTINGS, **options}  # fmt: skip
    return fidelity(TRUE, pgn_of(TRUE, factor), Y, **settings)


def first_stop(kind: str, seed: int) -> Stop:
    path = trajectory(kind, RIVALS["true"], Y, steps=0, seed=seed, generator_settings=SETTINGS[kind])
    return next(iter(path))


def test_figures_of_known_vectors() -> None:
    true = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    ours = torch.tensor([[6.0, 8.0], [0.0, 2.0], [1.0, 0.0], [0.0, 0.0]])
    cosine, ratio, error = (v.tolist() for v in compare(ours, true))
    assert cosine[:2] == pytest.approx([1.0, 0.0])
    assert math.isnan(cosine[2])
    assert math.isnan(cosine[3])
    assert [ratio[k] for k in (0, 1, 3)] == pytest.approx([2.0, 2.0, 0.0])
    assert [error[k] for k in (0, 1, 3)] == pytest.approx([1.0, 5**0.5, 1.0])
    assert math.isnan(ratio[2])
    tiny = torch.full((1, 4), 1e-30)
    assert float(compare(tiny, tiny)[0]) == pytest.approx(1)  # squares would vanish in float32


@pytest.mark.parametrize("factor", [1.0, -2.0])
def test_a_network_that_knows_the_gradient_is_found_out(factor: float) -> None:
    result = run(factor)
    for row in result.select(rival="pgn"):
        assert row.cosine == pytest.approx(math.copysign(1, factor), abs=1e-4)
        assert row.norm_ratio == pytest.approx(abs(factor), rel=1e-3)
        assert row.relative_error == pytest.approx(abs(factor - 1), abs=1e-3)
    mse = result.select(rival="mse", space="pixels/1")
    assert all(-1 < row.cosine < 0.999 for row in mse)
    assert {row.driver for row in result.rows} == {"true", "pgn", "mse"}
    assert {row.space for row in result.rows} == {"pixels/1", "pixels/2", "parameters"}
    assert {row.step for row in result.rows} == {0, 4}
    assert len(result.rows) == 3 * 2 * 2 * 3 * 3  # drivers, steps, rivals, spaces, images


def test_scales_are_those_of_averaged_gradients() -> None:
    result = run(drivers=["true"], scales=(4,), looks=1)
    stop = next(
        iter(
            trajectory(
                "deep-decoder", RIVALS["true"], Y, steps=0, generator_settings=SETTINGS["deep-decoder"]
            )
        )
    )
    pooled = [
        r.aim(Y)(stop.images, 0).reshape(3, 3, 4, 4, 4, 4).mean((3, 5)).flatten(1) for r in RIVALS.values()
    ]
    expected = torch.cosine_similarity(pooled[0], pooled[1]).tolist()
    got = [row.cosine for row in result.select(rival="mse", space="pixels/4")]
    assert got == pytest.approx(expected, abs=1e-4)


def test_projection_is_the_gradient_of_each_generators_parameters() -> None:
    options = SETTINGS["image-prior"]
    stop = next(
        iter(trajectory("image-prior", RIVALS["true"], Y, steps=0, seed=3, generator_settings=options))
    )
    projected = stop.project(stop.gradient)
    population = make_population("image-prior", 3, 16, seed=3, **SETTINGS["image-prior"])
    assert projected.shape == (3, sum(p.numel() for p in population.parameters()) // 3)
    for k in range(3):  # only image k pulls: only generator k has a gradient, and it is row k
        alone = torch.zeros_like(stop.gradient)
        alone[k] = stop.gradient[k]
        population.zero_grad()
        population().backward(alone)
        rows = torch.cat([p.grad.reshape(3, -1) for p in population.parameters() if p.grad is not None], 1)
        torch.testing.assert_close(rows[k], projected[k])
        assert float(rows[[j for j in range(3) if j != k]].abs().max()) == 0


def test_trajectories_are_those_of_fits() -> None:
    path = trajectory(
        "deep-decoder",
        RIVALS["true"],
        Y,
        steps=5,
        at=[0, 5],
        seed=2,
        generator_settings=SETTINGS["deep-decoder"],
    )
    stops = list(path)
    fits = fit_images(
        "deep-decoder", RIVALS["true"], TRUE, Y, seed=2, settings=FitSettings(steps=5, generators=SETTINGS)
    )
    assert [stop.step for stop in stops] == [0, 5]
    for stop, point in zip(stops, ("start", "end"), strict=True):
        l1 = (stop.images - Y).abs().mean((1, 2, 3)).tolist()
        assert l1 == pytest.approx([getattr(fit, point).l1 for fit in fits], rel=1e-4)


def test_cosine_has_an_interval_over_images_and_rows_are_records(tmp_path: Path) -> None:
    store = tmp_path / "fidelity.jsonl"
    result = run(store=store, batch=2)
    found = result.cosine("mse")
    values = [row.cosine for row in result.select(rival="mse", space="pixels/1")]
    assert found.value == pytest.approx(sum(values) / len(values))
    assert found.low < found.value < found.high
    rows = result.summary()
    assert [(row.driver, row.rival, row.space) for row in rows[:3]] == [
        ("true", "pgn", "pixels/1"), ("true", "pgn", "pixels/2"), ("true", "pgn", "parameters"),
    ]  # fmt: skip
    assert rows[-1].driver == "all"
    assert rows[-1].count == 3 * 2 * 3
    assert rows[-1].undefined == 0
    back = FidelityResult.from_dict(json.loads(json.dumps(result.as_dict(), allow_nan=False)))
    assert back == result
    assert len(result.table()) == len(rows)
    assert len(result.frame()) == len(result.rows)
    assert len(store.read_text().splitlines()) == 6  # drivers, batches
    again = run(store=store, batch=2)
    assert again == result
    assert len(store.read_text().splitlines()) == 6


def test_gradients_that_are_zero_are_counted_not_hidden() -> None:
    mse = load_loss("pixel:mse")
    result = fidelity(
        mse, pgn_of(mse, 0.0), Y, steps=1, looks=1, generators=["deep-decoder"], drivers=["mse"], scales=(1,),
        rivals=["pgn"], generator_settings=SETTINGS,
    )  # fmt: skip
    row = result.summary()[0]
    assert (row.undefined, row.count) == (3, 3)
    assert math.isnan(row.cosine)
    assert row.norm_ratio == 0
    assert row.relative_error == 1
    assert "no gradient there" in result.cosine("pgn").note


def test_errors() -> None:
    with pytest.raises(
        ConfigError, match=r"trajectories are of deep-decoder or image-prior.*got 'autoencoder'"
    ):
        run(generators=["autoencoder"])
    with pytest.raises(ConfigError, match=r"scales must be sides of squares from 1 to 16; got \[32\]"):
        run(scales=[32])
    with pytest.raises(ConfigError, match=r"at must be steps from 0 to 3, at least one; got \[9\]"):
        trajectory("deep-decoder", RIVALS["mse"], Y, steps=3, at=[9])
    with pytest.raises(DataError, match=r"FidelityRow has the entries .*; got \['a'\]"):
        FidelityResult.from_dict({"columns": ["a"], "rows": [[1]], "settings": {}})

    with pytest.raises(DataError, match="no figures of fidelity"):
        FidelityResult.from_dict({})


def test_spread() -> None:
    assert spread(100, 1) == [0]
    assert spread(3, 9)[-1] == 3
