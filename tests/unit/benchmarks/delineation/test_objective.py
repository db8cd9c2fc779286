"""What is minimised: by hand, with the label encoded once, in float32."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lossnets.benchmarks.delineation.network import Delineator
from lossnets.benchmarks.delineation.objective import added_term, bce, objective, step_weights
from lossnets.errors import ConfigError
from lossnets.losses import load_loss


@pytest.mark.parametrize("refinements", [1, 2, 3, 7])
def test_weights_of_refinements_add_up_to_1_and_grow(refinements: int) -> None:
    weights = step_weights(refinements)
    assert len(weights) == refinements
    assert sum(weights) == pytest.approx(1)
    assert weights[-1] == pytest.approx(2 / (refinements + 1))
    assert all(b / weights[0] == pytest.approx(k) for k, b in enumerate(weights, start=1))


def test_no_refinement_is_refused() -> None:
    with pytest.raises(ConfigError, match="refinements must be at least 1; got 0"):
        step_weights(0)


def _case(refinements: int = 3) -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(1)
    steps = [torch.randn(2, 1, 32, 32, generator=generator) for _ in range(refinements)]
    return steps, (torch.rand(2, 1, 32, 32, generator=generator) > 0.8).float()


def test_the_objective_by_hand() -> None:
    steps, label = _case()
    loss = load_loss("pixel:mse")
    made = objective(steps, label, loss, 0.01)
    expected = entropy = added = 0.0
    for k, logits in enumerate(steps, start=1):
        p = logits.double().sigmoid()
        cross = -(label * p.log() + (1 - label) * (1 - p).log()).mean()
        squared = ((p - label) ** 2).mean()
        entropy += k / 6 * float(cross)
        added += k / 6 * float(squared)
        expected += k / 6 * float(cross + 0.01 * squared)
    assert float(made["loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(made["bce"]) == pytest.approx(entropy, rel=1e-5)
    assert float(made["term"]) == pytest.approx(added, rel=1e-5)


def test_the_term_is_the_features_of_the_grey_maps_repeated() -> None:
    steps, label = _case(1)
    loss = load_loss("squeezenet1_1/features.1:weights=random-0", reduction="mean")
    made = objective(steps, label, loss, 0.01)
    expected = loss(steps[0].sigmoid().repeat(1, 3, 1, 1), label.repeat(1, 3, 1, 1))
    assert float(made["term"]) == pytest.approx(float(expected), rel=1e-5)
    assert float(expected) > 0


def test_the_label_is_encoded_once_for_all_refinements(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = load_loss("pixel:mse")
    encoded = []
    original = type(loss).encode
    monkeypatch.setattr(
        type(loss), "encode", lambda self, target: encoded.append(1) or original(self, target)
    )
    steps, label = _case(5)
    objective(steps, label, loss, 0.01)
    assert len(encoded) == 1


def test_cross_entropy_alone_adds_nothing() -> None:
    class Named:
        name = "pixel:bce"

    assert added_term(Named()) is None  # type: ignore[arg-type]
    loss = load_loss("pixel:mse")
    assert added_term(loss) is loss
    steps, label = _case()
    assert set(objective(steps, label, None, 0.01)) == {"loss", "bce"}
    assert float(objective(steps, label, None, 0.01)["loss"]) == pytest.approx(
        float(objective(steps, label, loss, 0.0)["loss"])
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_cross_entropy_is_finite_for_sure_and_wrong_predictions(dtype: torch.dtype) -> None:
    logits = torch.tensor([[[[200.0, -200.0]]]], dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        value = bce(logits, torch.tensor([[[[0.0, 1.0]]]]))
    assert value.dtype == torch.float32
    assert float(value) == pytest.approx(200)
    assert float(bce(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))) == pytest.approx(math.log(2))


def test_mixed_precision_gives_nearly_the_same_and_float32_logits() -> None:
    model = Delineator(2, (4, 6, 8, 10)).eval()
    images, label = torch.rand(1, 3, 32, 32), (torch.rand(1, 1, 32, 32) > 0.5).float()
    exact = objective(model(images), label, load_loss("pixel:mse"), 0.01)["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        steps = model(images)
        rough = objective(steps, label, load_loss("pixel:mse"), 0.01)["loss"]
    assert steps[-1].dtype == rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=0.02)


def test_a_nan_prediction_is_left_to_the_engine() -> None:
    made = objective(
        [torch.full((1, 1, 16, 16), torch.nan)], torch.zeros(1, 1, 16, 16), load_loss("pixel:mse"), 1
    )
    assert math.isnan(float(made["loss"]))
