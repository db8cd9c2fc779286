"""One exam for every kind of loss: known numbers, batches, reductions, gradients, encoded targets."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lossnets.errors import ConfigError, EncodingError, LossnetsError
from lossnets.losses import ImageLoss, load_loss, parse_loss

from .cases import CASES, NAMED, SQUEEZE, Case, built, fresh, ids, pair, tiny_loss

PLAIN = next(case for case in CASES if case.name == "spatial")
every = pytest.mark.parametrize("case", CASES, ids=ids)


def gradient(loss: ImageLoss, x: Tensor, target: object) -> Tensor:
    x = x.clone().requires_grad_()
    loss(x, target).sum().backward()
    assert x.grad is not None
    return x.grad


@every
def test_name_identifies_the_loss(case: Case) -> None:
    loss = built(case)
    assert loss.name == str(loss) == str(loss.spec)
    assert loss.signature() == case.make(reduction="sum", data_range=(-1, 1)).signature()
    if case.named:
        assert parse_loss(str(loss)) == loss
        assert loss == parse_loss(str(loss))
        assert load_loss(str(loss)).signature() == loss.signature()
    else:  # built of objects, which no text can name: loading by that text must not give another loss
        with pytest.raises(LossnetsError):
            load_loss(str(loss))


def test_names_and_signatures_are_all_different() -> None:
    assert len({str(built(case)) for case in CASES}) == len(CASES)
    assert len({built(case).signature() for case in CASES}) == len(CASES)


def test_signatures_follow_tensors_code_and_functions() -> None:
    base = tiny_loss("1")
    assert tiny_loss("1").signature() == base.signature()
    assert tiny_loss("1", bias=False).signature() != base.signature()
    double = tiny_loss("1", distance=lambda a, b: (a - b).abs().mean((1, 2, 3)))
    other = tiny_loss("1", distance=lambda a, b: (a - b).square().mean((1, 2, 3)))
    assert double.signature() != other.signature()
    assert double.name == other.name  # both are a <lambda>


@every
def test_equal_images_give_zero_and_others_do_not(case: Case) -> None:
    x, y = pair(case)
    loss = built(case, reduction="none")
    # Exactly 0 but for the last digit of 1 - SSIM, and of a feature divided by its length.
    bound = 1e-6 if case.name == "pixel-ssim" else 1e-12
    assert float(loss(x, x.clone()).abs().max()) <= bound
    assert float(loss(x, y).min()) > 1e-6


@every
def test_symmetric(case: Case) -> None:
    if not case.symmetric:
        pytest.skip("target and input play different parts")
    x, y = pair(case)
    loss = built(case, reduction="none")
    torch.testing.assert_close(loss(x, y), loss(y, x), rtol=2e-5, atol=1e-9)


@every
def test_batch_is_the_stack_of_singles(case: Case) -> None:
    x, y = pair(case, count=3)
    loss = built(case, reduction="none")
    singles = torch.cat([loss(x[i : i + 1], y[i : i + 1]) for i in range(3)])
    tolerance = 0.02 if case.name == "bf16" else 2e-5
    torch.testing.assert_close(loss(x, y), singles, rtol=tolerance, atol=1e-9)


@every
def test_reductions(case: Case) -> None:
    x, y = pair(case, count=3)
    each = built(case, reduction="none")(x, y)
    assert each.shape == (3,)
    assert each.dtype == torch.float32
    assert built(case)(x, y).shape == ()
    torch.testing.assert_close(built(case)(x, y), each.mean())
    torch.testing.assert_close(built(case, reduction="sum")(x, y), each.sum())


@every
def test_taps_add_up(case: Case) -> None:
    x, y = pair(case)
    loss = built(case, reduction="none")
    taps = loss(x, y, per_tap=True)
    assert list(taps) == [name for name, _ in getattr(loss.spec, "taps", ())] or list(taps) == ["pixel"]
    torch.testing.assert_close(sum(taps.values()), loss(x, y))


@every
def test_gradient_reaches_the_input_and_only_what_asks_for_one(case: Case) -> None:
    x, y = pair(case)
    x.requires_grad_()
    built(case)(x, y).backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())
    assert float(x.grad.abs().max()) > 0
    assert y.grad is None


@every
def test_gradient_reaches_the_target_if_it_requires_one(case: Case) -> None:
    if not case.symmetric:
        pytest.skip("target and input play different parts")
    x, y = pair(case)
    expected = gradient(built(case), y, x)  # symmetric: the roles are exchanged
    y.requires_grad_()
    built(case)(x, y).backward()
    assert y.grad is not None
    tolerance = 0.1 if case.name == "bf16" else 1e-4
    scale = float(expected.abs().max())
    torch.testing.assert_close(y.grad, expected, rtol=tolerance, atol=tolerance * scale)


@every
def test_gradient_mode_of_the_caller_is_obeyed(case: Case) -> None:
    x, y = (t.requires_grad_() for t in pair(case))
    loss = built(case)
    with torch.no_grad():
        assert not loss(x, y).requires_grad
    with torch.inference_mode():
        assert not loss(x, y).requires_grad
    assert loss(x, y).requires_grad
    assert not loss(*pair(case)).requires_grad  # nobody asks for a gradient


@every
def test_inputs_are_left_as_they_are(case: Case) -> None:
    x, y = pair(case)
    before = x.clone(), y.clone()
    x.requires_grad_()
    loss = built(case)
    loss(x, y).backward()
    loss(x, loss.encode(y)).backward()
    assert (x._version, y._version) == (0, 0)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])
    assert x.is_contiguous()


@every
def test_encoded_target_gives_the_same_value_and_gradient(case: Case) -> None:
    x, y = pair(case)
    loss = built(case, reduction="none")
    encoded = loss.encode(y)
    torch.testing.assert_close(loss(x, encoded), loss(x, y), rtol=2e-5, atol=1e-9)
    torch.testing.assert_close(gradient(loss, x, encoded), gradient(loss, x, y), rtol=1e-4, atol=1e-7)
    taps = loss(x, encoded, per_tap=True)
    torch.testing.assert_close(sum(taps.values()), loss(x, encoded))
    assert len(encoded) == 2
    assert encoded.nbytes > 0


@every
def test_parts_of_an_encoded_target(case: Case) -> None:
    x, y = pair(case, count=3)
    loss = built(case, reduction="none")
    encoded = loss.encode(y)
    whole = loss(x, encoded)
    tolerance = 0.02 if case.name == "bf16" else 2e-5
    for cut in (slice(0, 1), slice(1, None), slice(-2, None), slice(None)):
        torch.testing.assert_close(loss(x[cut], encoded[cut]), whole[cut], rtol=tolerance, atol=1e-9)
    with pytest.raises(EncodingError, match="images in a row"):
        encoded[::2]
    with pytest.raises(EncodingError, match="slices"):
        encoded[0]  # type: ignore[index]


@every
def test_encoded_targets_do_not_fit_other_images(case: Case) -> None:
    x, y = pair(case, count=2)
    loss = built(case)
    with pytest.raises(EncodingError, match=r"the encoded target is of images \(1, .*got input \(2, "):
        loss(x, loss.encode(y[:1]))


@every
def test_target_encoded_in_inference_mode_serves_training(case: Case) -> None:
    x, y = pair(case)
    loss = built(case)
    with torch.inference_mode():
        encoded = loss.encode(y + 0)
    torch.testing.assert_close(gradient(loss, x, encoded), gradient(loss, x, y), rtol=1e-4, atol=1e-7)


@every
def test_autocast_changes_no_bit(case: Case) -> None:
    x, y = pair(case)
    x.requires_grad_()
    loss = built(case)
    plain = loss(x, y)
    (slope,) = torch.autograd.grad(plain, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = loss(x, y)
        encoded = loss(x, loss.encode(y))
    assert torch.equal(mixed, plain)
    assert torch.equal(torch.autograd.grad(mixed, x)[0], slope)
    assert torch.equal(encoded, loss(x, loss.encode(y)))


@every
def test_black_images_have_a_finite_gradient(case: Case) -> None:
    x, y = torch.zeros(1, case.channels, 32, 32), pair(case, count=1)[1]
    loss = built(case)
    with torch.autograd.set_detect_anomaly(True, check_nan=True):
        for target in (y, x.clone(), loss.encode(y)):
            assert bool(torch.isfinite(gradient(loss, x, target)).all())


@pytest.mark.parametrize("case", NAMED, ids=ids)
def test_foreign_encodings_are_refused(case: Case) -> None:
    x, y = pair(case)
    other = tiny_loss("1", channels={1: "gray", 5: "per-channel"}.get(case.channels, "rgb"))
    with pytest.raises(EncodingError, match="made by another loss"):
        built(case)(x, other.encode(y))


def test_stale_encodings_are_refused() -> None:
    x, y = pair()
    loss = load_loss(f"{SQUEEZE}:weights=random-0")
    encoded = loss.encode(y)
    loss(x, encoded)
    with torch.no_grad():
        next(loss.network.parameters()).mul_(2)
    with pytest.raises(EncodingError, match="stale"):
        loss(x, encoded)


def test_encodings_of_another_type_are_refused() -> None:
    case = PLAIN
    x, y = pair(case)
    loss = fresh(case)
    encoded = loss.encode(y)
    with pytest.raises(EncodingError):
        loss.double()(x, encoded)


def test_maps_of_encoded_targets_are_refused() -> None:
    x, y = pair()
    loss = built(PLAIN)
    with pytest.raises(EncodingError, match="need the target's images"):
        loss(x, loss.encode(y), output="map")
    with pytest.raises(ConfigError, match="output must be one of value, map; got 'maps'"):
        loss(x, y, output="maps")
