"""The parts of a judgement, each kept as it is earned: cost, effect, fidelity, stability, inversion."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from typing import Any

import torch

from lossnets.errors import LossnetsError
from lossnets.gradients import PGNLoss
from lossnets.judging.case import Case
from lossnets.judging.cost import measure_cost
from lossnets.judging.cost_result import CostResult
from lossnets.judging.effect import effect
from lossnets.judging.effect_result import EffectResult
from lossnets.judging.fidelity import fidelity
from lossnets.judging.fidelity_result import FidelityResult
from lossnets.judging.inversion import InversionSettings, inversion
from lossnets.judging.ledger import Ledger
from lossnets.judging.rivals import make_rivals
from lossnets.judging.stability import StabilityResult, stability
from lossnets.losses import ImageLoss, load_loss
from lossnets.runs.cost_records import this_machine

logger = logging.getLogger("lossnets")


def judge_cost(case: Case) -> CostResult:
    """Costs of all rivals, and of the network and the true loss in bfloat16."""
    plan = case.plan
    halves = _halves(case)
    more = make_rivals(case.true, None, case.images, cuts=(), every=(), extra=halves)
    rivals = [*case.rivals, *(rival for rival in more if rival.key in halves)]
    size = {"images": plan.cost_images, "side": plan.cost_side, "rounds": plan.cost_rounds}
    key = {
        "cost": 1, "machine": asdict(this_machine(case.device)), "device": case.device, **size,
        "rivals": [rival.record.signature for rival in rivals],
    }  # fmt: skip
    ledger = Ledger(case.store("cost"))
    found = ledger.get(key)
    if found is None:
        made = measure_cost(rivals, device=case.device, progress=case.progress("cost"), **size)
        ledger.put(key, made.as_dict())
        return made
    return CostResult.from_dict(found)


def _halves(case: Case) -> dict[str, ImageLoss]:
    """The gradient network and the true loss in bfloat16, where they can be had."""
    pgn = case.judged.pgn
    options: dict[str, Any] = {"reduction": "none", "validate": "never"}
    name = pgn.name.removeprefix("pgn:").split(":")[0]
    halves: dict[str, ImageLoss] = {
        "pgn-bf16": PGNLoss(
            pgn.pgn, name=name, imitates=pgn.imitates, compute_dtype=torch.bfloat16, **options
        )
    }
    try:
        spec = replace(case.true.spec, dtype="bfloat16")
        halves["true-bf16"] = load_loss(spec, device=case.device, **options)
    except (LossnetsError, KeyError):
        logger.info("the true loss has no version in bfloat16 whose cost could be measured")
    return halves


def judge_effect(case: Case) -> EffectResult:
    """Fits of all generators with all rivals."""
    plan = case.plan
    return effect(
        case.true, case.judged.pgn, case.images, names=case.names, training=case.training,
        generators=plan.generators, seeds=tuple(range(plan.seeds)), steps=plan.steps,
        learning_rate=plan.learning_rate, batch=plan.batch, rivals=case.rivals, store=case.store("effect"),
        generator_settings={"autoencoder": {"steps": plan.autoencoder_steps, "learning_rate": 0.003}},
        progress=case.progress("effect"),
    )  # fmt: skip


def judge_fidelity(case: Case) -> FidelityResult:
    """Predicted and MSE gradients beside the true one."""
    plan = case.plan
    kinds = [kind for kind in plan.generators if kind != "autoencoder"] or ["deep-decoder", "image-prior"]
    return fidelity(
        case.true, case.judged.pgn, case.images, names=case.names, generators=kinds,
        steps=plan.fidelity_steps, looks=plan.looks, batch=plan.batch, learning_rate=plan.learning_rate,
        store=case.store("fidelity"), progress=case.progress("fidelity"),
    )  # fmt: skip


def judge_stability(case: Case) -> StabilityResult:
    """On the judged images first, then on others that there are."""
    plan = case.plan
    images, names = case.long_fits
    return stability(
        case.true, case.judged.pgn, images, names=names,
        steps=plan.stability_steps, check=plan.check, batch=plan.batch, learning_rate=plan.learning_rate,
        rivals=("pgn", "pgn+mse"), store=case.store("stability"), progress=case.progress("stability"),
    )  # fmt: skip


def judge_inversion(case: Case) -> EffectResult | None:
    """Of a small decoder that is trained on the training images; None without these, or where it is off."""
    plan = case.plan
    if not plan.decoder_steps:
        return None
    if case.training is None:
        logger.warning("no inversion: its generator needs more images to train on")
        return None
    from lossnets.generators.decoder import train_decoder

    decoder = train_decoder(case.training.cpu(), steps=plan.decoder_steps, seed=0).to(case.device)
    latents = torch.zeros(len(case.images), *decoder.latent_shape, device=case.device)
    settings = InversionSettings(fit_steps=plan.fit_steps, steps=plan.refine_steps, cuts=case.cuts)
    return inversion(
        decoder, latents, case.images, case.true, case.judged.pgn, names=case.names, settings=settings,
        store=case.store("inversion"), progress=case.progress("inversion"),
    )  # fmt: skip
