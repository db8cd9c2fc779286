"""Judge a gradient network: cost, fidelity, effect, stability, inversion, and what follows from them.

found = evaluate_pgn("mine.safetensors", "photographs/", out="judged/")
found.verdict().sentence
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from lossnets.errors import LossnetsError
from lossnets.gradients import PGNLoss
from lossnets.gradients.card import Card, versions
from lossnets.home import make_folder
from lossnets.images import list_images
from lossnets.judging.case import Case, Tell, find_crops, make_case
from lossnets.judging.evaluation import Evaluation, write_evaluation
from lossnets.judging.judged import load_judged
from lossnets.judging.ledger import images_hash
from lossnets.judging.parts import judge_cost, judge_effect, judge_fidelity, judge_inversion, judge_stability
from lossnets.judging.plans import plan_of
from lossnets.losses import ImageLoss
from lossnets.runs.cost_records import this_machine
from lossnets.torch_state import standard_state

logger = logging.getLogger("lossnets")
_T = TypeVar("_T")

JSON, PAGE, FIGURE = "evaluation.json", "evaluation.html", "verdict.png"


@standard_state()
def evaluate_pgn(
    pgn: str | os.PathLike[str] | PGNLoss | None,
    images: str | Path | Tensor,
    *,
    loss: str | ImageLoss | None = None,
    out: str | Path | None = None,
    profile: str = "small",
    device: str = "cpu",
    progress: Tell | None = None,
    **options: Any,
) -> Evaluation:
    """Say whether a gradient network is worth using, from fits of generators on images that it has not seen.

    Everything earned is kept in ``out`` as it is made: the same call goes on from there after a kill, and
    other settings take up what they share. A part that fails is named and leaves the others as they are;
    without cost and effect there is no judgement.

    Args:
        pgn: name or file of a checkpoint, or a loss made of a network; None: the one of the package.
        images: folder of photographs that the network was not trained on; or a tensor (N, 3, S, S) in
            [0, 1], the first of which are judged and the others trained on.
        loss: the imitated loss; None: the one that the checkpoint names.
        out: folder for ``evaluation.json``, ``evaluation.html``, ``verdict.png`` and what is earned; None:
            nothing is written.
        profile: ``smoke``, ``small`` or ``full`` (`PLANS`).
        device: where.
        progress: told how far each part is.
        options: numbers of the `Plan` to set otherwise: ``seeds``, ``steps``, ``side``, ...

    Raises:
        UnknownNameError: there is no such network, loss, profile or option.
        WeightsError: the checkpoint is damaged or imitates another loss, or that loss cannot be had here.
        ImageError: the images cannot be used.
        ConfigError: settings that do not go together.
        DataError: the folder cannot be written.
    """
    plan = plan_of(profile, **options)
    judged = load_judged(pgn, loss, device=device)
    true = judged.needed()
    crops = find_crops(images, plan)
    if out is not None:
        make_folder(Path(out))
    case = make_case(judged, true, plan, crops, None if out is None else Path(out), device, progress)
    problems: dict[str, str] = {}
    cost, driven = judge_cost(case), judge_effect(case)
    others = {
        "fidelity": _attempt("fidelity", lambda: judge_fidelity(case), problems),
        "stability": _attempt("stability", lambda: judge_stability(case), problems),
        "inversion": _attempt("inversion", lambda: judge_inversion(case), problems),
    }
    card = {} if judged.card is None else judged.card.as_dict()
    about = _about(case, profile, images)
    found = Evaluation(about, card, cost, driven, problems=problems, **others)  # type: ignore[arg-type]
    if case.folder is not None:
        write_results(found, case.folder)
    return found


def write_results(evaluation: Evaluation, folder: str | Path) -> list[Path]:
    """Write the JSON, the page and the picture of the verdict into a folder -> their paths."""
    from lossnets.analysis.figures import save_figure
    from lossnets.judging.figure import verdict_figure
    from lossnets.judging.page import write_page

    folder = make_folder(Path(folder))
    written = [write_evaluation(evaluation, folder / JSON), write_page(evaluation, folder / PAGE)]
    title = f"Gap closed against cost: {evaluation.about['pgn']}"
    return [*written, save_figure(verdict_figure(evaluation.standings(), title=title), folder / FIGURE)]


def _attempt(part: str, make: Callable[[], _T | None], problems: dict[str, str]) -> _T | None:
    """A part, or None and why: what others have earned is not lost with it."""
    try:
        return make()
    except (LossnetsError, RuntimeError) as error:  # out of memory is a RuntimeError of torch's
        logger.warning("%s could not be measured: %s", part, error)
        problems[part] = f"{type(error).__name__}: {error}"
        return None


def _about(case: Case, profile: str, images: str | Path | Tensor) -> dict[str, Any]:
    pgn, network = case.judged.pgn, case.judged.pgn.pgn
    return {
        "pgn": case.judged.title,
        "loss_name": pgn.name,
        "signature": pgn.signature(),
        "parameters": sum(p.numel() for p in network.parameters()),
        "architecture": network.architecture.as_dict(),
        "true": case.true.name,
        "true_signature": case.true.signature(),
        "images": Path(images).name if not isinstance(images, Tensor) else "images of the caller",
        "names": list(case.names),
        "images_hash": images_hash(case.images),
        "training_images": 0 if case.training is None else len(case.training),
        "training_names": list(case.training_names),
        "trained_on": _seen(case.judged.card, images),
        "skipped": [list(pair) for pair in case.crops.skipped],
        "profile": profile,
        "plan": asdict(case.plan),
        "device": case.device,
        "machine": str(this_machine(case.device)),
        "versions": versions(),
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _seen(card: Card | None, images: str | Path | Tensor) -> bool:
    """Whether it looks like the folder that the network was trained on: by name and number of images."""
    if card is None or isinstance(images, Tensor) or not Path(images).is_dir():
        return False
    known = [card.data.get(name) for name in ("images", "held_out", "skipped")]
    counts = [count for count in known if isinstance(count, int)]
    same_name = card.data.get("folder") == Path(images).resolve().name
    return same_name and sum(counts) == len(list_images(images, recursive=True))
