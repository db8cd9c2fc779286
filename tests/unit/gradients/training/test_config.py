"""Settings of a training: what is refused and how, the published numbers, JSON and back."""

from __future__ import annotations

import json

import pytest

from lossnets.errors import ConfigError, UnknownNameError
from lossnets.gradients.training import PROFILES, PGNConfig, backbone_settings, profile
from lossnets.gradients.training.checks import TERMS, differences
from lossnets.gradients.training.schedule import learning_rate


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("backbone", ["resnet-4", "unet", "shuffled", "distilled"])
def test_profiles_come_back_from_json(name: str, backbone: str) -> None:
    config = profile(name, backbone=backbone, seed=7)
    assert PGNConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    assert config.seed == 7


def test_the_published_numbers() -> None:
    for backbone, epochs, batch, scale in (
        ("resnet-4", 330, 48, 1 / 40),
        ("resnet-6", 400, 48, 1 / 40),
        ("resnet-8", 1000, 44, 1 / 40),
        ("unet", 2140, 48, 0.048),
    ):
        config = profile("paper", backbone=backbone)
        assert (config.steps, config.batch, config.grad_scale) == (epochs * 512, batch, scale)
    config = profile("paper")
    on = {name: weight for name, weight in config.weights().items() if weight}
    assert on == {"matching": 1.0, "proxy_loss": 0.2, "proxy_l1": 0.5}
    assert config.matching_scale == 67108864
    assert (config.crop, config.lr, config.schedule, config.optimiser) == (224, 1e-3, "constant", "adam")
    assert (config.autoencoders, config.autoencoder_width, config.priors) == ((0, 1, 2), 128, 0)
    assert (config.reset_after, config.reset_probability, config.reset_above) == (300_000, 0.01, 1e3)
    assert (config.clip_factor, config.clip_start, config.clip_momentum) == (5, 200, 0.01)
    assert config.driven_by == (1, 0, 0)
    assert config.replay == 0


def test_small_trains_on_live_fits_and_replayed_samples() -> None:
    config = profile("small")
    assert config.family == "distilled"
    assert (config.prior_count, config.fits, config.driven_by) == (4, 4, (0.5, 0.25, 0.25))
    assert (config.replay, config.replayed, config.steps) == (1500, 12, 450)
    other = profile("small", backbone="resnet-6")
    assert (other.settings, other.grad_scale, other.channel_lr) == ({"blocks": 6}, 0, 1)
    assert (other.replay, other.replayed, other.steps) == (6000, 24, 4000)


def test_a_distilled_loss_learns_channel_weights_alone_at_a_rate_that_moves_them() -> None:
    for name in PROFILES:
        assert profile(name, backbone="distilled").settings.get("widths", []) == []
    config = profile("small")
    assert config.lr * config.channel_lr == pytest.approx(0.02)
    assert profile("small", settings={"widths": [8]}).lr == 2e-3


def test_a_family_without_a_backbone_gets_the_usual_one() -> None:
    assert profile("small", family="proxy").backbone == "shuffled"
    assert profile("smoke", family="direct").backbone == "shuffled"
    assert profile("paper", family="direct").settings == {"blocks": 4}
    assert profile("paper", family="distilled").matching_cosine == 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"batch": 0}, "batch must be 1 or more; got 0"),
        ({"batch": 4.5}, "batch must be a whole number; got 4.5"),
        ({"steps": True}, "steps must be a whole number; got True"),
        ({"lr": "fast"}, "lr must be a number; got 'fast'"),
        ({"lr": 0}, "lr must be a positive number; got 0"),
        ({"lr": float("nan")}, "lr must be a finite number; got nan"),
        ({"proxy_l1": -1}, "proxy_l1 must be 0 (off) or more; got -1"),
        ({"priors": 1.5}, "priors is a share, from 0 to 1; got 1.5"),
        ({"held_out": 1}, "held_out is a share of the images"),
        ({"crop": 100}, "crop must be a multiple of 16 pixels, at least 32; got 100"),
        ({"crop": 16}, "crop must be a multiple of 16 pixels, at least 32; got 16"),
        ({"driven_by": [1, 0]}, "driven_by must be three shares"),
        ({"driven_by": [0, 0, 0]}, "driven_by must be three shares"),
        ({"driven_by": "true"}, "driven_by must be a list of a number; got 'true'"),
        ({"fit_life": [9, 3]}, "fit_life must be the least and the most steps of a fit; got (9, 3)"),
        ({"autoencoders": [7]}, "autoencoders must be depths from 0 to 3; got (7,)"),
        ({"autoencoders": []}, "48 of 48 images a step would come from no source: set priors=1"),
        ({"batch": 2}, "3 autoencoders share 2 images a step"),
        (
            {"replay": 5},
            "replay (how many samples are kept) and replayed (how many join each batch) go together",
        ),
        ({"matching_scales": [1, 512]}, "matching_scales must be from 1 to crop = 224 pixels; got (1, 512)"),
        ({"settings": [1]}, "settings must be a record of settings; got [1]"),
        ({"downscale": [0]}, "downscale must be factors of 1 or more; got (0,)"),
        ({"channel_lr": 2}, "channel_lr must be 1 for proxy, which has no channel weights; got 2"),
        ({"warp_tv": 1}, "warp_tv must be 0 for the proxy 'sigmoid'"),
        ({"proxy": "warped", "additive_l2": 1}, "additive_l2 must be 0 for the proxy 'warped'"),
        ({"family": "direct"}, "proxy_loss, proxy_l1 must be 0 for direct"),
        (
            {"matching": 0, "proxy_loss": 0, "proxy_l1": 0},
            "at least one term of the meta-loss needs a weight",
        ),
        ({"priors": 1, "fit_kinds": []}, "priors=1 needs fit_kinds: deep-decoder, image-prior"),
    ],
)
def test_what_is_refused_and_how(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as error:
        PGNConfig().changed(**changes)
    assert text in str(error.value)


@pytest.mark.parametrize("term", ["proxy_loss", "warp_l2", "jacobian_symmetry"])
def test_a_distilled_loss_has_no_proxy_terms(term: str) -> None:
    with pytest.raises(ConfigError, match=f"{term} must be 0 for distilled, where there is nothing"):
        profile("small", **{term: 0.1})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"familly": 1}, "Did you mean 'family'"),
        ({"family": "distiled"}, "Did you mean 'distilled'"),
        ({"backbone": "resnet-4"}, "Did you mean 'resnet'"),
        ({"proxy": "sigmod"}, "Did you mean 'sigmoid'"),
        ({"distance": "mae"}, "mse"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"precision": "16"}, "bf16"),
        ({"fit_kinds": ["prior"]}, "image-prior"),
    ],
)
def test_unknown_names_show_the_nearest(changes: dict[str, object], text: str) -> None:
    with pytest.raises(UnknownNameError, match=text):
        PGNConfig().changed(**changes)


def test_unknown_profile_and_backbone() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'small'"):
        profile("smal")
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet-4'"):
        backbone_settings("resnet4")
    with pytest.raises(UnknownNameError, match="setting of a training 'stepps'"):
        profile("small", stepps=3)
    with pytest.raises(ConfigError, match="must be a record; got list"):
        PGNConfig.from_dict([])  # type: ignore[arg-type]


def test_every_term_is_a_setting_that_is_off_or_published() -> None:
    assert set(TERMS) == set(PGNConfig().weights())


def test_schedules() -> None:
    config = PGNConfig(lr=2.0, steps=100, schedule="linear")
    assert [learning_rate(config, k) for k in (0, 49, 75, 99)] == pytest.approx([2, 2, 1, 0.06])
    cosine = config.changed(schedule="cosine")
    assert [learning_rate(cosine, k) for k in (0, 50, 100)] == pytest.approx([2, 1, 0])
    assert learning_rate(config.changed(schedule="constant"), 99) == 2


def test_differences_name_both_sides() -> None:
    before = {"loss": "a", "config": {"lr": 1.0, "seed": 0, "log_every": 5}}
    now = {"loss": "b", "config": {"lr": 1.0, "seed": 3, "log_every": 9}}
    assert differences(before, now, ("log_every",)) == [
        "loss is 'a' there, 'b' here",
        "seed is 0 there, 3 here",
    ]
