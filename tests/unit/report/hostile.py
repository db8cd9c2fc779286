"""Results whose every text tries to break out of the page, and small results for the page's tests."""

from __future__ import annotations

from lossnets.analysis import Results
from lossnets.runs.identity import RunConfig
from lossnets.runs.records import Failure, RunRecord, ScoreRecord

SCRIPT = "<script>window.harmed = 1</script>"
TEXTS = (
    SCRIPT,
    "</script><script>window.harmed = 2</script>",
    "<img src=x onerror='window.harmed = 3'>",
    '"><svg onload=window.harmed=4>',
    "{{ 7 * 7 }}{% for x in y %}",
    "$& $` $' $1 \\u003c \\",
    "<!--<script>",
    "&lt;b&gt; &amp; ' \" `",
    "]]> </style></title><b>bold</b>",
    "a_b & 50 % # ~ ^ {x} \u202e \u2028 é 猫",
)
OTHER = "pixel:mse"


def hostile() -> Results:
    """Losses, data, scores, notes, errors, options, facts and environments of `TEXTS`; one run failed."""
    records = []
    for index, text in enumerate(TEXTS):
        for loss, value in ((text, 0.4 + index / 100), (OTHER, 0.3)):
            config = RunConfig(
                loss, f"{loss}|1", "autoencoding-folders", f"data {TEXTS[index % 3]}",
                f"print {TEXTS[index % 3]}", seed=0 if loss == text else index,
                options={"option": TEXTS[index % 3]},
            )  # fmt: skip
            score = ScoreRecord(
                "accuracy", value, "fraction", low=value - 0.01, high=value + 0.01, n=5, note=text
            )
            about = {"commit": text, "fact": text, "torch": SCRIPT}
            records.append(
                RunRecord(config, "done", scores=(score,), seconds=1.0, environment=about, facts=about)
            )
    failed = RunConfig(f"{SCRIPT}2", "x", "unheard-of", SCRIPT, "f", profile=SCRIPT, seed=9)
    records.append(RunRecord(failed, "failed", failure=Failure("E<script>", TEXTS[2])))
    return Results(tuple(records), f"a source of {SCRIPT}")


def run(
    loss: str, value: float | None, *, seed: int = 0, data: str = "d",
    benchmark: str = "autoencoding-folders", note: str = "",
) -> RunRecord:  # fmt: skip
    """A finished run with one score; None: the score is not defined."""
    config = RunConfig(loss, f"{loss}|1", benchmark, data, f"sha256:{data}", seed=seed)
    ends = {} if value is None else {"low": value - 0.01, "high": value + 0.01}
    score = ScoreRecord("accuracy", value, "fraction", note=note, **ends)
    return RunRecord(
        config, "done", scores=(score,), seconds=2.0, environment={"torch": "2.0", "commit": None}
    )


def broken(loss: str, message: str, *, seed: int = 0, data: str = "d") -> RunRecord:
    """A failed run."""
    config = RunConfig(loss, f"{loss}|1", "autoencoding-folders", data, f"sha256:{data}", seed=seed)
    return RunRecord(config, "failed", failure=Failure("DataError", message))
