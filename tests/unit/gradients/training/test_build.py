"""The network before training: its space, its size of field, its first layers; panels; progress; devices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from lossnets import PerceptualLoss
from lossnets.errors import ConfigError
from lossnets.gradients import DistilledGradientNetwork, proxy_of_gradient
from lossnets.gradients.training import PGNConfig, TrainingProgress
from lossnets.gradients.training.build import _blurred, initial_network
from lossnets.gradients.training.objective import Predicted, log_ratios
from lossnets.gradients.training.panels import COLUMNS, panel, write_panel
from lossnets.gradients.training.run import check_device
from lossnets.gradients.training.truth import training_loss, true_gradient
from lossnets.networks import load_network

LOSS = "squeezenet1_1/features.1,features.3:lpips:weights=random-0"
Tiny = Callable[..., PGNConfig]


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_a_measured_scale_puts_the_true_proxy_target_as_far_as_y(tiny: Tiny, crops: torch.Tensor) -> None:
    loss = training_loss(LOSS)
    net = initial_network(loss, tiny(grad_scale=0), crops)
    images = _blurred(crops)
    _, true = true_gradient(loss, images, crops, net.std)
    x, y = net.normalise(images), net.normalise(crops)
    t = proxy_of_gradient(x, true, net.architecture.grad_scale)
    assert float(log_ratios(t - x, y - x).mean()) == pytest.approx(0, abs=1e-4)
    assert initial_network(loss, tiny(grad_scale=0.5), crops).architecture.grad_scale == 0.5


def test_the_space_is_that_of_the_loss_network(tiny: Tiny, crops: torch.Tensor) -> None:
    own = load_network(
        "squeezenet1_1", ["features.1"], weights="random-0", mean=(0.1, 0.2, 0.3), std=(1, 2, 3)
    )
    net = initial_network(training_loss(PerceptualLoss(own)), tiny(), crops)
    assert net.architecture.mean == pytest.approx((0.1, 0.2, 0.3))
    assert net.architecture.std == pytest.approx((1, 2, 3))
    plain = initial_network(training_loss("pixel:l1"), tiny(), crops)
    assert plain.architecture.mean == (0.485, 0.456, 0.406)


def test_a_distilled_loss_starts_as_the_first_layers_with_a_field_of_the_right_size(
    tiny: Tiny, crops: torch.Tensor
) -> None:
    loss = training_loss(LOSS)
    net = initial_network(loss, tiny(backbone="distilled", first_taps=1), crops)
    assert isinstance(net, DistilledGradientNetwork)
    settings = net.architecture.settings
    assert (settings["network"], settings["taps"], settings["widths"]) == (
        "squeezenet1_1",
        ["features.1"],
        [6],
    )
    assert settings["distance"] == "unit-spatial-sum"
    assert torch.equal(
        net.first.state_dict()["stages.0.features.0.weight"],
        loss.network.state_dict()["stages.0.features.0.weight"],
    )
    images = _blurred(crops)
    _, true = true_gradient(loss, images, crops, net.std)
    with torch.no_grad():
        ours = net.gradient(net.normalise(images), net.normalise(crops))
    assert float(log_ratios(ours, true).mean()) == pytest.approx(0, abs=1e-3)


def test_the_seed_draws_the_weights(tiny: Tiny, crops: torch.Tensor) -> None:
    loss = training_loss("pixel:mse")
    a, b, c = (initial_network(loss, tiny(seed=seed), crops).state_dict() for seed in (0, 0, 1))
    assert torch.equal(a["backbone.stem.weight"], b["backbone.stem.weight"])
    assert not torch.equal(a["backbone.stem.weight"], c["backbone.stem.weight"])


def test_what_cannot_be_distilled(tiny: Tiny, crops: torch.Tensor) -> None:
    with pytest.raises(
        ConfigError, match="takes its first layers from the loss network, and pixel:l1 has none"
    ):
        initial_network(training_loss("pixel:l1"), tiny(backbone="distilled"), crops)
    state = load_network("squeezenet1_1", weights="random-1").state_dict()
    assert state
    custom = training_loss("squeezenet1_1/features.1:weights=random-1")
    custom.network.origin = "custom"
    with pytest.raises(ConfigError, match="are not in a file"):
        initial_network(custom, tiny(backbone="distilled"), crops)
    with pytest.raises(ConfigError, match="do not fit"):
        initial_network(training_loss("pixel:l1"), tiny(settings={"depth": 3}), crops)
    for settings, text in (({"width": [3]}, "'width'.*widths"), ({"network": "squeezenet1_1"}, "'taps'")):
        with pytest.raises(ConfigError, match=f"settings of a distilled loss do not fit.*{text}"):
            initial_network(training_loss(LOSS), tiny(backbone="distilled", settings=settings), crops)


def test_flat_crops_leave_nothing_to_measure(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="zero or not finite"):
        initial_network(training_loss("pixel:mse"), tiny(grad_scale=0), torch.full((2, 3, 32, 32), 0.5))


def test_a_panel_has_a_row_for_each_image_and_the_images_in_it(
    tiny: Tiny, crops: torch.Tensor, tmp_path: Path
) -> None:
    net = initial_network(training_loss("pixel:mse"), tiny(grad_scale=1.0), crops).eval()
    x, y = net.normalise(_blurred(crops)), net.normalise(crops)
    with torch.no_grad():
        value, gradient = net.predict(x, net.encode(y))
    _, true = true_gradient(training_loss("pixel:mse"), _blurred(crops), crops, net.std)
    p = Predicted(x, y, value, gradient, value, true, None, None, ((4, None),))  # type: ignore[arg-type]
    pictures = panel(p, net)
    assert pictures.shape == (4, len(COLUMNS), 3, 32, 32)
    assert torch.allclose(pictures[:, 0], crops, atol=1e-5)
    assert torch.allclose(pictures[:, 1], _blurred(crops), atol=1e-5)
    assert torch.allclose(pictures[:, 2], net.denormalise(net.proxy(x, y)).clamp(0, 1), atol=1e-4)
    assert 0 <= float(pictures.min()) <= float(pictures.max()) <= 1
    assert float(pictures[:, 4].mean()) == pytest.approx(0.5, abs=0.1)
    write_panel(tmp_path / "p.png", pictures, "step 1")
    with Image.open(tmp_path / "p.png") as image:
        assert image.size == (6 * (128 + 4) + 4, 32 + 4 * (128 + 4))


def test_progress_in_one_line_and_back_from_a_row() -> None:
    told = TrainingProgress(40, 100, 0.5, 0.25, 0.9, 1.5, 20.0, 200, 10.0, 30.0, {"matching": 0.1})
    assert str(told) == (
        "step 40/100, meta-loss 0.5, cosine 0.250, norm ratio 0.90, true loss 1.5, 20.0 samples/s, "
        "0.5 min left"
    )
    assert TrainingProgress.from_row(told.row(), 20, 100) == told
    assert str(TrainingProgress(0, 9)) == "step 0/9"


@pytest.mark.parametrize(
    ("device", "devices", "text"),
    [
        ("gpu", 1, "device must be like 'cpu', 'cuda', 'cuda:1' or 'mps'; got 'gpu'"),
        ("cpu:1", 1, "device must be like"),
        ("cuda:0", 2, "devices must be 1 or more, and 1 with a numbered device"),
        ("cpu", 0, "devices must be 1 or more"),
        ("cuda:99", 1, "needs more than the"),
        (None, 1, "device must be like 'cpu', .*; got None"),
        ("cpu", "2", "devices must be a whole number, 1 or more; got '2'"),
    ],
)
def test_devices_that_are_not_here(device: str, devices: int, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_device(device, devices)
