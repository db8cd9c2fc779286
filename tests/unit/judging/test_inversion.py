"""Inversion: latents are found, the generator stays as it is, every rival starts where MSE ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lossnets.errors import ConfigError, ImageError
from lossnets.judging import EffectResult, InversionSettings, inversion
from lossnets.losses import load_loss

from .small import images, pgn_of, true_loss

TRUE = true_loss()
SETTINGS = InversionSettings(fit_steps=20, steps=10, learning_rate=0.1, points=2)


def decoder(dropout: float = 0.0) -> nn.Module:
    """Latents (N, 6) -> images (N, 3, 16, 16) in [0, 1]."""
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Linear(6, 48), nn.Unflatten(1, (3, 4, 4)), nn.BatchNorm2d(3), nn.Upsample(scale_factor=4),
        nn.Conv2d(3, 3, 3, padding=1), nn.Dropout(dropout), nn.Sigmoid(),
    )  # fmt: skip


G = decoder()
LATENTS = torch.zeros(3, 6)
Y = images(3, 16)


def run(generator: nn.Module = G, **options: Any) -> EffectResult:
    return inversion(generator, LATENTS, Y, TRUE, pgn_of(TRUE), **{"settings": SETTINGS, **options})


def test_rivals_start_where_mse_ended_and_follow_their_own_gradient() -> None:
    result = run(
        settings=InversionSettings(20, 10, 0.1, pgn_mse=1.0, cuts=(1,), points=2), names=["a", "b", "c"]
    )
    assert [(r.key, r.letter) for r in result.rivals] == [
        ("true", "a"),
        ("pgn", "b"),
        ("mse", "c"),
        ("cut-1", "e"),
    ]
    for image in "abc":
        assert len({f.start for f in result.fits if f.image == image}) == 1
    ends = {k: result.values("inversion", k).mean() for k in ("true", "pgn", "mse", "cut-1")}
    assert ends["true"] < ends["mse"]
    assert ends["pgn"] == pytest.approx(
        ends["true"], rel=1e-2
    )  # it knows the gradient, and MSE has weight 1 too
    assert result.gap("inversion", "pgn").value == pytest.approx(1, abs=0.1)
    assert result.rival("true").title == "true loss + 1·MSE"
    assert "+ 1 * F.mse_loss(x / std, y / std)" in result.rival("cut-1").python


def test_mse_phase_and_refinement_against_plain_pytorch() -> None:
    result = run()
    generator = decoder().eval()
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)

    def refine(latents: Tensor, steps: int, loss: Any) -> Tensor:
        z = latents.clone().requires_grad_()
        optimiser = torch.optim.Adam([z], 0.1)
        for _ in range(steps):
            optimiser.zero_grad()
            loss(generator(z)).backward()
            optimiser.step()
        return z.detach()

    start = refine(LATENTS, 20, lambda x: (x - Y).square().mean((1, 2, 3)).sum())
    true = true_loss(reduction="sum")
    end = refine(start, 10, lambda x: true(x, Y) + ((x - Y) / std).square().mean((1, 2, 3)).sum())
    expected = true_loss(reduction="none")(generator(end), Y)
    assert result.values("inversion", "true")[:, 0] == pytest.approx(expected.detach().numpy(), rel=1e-3)
    l1 = (generator(start) - Y).abs().mean((1, 2, 3)).tolist()
    assert [f.start.l1 for f in result.fits if f.rival == "mse"] == pytest.approx(l1, rel=1e-4)


def test_the_generator_is_used_in_eval_mode_and_given_back_as_it_was() -> None:
    generator = decoder(dropout=0.5).train()
    generator[0].weight.requires_grad_(False)
    generator[2].eval()
    before = {k: v.clone() for k, v in generator.state_dict().items()}
    first = run(generator)
    assert first.fits[0].curve == run(generator).fits[0].curve  # dropout sleeps
    assert generator.training
    assert generator[5].training
    assert not generator[2].training
    assert [p.requires_grad for p in generator[0].parameters()] == [False, True]
    assert all(p.grad is None for p in generator.parameters())
    assert all(torch.equal(v, before[k]) for k, v in generator.state_dict().items())


def test_resumes_at_the_same_latents(tmp_path: Path) -> None:
    store = tmp_path / "inversion.jsonl"
    texts: list[str] = []
    whole = run(store=store, progress=lambda done, count, text: texts.append(f"{done}/{count} {text}"))
    assert texts == [
        "0/4 MSE, from the latents given",
        "1/4 true loss + 1·MSE",
        "2/4 PGN + 20·MSE",
        "3/4 MSE",
        "4/4 done",
    ]
    lines = store.read_text().splitlines()
    assert len(lines) == 4
    store.write_text("\n".join(lines[:2]) + "\n")
    again = run(store=store)
    assert [f.curve for f in again.fits] == [f.curve for f in whole.fits]
    assert store.read_text().splitlines()[:2] == lines[:2]
    back = EffectResult.from_dict(json.loads(json.dumps(again.as_dict(), allow_nan=False)))
    assert back == again
    torch.manual_seed(6)
    other = nn.Sequential(*list(decoder())[:-1], nn.Sigmoid())
    other[0].weight.data.add_(0.1)
    run(other, store=store)  # another generator: nothing is taken up
    assert len(store.read_text().splitlines()) == 8


def test_losses_without_a_space_of_their_own() -> None:
    result = inversion(G, LATENTS, Y, load_loss("pixel:l1"), None, settings=SETTINGS)
    assert [r.key for r in result.rivals] == ["true", "mse"]
    assert result.rival("true").python == "load_loss('pixel:l1')(x, y) + 1 * F.mse_loss(x, y)"


def test_errors() -> None:
    with pytest.raises(ImageError, match=r"must make images in \[0, 1\]; got values from .* Wrap it"):
        run(nn.Sequential(*list(decoder())[:-1]))
    with pytest.raises(ImageError, match=r"must map latents .* to images \(3, 3, H, W\); got \(3, 48\)"):
        run(nn.Linear(6, 48))
    with pytest.raises(ImageError, match=r"makes images \(3, 3, 32, 32\), the targets are \(3, 3, 16, 16\)"):
        run(nn.Sequential(decoder(), nn.Upsample(scale_factor=2)))
    with pytest.raises(ConfigError, match=r"latents must be .*, one for each of 3 images; got \(2, 6\)"):
        inversion(G, LATENTS[:2], Y, TRUE, None, settings=SETTINGS)
    with pytest.raises(ConfigError, match="pgn_mse must be a weight, 0 or more; got -1"):
        InversionSettings(pgn_mse=-1)
    with pytest.raises(ConfigError, match="steps must be a whole number, 1 or more; got 0"):
        InversionSettings(fit_steps=0)
