"""The public names, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lossnets

# Removing a name breaks users: it fails here until this list is changed, together with the CHANGELOG.
PUBLIC = {
    "__version__", "LossnetsError", "offline_mode",
    "list_images", "pair_folders", "read_image", "write_image",
    "LossNetwork", "Tap", "list_networks", "load_network", "network_spec", "register_network",
    "study_networks", "wrap_network",
    "Distance", "parse_distance", "unit_normalise",
    "LPIPS", "EncodedTarget", "LossBank", "LossSpec", "PerceptualLoss", "PixelLoss", "clear_cache",
    "list_presets", "load_loss", "load_preset", "parse", "parse_loss", "perceptual_distance",
    "PGNGuard", "PGNLoss",
}  # fmt: skip
LOSSES = {
    "DEFAULT_LOSS", "LPIPS", "EncodedTarget", "ImageLoss", "LossBank", "LossSpec", "PerceptualLoss",
    "PixelLoss", "Preset", "clear_cache", "list_presets", "load_loss", "load_preset", "parse_loss",
    "perceptual_distance",
}  # fmt: skip


def imported_by(code: str) -> set[str]:
    """Top-level packages that are imported after running ``code`` in a fresh interpreter."""
    script = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_no_public_name_is_missing() -> None:
    assert PUBLIC - set(lossnets.__all__) == set()
    assert LOSSES - set(__import__("lossnets.losses").losses.__all__) == set()


def test_the_inventory_is_complete() -> None:
    assert set(lossnets.__all__) - PUBLIC == set()


@pytest.mark.parametrize("name", sorted(lossnets.__all__))
def test_every_name_can_be_had_and_is_documented(name: str) -> None:
    value = getattr(lossnets, name)
    assert name in dir(lossnets)
    if name != "__version__":
        assert value.__doc__


def test_unknown_names() -> None:
    with pytest.raises(AttributeError, match="module 'lossnets' has no attribute 'lpips_loss'"):
        _ = lossnets.lpips_loss  # type: ignore[attr-defined]


def test_star_import() -> None:
    space: dict[str, object] = {}
    exec("from lossnets import *", space)
    assert set(space) - {"__builtins__"} == PUBLIC


def test_import_is_light() -> None:
    assert not imported_by("import lossnets; lossnets.__version__") & {"torch", "numpy", "timm", "PIL"}


def test_core_needs_no_extra() -> None:
    code = (
        "import lossnets\n"
        "for name in lossnets.__all__: getattr(lossnets, name)\n"
        "lossnets.load_loss('squeezenet1_1/features.1:weights=random-0')"
    )
    extras = {
        "lightning", "pytorch_lightning", "scipy", "sqlalchemy", "typer", "rich", "pandas", "lpips",
        "torchmetrics", "skimage", "sklearn", "pydantic", "yaml", "ray", "matplotlib",
    }  # fmt: skip
    assert imported_by(code) & extras == set()
