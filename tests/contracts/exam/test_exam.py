"""One exam for every loss: in every situation its number is right, or it is refused with a way out.

The table of the page docs/exam.md is what this exam found. To write it anew:
``LOSSNETS_WRITE_EXAM=1 pytest tests/contracts/exam -n 0 -m "slow or not slow"``.
"""

from __future__ import annotations

import os
import warnings
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lossnets.errors import LossnetsError

from .candidates import CANDIDATES, SIDE, Candidate
from .situations import SITUATIONS, SLOW, Answer, Exam, NotApplicableError, run
from .table import PAGE, read_rows, write_page

RIGHT, REFUSED, NONE = "right", "refused", "–"
_VALUE, _GRADIENT, _SECOND = 2e-4, 2e-3, 2e-2
WRITE = "LOSSNETS_WRITE_EXAM" in os.environ


@cache
def exam_of(candidate: Candidate) -> Exam:
    generator = torch.Generator().manual_seed(5)
    x, noise, direction = (torch.rand(2, 3, SIDE, SIDE, generator=generator) for _ in range(3))
    y = (x + 0.2 * (noise - 0.5)).clamp(0.01, 0.99)
    return Exam(candidate, x.clamp(0.01, 0.99), y, direction - 0.5)


@cache
def expected(candidate: Candidate) -> Answer:
    """What is right: the plain reference in float64; for a loss without one its number in a plain process."""
    exam = exam_of(candidate)
    loss = exam.make()
    if candidate.reference is None:
        plain = run(loss, exam)
        return Answer(plain.value, plain.gradient, loss=loss)
    x, y, v = (t.double() for t in (exam.x, exam.y, exam.direction))
    x.requires_grad_()
    value = candidate.reference(x, y)
    (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    slopes = (gradient * v).sum((1, 2, 3))
    product = None
    if candidate.smooth:
        (product,) = torch.autograd.grad(slopes.sum(), x, allow_unused=True)
    return Answer(value.detach(), gradient.detach(), product, slopes.detach(), loss)


@cache
def plain_signature(candidate: Candidate) -> str:
    return expected(candidate).loss.signature()


def close(got: Tensor | None, wanted: Tensor | None, tolerance: float) -> bool:
    """Whether a result is that of the reference; True where one of them is not there to be compared."""
    if got is None or wanted is None:
        return True
    got, wanted = got.double(), wanted.double()
    if got.shape != wanted.shape or not bool(torch.isfinite(got).all()):
        return False
    return float((got - wanted).norm()) <= tolerance * float(wanted.norm()) + 1e-9


def outcome(candidate: Candidate, name: str) -> str:
    """``right``, ``refused`` or ``–``; anything else is a fault and said in full."""
    exam, wanted = exam_of(candidate), expected(candidate)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
            warnings.filterwarnings("ignore", ".torch.jit.", category=DeprecationWarning)
            answer = SITUATIONS[name](exam)
    except NotApplicableError:
        return NONE
    except LossnetsError as error:
        return REFUSED if len(str(error)) > 40 else f"refused without a way out: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]}"
    compared = {
        "value": (answer.value, wanted.value, _VALUE),
        "gradient": (answer.gradient, wanted.gradient, _GRADIENT),
        "second derivative": (answer.product, wanted.product, _SECOND),
        "slope": (answer.slope, wanted.slope, _GRADIENT),
    }
    wrong = [
        what
        for what, (got, right, tolerance) in compared.items()
        if not close(got, right, tolerance * candidate.rounding)
    ]
    if wrong:
        return f"wrong: {', '.join(wrong)}"
    if answer.loss is not None and answer.loss.signature() != plain_signature(candidate):
        return f"another signature: {answer.loss.signature()} instead of {plain_signature(candidate)}"
    return RIGHT


def _examine(candidate: Candidate, names: list[str]) -> None:
    torch.manual_seed(0)
    found = {name: outcome(candidate, name) for name in names}
    faults = {name: text for name, text in found.items() if text not in (RIGHT, REFUSED, NONE)}
    assert not faults, "\n".join(f"{name}: {text}" for name, text in faults.items())
    if WRITE:
        write_page({candidate.name: found}, list(SITUATIONS), [c.name for c in CANDIDATES])
    row = read_rows().get(candidate.name, {})
    assert {name: row.get(name) for name in names} == found, (
        "docs/exam.md says otherwise; see the top of this file"
    )


every = pytest.mark.parametrize(
    "candidate",
    [pytest.param(c, id=c.name, marks=[pytest.mark.slow] if c.slow else []) for c in CANDIDATES],
)


@every
def test_right_or_refused(candidate: Candidate) -> None:
    _examine(candidate, [name for name in SITUATIONS if name not in SLOW])


@pytest.mark.slow
@every
def test_right_or_refused_in_slow_situations(candidate: Candidate) -> None:
    _examine(candidate, [name for name in SITUATIONS if name in SLOW])


@every
def test_the_reference_agrees_in_a_plain_process(candidate: Candidate) -> None:
    answer, wanted = run(exam_of(candidate).make(), exam_of(candidate)), expected(candidate)
    assert close(answer.value, wanted.value, _VALUE)
    assert close(answer.gradient, wanted.gradient, _GRADIENT)


def test_an_answer_that_is_wrong_fails() -> None:
    candidate = CANDIDATES[0]
    SITUATIONS["wrong"] = lambda exam: Answer(exam.make()(exam.x, exam.y) * 1.01)
    try:
        assert outcome(candidate, "wrong") == "wrong: value"
    finally:
        del SITUATIONS["wrong"]


def test_the_page_has_every_pair() -> None:
    rows = read_rows()
    if WRITE:
        return
    assert list(rows) == [candidate.name for candidate in CANDIDATES]
    assert all(list(row) == list(SITUATIONS) for row in rows.values())
    assert Path(PAGE).is_file()
