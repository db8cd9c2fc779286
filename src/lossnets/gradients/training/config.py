"""Every setting of a training in one record; 0 switches a term, a source or a safeguard off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from lossnets.errors import ConfigError, unknown_name
from lossnets.gradients.training.checks import FIT_KINDS, TERMS, check_config, checked

DRIVERS = ("predicted", "true", "mse")
"""What a generator can follow: the predicted gradient, the true one, that of MSE."""
PUBLISHED_MATCHING = 2.0**26
"""Factor on the mean square of gradient differences in the published command, for numerical reasons."""

NOT_THE_TRAJECTORY = ("log_every", "panel_every", "checkpoint_seconds")
"""Settings that may differ between the parts of a training that was interrupted."""


@dataclass(frozen=True)
class PGNConfig:
    """How a gradient network is made and trained; profiles: `lossnets.gradients.training.profile`.

    Nikulin et al. 2021, section 4.1, and the options of the released training command. What is ours is
    marked so.

    Attributes:
        family: ``proxy``, ``direct`` or ``distilled``; see `Architecture`, also for the next five.
        backbone: by name; of no account for ``distilled``.
        settings: of the backbone or of the thin loss; for ``distilled`` what is left out comes from the
            loss that is imitated: its network and its first ``first_taps`` taps.
        proxy: parametrisation of the proxy target.
        distance: from x̂ to the proxy target.
        grad_scale: s; 0: measured before training, so that the proxy target of the true gradient is as
            far from x̂ as y is (ours).
        first_taps: of the imitated loss that a distilled one keeps (ours).
        matching: weight of the mean squared difference of gradients, times ``matching_scale``.
        matching_scale: 2^26 as published, at 224 pixels.
        matching_cosine: weight of 1 - cosine of each image's gradients, averaged over
            ``matching_scales`` (ours).
        matching_scales: gradients are averaged over squares of so many pixels before their cosine.
        matching_norm: weight of the squared log ratio of the norms of each image's gradients (ours).
        proxy_loss: weight of L(t, y); 0.2 published.
        proxy_l1: weight of the mean absolute difference of t and y; 0.5 published.
        proxy_mse_target: weight of MSE(t, y).
        proxy_mse_input: weight of MSE(t, x̂).
        predicted_value: weight of the mean squared error of the network's value of L.
        jacobian_symmetry: weight of the asymmetry of the field's Jacobian, estimated with one random
            vector a step.
        gradient_loss: weight of the loss between predicted and true gradient, taken as images.
        step_loss: weight of the loss between x̂ after one step along either gradient.
        step_size: of that step; ours is relative: 1 moves x̂ by as much (root mean square) as it differs
            from y.
        warp_tv: weight of the total variation of the displacements, for warped proxies.
        warp_l2: weight of their mean square.
        additive_l2: weight of the mean square of the additive image.
        plus_mse: the field to imitate is that of L + plus_mse · MSE.
        autoencoders: depth of each small autoencoder that is trained meanwhile; none: ().
        autoencoder_width: channels (128 published).
        autoencoder_lr: 1e-3 published.
        priors: share of the batch whose x̂ come from fits of one generator to one image (ours).
        fits: how many populations of such fits take turns, one a step.
        fit_kinds: of these populations, in turn.
        fit_settings: kind -> settings of the generators.
        fit_life: least and most steps of a fit, drawn log-uniformly.
        fit_lr: of Adam.
        driven_by: shares of autoencoders and fits that follow the predicted gradient, the true one and
            that of MSE, drawn at every start; published: all follow the predicted one.
        warmup: steps in which all follow the true gradient.
        reset_after: samples without a better L1 until an autoencoder may be reset.
        reset_probability: a step, from then on.
        reset_above: L1 at which an autoencoder is reset at once.
        replay: how many (x̂, y, true gradient) of earlier steps are kept (ours).
        replayed: how many of them join each batch.
        clip_factor: gradients are clipped at so many times their running average norm; 0: not.
        clip_start: what the average starts from.
        clip_momentum: weight of a new norm in it.
        clip_norm: gradients of the network are clipped at this norm; 0: not (ours).
        optimiser: ``adam`` or ``sgd``, of the network.
        lr: of the network.
        channel_lr: times ``lr`` is the rate of a distilled loss's channel weights (ours).
        start_from: checkpoint of a gradient network of the same architecture, whose weights are the initial
            ones; "": drawn from the seed.
        schedule: ``constant``; ``linear``: constant for the first half, then down to 3 per cent;
            ``cosine``: down to 0.
        batch: images a step on each device, replayed ones not counted.
        crop: side of the square crops in pixels, a multiple of 16.
        downscale: crops are taken from images reduced by one of these factors (ours).
        steps: in all.
        seed: of everything.
        precision: ``32``, or ``bf16``: the network and the generators in bfloat16; losses stay float32.
        held_out: share of the images that is not trained on.
        fidelity_crops: held-out crops for the figures in the checkpoint; 0: none.
        fidelity_steps: steps of the fits along which they are taken.
        log_every: steps between two rows of the log.
        panel_every: steps between two picture panels; 0: none.
        checkpoint_seconds: least time between two checkpoints.
    """

    family: str = "proxy"
    backbone: str = "resnet"
    settings: dict[str, Any] = field(default_factory=dict)
    proxy: str = "sigmoid"
    distance: str = "mse"
    grad_scale: float = 1 / 40
    first_taps: int = 2
    matching: float = 1.0
    matching_scale: float = PUBLISHED_MATCHING
    matching_cosine: float = 0.0
    matching_scales: tuple[int, ...] = (1, 2, 4, 8)
    matching_norm: float = 0.0
    proxy_loss: float = 0.2
    proxy_l1: float = 0.5
    proxy_mse_target: float = 0.0
    proxy_mse_input: float = 0.0
    predicted_value: float = 0.0
    jacobian_symmetry: float = 0.0
    gradient_loss: float = 0.0
    step_loss: float = 0.0
    step_size: float = 1.0
    warp_tv: float = 0.0
    warp_l2: float = 0.0
    additive_l2: float = 0.0
    plus_mse: float = 0.0
    autoencoders: tuple[int, ...] = (0, 1, 2)
    autoencoder_width: int = 128
    autoencoder_lr: float = 1e-3
    priors: float = 0.0
    fits: int = 4
    fit_kinds: tuple[str, ...] = FIT_KINDS
    fit_settings: dict[str, dict[str, Any]] = field(default_factory=lambda: {"image-prior": {"width": 16}})
    fit_life: tuple[int, ...] = (20, 400)
    fit_lr: float = 0.01
    driven_by: tuple[float, ...] = (1.0, 0.0, 0.0)
    warmup: int = 0
    reset_after: int = 300_000
    reset_probability: float = 0.01
    reset_above: float = 1e3
    replay: int = 0
    replayed: int = 0
    clip_factor: float = 5.0
    clip_start: float = 200.0
    clip_momentum: float = 0.01
    clip_norm: float = 0.0
    optimiser: str = "adam"
    lr: float = 1e-3
    channel_lr: float = 1.0
    start_from: str = ""
    schedule: str = "constant"
    batch: int = 48
    crop: int = 224
    downscale: tuple[int, ...] = (1,)
    steps: int = 330 * 512
    seed: int = 0
    precision: str = "32"
    held_out: float = 0.05
    fidelity_crops: int = 8
    fidelity_steps: int = 200
    log_every: int = 50
    panel_every: int = 1000
    checkpoint_seconds: float = 120.0

    def __post_init__(self) -> None:
        """Check every value, and that the terms mean something for the family."""
        for entry in fields(self):
            object.__setattr__(self, entry.name, checked(entry.name, entry.type, getattr(self, entry.name)))
        check_config(self)

    def weights(self) -> dict[str, float]:
        """Term of the meta-loss -> its weight, zeros included."""
        return {name: getattr(self, name) for name in TERMS}

    @property
    def prior_count(self) -> int:
        """Images of a batch that come from fits of one generator to one image."""
        return round(self.priors * self.batch)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> PGNConfig:
        """Read what `as_dict` wrote; what is left out has its default.

        Raises:
            UnknownNameError: an entry is unknown.
            ConfigError: a value is not allowed.
        """
        if not isinstance(record, Mapping):
            raise ConfigError(f"settings of a training must be a record; got {type(record).__name__}")
        for name in record:
            if name not in _NAMES:
                raise unknown_name("setting of a training", str(name), _NAMES)
        return cls(**record)

    def changed(self, **changes: Any) -> PGNConfig:
        """The same with other values.

        Raises:
            UnknownNameError: there is no such setting.
            ConfigError: a value is not allowed, or does not go with the others.

        >>> PGNConfig().changed(batch=8).batch
        8
        """
        for name in changes:
            if name not in _NAMES:
                raise unknown_name("setting of a training", name, _NAMES)
        return replace(self, **changes)


_NAMES = tuple(entry.name for entry in fields(PGNConfig))
