"""Rivals: every field against a few plain lines of autograd, names that can be pasted, errors."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lossnets.errors import ConfigError, ImageError, UnknownNameError
from lossnets.judging import Rival, cut_loss, make_rivals
from lossnets.judging.cuts import as_python
from lossnets.judging.rivals import SMALL, mse_weight, per_image
from lossnets.losses import LPIPS, PerceptualLoss, load_loss

from .small import images, pgn_of, true_loss

TRUE = true_loss()
Y = images(2, 32)
X = images(2, 32, seed=1)


def rivals(**options: object) -> dict[str, Rival]:
    return {r.key: r for r in make_rivals(TRUE, pgn_of(TRUE), Y, **options)}  # type: ignore[arg-type]


def by_hand(value: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(value, x)[0]


def test_all_rivals_in_order_with_letters() -> None:
    found = rivals()
    letters = {key: rival.record.letter for key, rival in found.items()}
    assert letters == {
        "true": "a", "pgn": "b", "pgn+mse": "d", "mse": "c", "l1": "i", "cut-1": "e", "cut-2": "e",
        "half": "f", "crop": "g", "every-2": "h", "every-4": "h",
    }  # fmt: skip
    assert [key for key, r in found.items() if not r.record.plain] == ["true", "pgn", "pgn+mse"]
    assert {key: r.record.period for key, r in found.items() if r.record.period > 1} == {
        "every-2": 2,
        "every-4": 4,
    }
    assert len({r.record.signature for r in found.values()}) == len(found)


@pytest.mark.parametrize("key", ["true", "mse", "l1", "cut-1", "cut-2", "half", "every-2", "pgn+mse", "pgn"])
def test_fields_are_gradients_of_what_they_say(key: str) -> None:
    x = X.clone().requires_grad_()
    taps = {"cut-1": 1, "cut-2": 2}.get(key, 3)
    own = PerceptualLoss(
        "squeezenet1_1", dict(list(TRUE.tap_weights.items())[:taps]), distance="l1", weights="random-1",
        reduction="sum",
    )  # fmt: skip
    if key == "mse":
        value = F.mse_loss(x, Y) * 2  # the sum over two images of the loss of each
    elif key == "l1":
        value = F.l1_loss(x, Y) * 2
    elif key == "half":
        value = own(F.avg_pool2d(x, 2), F.avg_pool2d(Y, 2))
    else:
        value = own(x, Y)
    expected = by_hand(value, x)
    if key == "pgn+mse":
        weight = mse_weight(pgn_of(TRUE), Y, SMALL)
        expected = expected + weight * 2 * (X - Y) / Y[0].numel()
    got = rivals(only=[key])[key].aim(Y)(X, 0)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-9)
    assert not got.requires_grad
    assert float(got.abs().max()) > 0


def test_every_k_steps_the_true_loss_and_weighted_mse_between() -> None:
    rival = rivals(every=(3,), small=0.5)["every-3"]
    weight = mse_weight(TRUE, Y, 0.5)
    field, true = rival.aim(Y), rivals()["true"].aim(Y)
    for step in (0, 3, 6):
        torch.testing.assert_close(field(X, step), true(X, step))
    for step in (1, 2, 4):
        torch.testing.assert_close(field(X, step), weight * 2 * (X - Y) / Y[0].numel())
    assert f"{weight:g}·MSE" in rival.record.title
    assert f"step % 3 == 0 else {weight:g} * F.mse_loss(x, y)" in rival.record.python


def test_weight_of_mse_gives_its_gradient_the_length_asked_for() -> None:
    blurred = F.interpolate(F.avg_pool2d(Y, 4), 32, mode="bilinear", align_corners=False)
    found = rivals()
    lengths = [found[key].aim(Y)(blurred, 0).flatten(1).norm(dim=1) for key in ("true", "mse")]
    ratio = float((lengths[0] / lengths[1]).median())
    assert mse_weight(TRUE, Y, 0.1) == pytest.approx(0.1 * ratio, rel=0.05)


def test_crops_move_with_seed_and_step_and_are_gradients_of_the_crop() -> None:
    rival = rivals()["crop"]
    field = rival.aim(Y, seed=5)
    first = field(X, 0)
    rows, columns = first.abs().sum((0, 1, 3)).nonzero(), first.abs().sum((0, 1, 2)).nonzero()
    top, left = int(rows.min()), int(columns.min())
    assert int(rows.max()) - top < 16
    assert int(columns.max()) - left < 16
    torch.testing.assert_close(field(X, 0), first)
    torch.testing.assert_close(rival.aim(Y[:1], seed=5)(X[:1], 0), first[:1])  # not what else is in the batch
    assert any(not torch.equal(field(X, step), first) for step in range(1, 4))
    assert any(not torch.equal(rival.aim(Y, seed=6)(X, step), field(X, step)) for step in range(4))
    places = {tuple(field(X, s).abs().sum((0, 1)).nonzero()[0].tolist()) for s in range(30)}
    assert len(places) > 5
    # by hand, at the place that it was: any 16×16 window that holds the gradient gives it
    matches = 0
    for t in range(17):
        for c in range(17):
            if t <= top and left >= c and int(rows.max()) < t + 16 and int(columns.max()) < c + 16:
                x = X.clone().requires_grad_()
                window = (..., slice(t, t + 16), slice(c, c + 16))
                value = per_image(TRUE)(x[window], Y[window]).sum()
                matches += torch.allclose(by_hand(value, x), first, rtol=1e-4, atol=1e-9)
    assert matches >= 1


def test_odd_sides() -> None:
    x, y = images(1, 33, seed=2), images(1, 33, seed=3)
    found = {r.key: r for r in make_rivals(TRUE, None, y, only=["half", "crop"])}
    assert float(found["half"].aim(y)(x, 0)[..., -1, :].abs().max()) > 0  # the last row counts
    assert found["crop"].aim(y)(x, 0).shape == y.shape


def test_names_paste_back_to_the_same_gradient() -> None:
    x = X.clone().requires_grad_()
    for key, rival in rivals(only=["e", "true", "mse", "l1"]).items():
        expected = rival.aim(Y)(X, 0)
        named = load_loss(rival.record.loss, reduction="sum")
        torch.testing.assert_close(by_hand(named(x, Y), x), expected, msg=key)
        pasted = eval(rival.record.python, {"PerceptualLoss": PerceptualLoss, "load_loss": load_loss})
        torch.testing.assert_close(by_hand(pasted(x, Y) * 2, x), expected, msg=key)


def test_cut_keeps_everything_but_the_taps() -> None:
    true = true_loss(reduction="none", data_range=(-1.0, 1.0), pooling="avg", normalize_input=False)
    cut = cut_loss(true, 2)
    assert (
        str(cut)
        == "squeezenet1_1/features.1,features.3=0.5:spatial-l1:weights=random-1:pooling=avg:input=raw"
    )
    x, y = 2 * X - 1, 2 * Y - 1
    parts = true(x, y, per_tap=True)
    torch.testing.assert_close(cut(x, y), parts["features.1"] + parts["features.3"])
    assert as_python(cut) == (
        "PerceptualLoss('squeezenet1_1', {'features.1': 1.0, 'features.3': 0.5}, distance='spatial-l1', "
        "weights='random-1', pooling='avg', normalize_input=False)"
    )


def test_cut_of_lpips_keeps_its_head() -> None:
    true = LPIPS("squeeze", weights="random-0", reduction="none")
    cut = cut_loss(true, 2)
    parts = list(true(X, Y, per_tap=True).values())
    torch.testing.assert_close(cut(X, Y), parts[0] + parts[1])
    found = {r.key: r for r in make_rivals(true, None, Y, only=["cut-2"])}
    assert found["cut-2"].record.loss == ""
    assert found["cut-2"].record.python == "cut_loss(load_loss('lpips:squeezenet1_1:weights=random-0'), 2)"
    pasted = eval(found["cut-2"].record.python, {"cut_loss": cut_loss, "load_loss": load_loss})
    torch.testing.assert_close(pasted(X, Y), cut(X, Y).mean())


def test_the_callers_loss_stays_as_it_is() -> None:
    true = true_loss(data_range=(-1.0, 1.0), reduction="sum", validate="first")
    field = next(r for r in make_rivals(true, None, Y) if r.key == "true").aim(Y)
    torch.testing.assert_close(field(X, 0), rivals()["true"].aim(Y)(X, 0))  # judged in [0, 1] all the same
    assert (true.reduction, true.validate, true.data_range) == ("sum", "first", (-1.0, 1.0))


def test_losses_without_taps_have_no_cuts_and_own_losses_stand_beside() -> None:
    found = make_rivals(load_loss("pixel:ssim"), None, Y, extra={"mine": load_loss("pixel:l2")})
    assert [r.key for r in found] == ["true", "mse", "l1", "half", "crop", "every-2", "every-4", "mine"]
    assert found[-1].record.letter == "j"
    assert not found[-1].record.plain


def test_errors() -> None:
    with pytest.raises(UnknownNameError, match=r"rival 'cut-9' is not known.*'cut-1'"):
        rivals(only=["cut-9"])
    with pytest.raises(ConfigError, match=r"cuts must be numbers of taps from 1 to 2 .*has 3; got 3"):
        rivals(cuts=[3])
    with pytest.raises(ConfigError, match=r"every must be periods of 2 steps or more; got \[1\]"):
        rivals(every=[1])
    with pytest.raises(ConfigError, match="small must be a positive share; got 0"):
        rivals(small=0)
    with pytest.raises(ConfigError, match="keys of their own"):
        rivals(extra={"mse": TRUE})
    with pytest.raises(ImageError, match=r"must lie in \[0, 1\]; got values from -0.4 to"):
        make_rivals(TRUE, None, Y - float(Y.min()) - 0.4)
    with pytest.raises(ImageError, match=r"must be a tensor \(N, 3, H, W\)"):
        make_rivals(TRUE, None, Y[0])
    with pytest.raises(ImageError, match="floating point"):
        make_rivals(TRUE, None, (Y * 255).to(torch.uint8))
    with pytest.raises(ImageError, match=r"must be float32.*got torch.float64: call .float\(\)"):
        make_rivals(TRUE, None, Y.double())
    with pytest.raises(ConfigError, match=r"no weight of MSE beside .* can be found"):
        make_rivals(TRUE, None, torch.full((1, 3, 32, 32), 0.5))
    half = rivals()["half"]
    assert half.record.smallest == 2 * TRUE.min_size
    small = images(1, half.record.smallest - 1)
    with pytest.raises(ImageError, match=r"half resolution needs images of at least .* leave 'half' out"):
        half.aim(small)


def test_nothing_is_weighed_that_was_not_asked_for() -> None:
    flat = torch.full((1, 3, 32, 32), 0.5)
    assert [r.key for r in make_rivals(TRUE, None, flat, only=["cut-1"])] == ["true", "mse", "cut-1"]
