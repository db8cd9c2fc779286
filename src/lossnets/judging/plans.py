"""How much is measured to judge a gradient network: seconds, tens of minutes on a CPU, or in full."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from lossnets.errors import ConfigError, unknown_name
from lossnets.judging.subjects import GENERATORS

_MAY_BE_ZERO = ("decoder_steps", "cuts", "training", "stability_side")


@dataclass(frozen=True)
class Plan:
    """Sizes of all parts of a judgement.

    Attributes:
        count: images that are judged, at most.
        training: other images, on which the autoencoder and the generator of the inversion are trained.
        side: of all of these, in pixels.
        generators: kinds that are fitted for the effect.
        seeds: of their initialisations: 0, 1, ...
        steps: of these fits.
        autoencoder_share: steps of an autoencoder for each of another generator's, which see one image only.
        cuts: most truncated losses; of a loss with more taps some are left out.
        every: periods of the true loss with MSE between.
        learning_rate: of Adam, in all fits but those of autoencoders (0.003).
        batch: images fitted side by side.
        fidelity_steps: of the trajectories along which gradients are compared.
        looks: places on each.
        stability_images: most images of the stability test, the judged ones first.
        stability_steps: of its fits.
        stability_side: of its images, their middles, in pixels; 0: as ``side``.
        check: steps between looks at the true loss there.
        decoder_steps: of training the generator of the inversion; 0: no inversion.
        fit_steps: with MSE, in the inversion.
        refine_steps: with each gradient, behind them.
        cost_images: that a gradient is computed for at once when its cost is measured.
        cost_side: of these, in pixels.
        cost_rounds: that are timed.
        resamples: bootstrap draws of every interval.
    """

    count: int = 8
    training: int = 32
    side: int = 64
    generators: tuple[str, ...] = GENERATORS
    seeds: int = 2
    steps: int = 200
    autoencoder_share: int = 3
    cuts: int = 6
    every: tuple[int, ...] = (2, 4)
    learning_rate: float = 0.01
    batch: int = 8
    fidelity_steps: int = 150
    looks: int = 5
    stability_images: int = 8
    stability_steps: int = 1000
    stability_side: int = 0
    check: int = 100
    decoder_steps: int = 600
    fit_steps: int = 300
    refine_steps: int = 200
    cost_images: int = 1
    cost_side: int = 256
    cost_rounds: int = 7
    resamples: int = 2000

    def __post_init__(self) -> None:
        """Check every number and name."""
        for each in fields(self):
            value = getattr(self, each.name)
            least = 0 if each.name in _MAY_BE_ZERO else 1
            whole = isinstance(value, int) and not isinstance(value, bool)
            if each.type == "int" and not (whole and value >= least):
                raise ConfigError(f"{each.name} must be a whole number, {least} or more; got {value!r}")
        if self.stability_side > self.side:
            raise ConfigError(
                f"stability_side must be at most side, {self.side}: its images are the middles of those; got "
                f"{self.stability_side}"
            )
        rate = self.learning_rate
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf:
            raise ConfigError(f"learning_rate must be a positive number; got {rate!r}")
        self._check_lists()

    def _check_lists(self) -> None:
        every, kinds = self.every, self.generators
        whole = isinstance(every, tuple) and all(type(k) is int and k >= 2 for k in every)
        if not whole or len(set(every)) < len(every):
            raise ConfigError(f"every must be a list of periods, 2 steps or more, none twice; got {every!r}")
        if not isinstance(kinds, tuple) or not kinds or len(set(kinds)) < len(kinds):
            raise ConfigError(
                f"generators must be a list of at least one of {', '.join(GENERATORS)}, none twice; got "
                f"{kinds!r}"
            )
        for kind in kinds:
            if kind not in GENERATORS:
                raise unknown_name("generator", str(kind), GENERATORS)

    @property
    def autoencoder_steps(self) -> int:
        """Steps for which autoencoders are trained."""
        return self.autoencoder_share * self.steps

    def with_options(self, **options: Any) -> Plan:
        """The plan with other numbers; None leaves one as it is.

        Raises:
            UnknownNameError: a plan has no such number.
            ConfigError: a value that does not fit.
        """
        known = [each.name for each in fields(self)]
        for name in options:
            if name not in known:
                raise unknown_name("option of a judgement", name, known)
        given = {name: value for name, value in options.items() if value is not None}
        lists: dict[str, Any] = {name: tuple(v) for name, v in given.items() if isinstance(v, list)}
        return replace(self, **{**given, **lists})


PLANS = {
    "smoke": Plan(
        count=2, training=4, side=32, generators=("deep-decoder", "image-prior"), seeds=1, steps=6, cuts=1,
        every=(2,), fidelity_steps=4, looks=2, stability_images=2, stability_steps=8, check=4,
        decoder_steps=4, fit_steps=2, refine_steps=2, cost_side=48, cost_rounds=2, resamples=200,
    ),
    "small": Plan(),
    "full": Plan(
        count=24, training=256, side=128, seeds=3, steps=3000, cuts=8, batch=24, fidelity_steps=1000,
        looks=8, stability_images=24, stability_steps=10_000, decoder_steps=3000, fit_steps=5000,
        refine_steps=1000, cost_rounds=15,
    ),
}  # fmt: skip
"""By profile: ``smoke`` shows that everything runs, ``small`` is for one CPU, ``full`` for a GPU."""


def plan_of(profile: str, **options: Any) -> Plan:
    """The plan of a profile, with other numbers where they are given.

    Raises:
        UnknownNameError: there is no such profile or number.
        ConfigError: a value that does not fit.

    >>> plan_of("small", seeds=1, steps=None).steps
    200
    """
    if profile not in PLANS:
        raise unknown_name("profile", profile, PLANS)
    return PLANS[profile].with_options(**options)
