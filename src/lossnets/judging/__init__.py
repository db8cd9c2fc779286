"""Judging: whether a gradient network is worth using, by what becomes of generators that it drives."""

from lossnets.judging.campaign import run_fits
from lossnets.judging.cuts import cut_loss
from lossnets.judging.effect import effect
from lossnets.judging.effect_result import EffectResult, GapRow
from lossnets.judging.fidelity import fidelity
from lossnets.judging.fidelity_result import FidelityResult
from lossnets.judging.fits import FitSettings, fit_images
from lossnets.judging.inversion import InversionSettings, inversion
from lossnets.judging.ledger import Ledger
from lossnets.judging.records import Fit, Point, RivalRecord
from lossnets.judging.rivals import Rival, make_rivals
from lossnets.judging.stability import StabilityResult, stability
from lossnets.judging.trajectories import Stop, trajectory

__all__ = [
    "EffectResult",
    "FidelityResult",
    "Fit",
    "FitSettings",
    "GapRow",
    "InversionSettings",
    "Ledger",
    "Point",
    "Rival",
    "RivalRecord",
    "StabilityResult",
    "Stop",
    "cut_loss",
    "effect",
    "fidelity",
    "fit_images",
    "inversion",
    "make_rivals",
    "run_fits",
    "stability",
    "trajectory",
]
