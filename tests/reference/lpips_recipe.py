"""How the literal values in lpips_values.py were made; run it again to print them.

    python tests/reference/lpips_recipe.py

It needs the package lpips 0.1.4 and torchvision, and nothing of lossnets' losses: only the random
weights of the networks come from lossnets, so that both sides compute with the same ones.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from typing import Any

import torch
from torch import Tensor

from lossnets.torchvision_compat import ensure_torchvision

NETWORKS = {"alexnet": "alex", "vgg16": "vgg", "squeezenet1_1": "squeeze"}
SIZES = {"64": (64, 64), "127x93": (127, 93), "256": (256, 256)}


def images(size: tuple[int, int], count: int = 2) -> tuple[Tensor, Tensor]:
    """Seeded images in [0, 1] with structure at several scales, and disturbed copies of them."""
    generator = torch.Generator().manual_seed(20180418)
    total = torch.zeros(count, 3, *size)
    for scale in (4, 16, 64):
        noise = torch.rand(count, 3, scale, scale, generator=generator)
        total += torch.nn.functional.interpolate(noise, size, mode="bilinear", align_corners=False) / 3
    disturbed = total + 0.2 * (torch.rand(total.shape, generator=generator) - 0.5)
    return total.clamp(0, 1), disturbed.clamp(0, 1)


def random_state(network: str) -> dict[str, Tensor]:
    """The tensors of lossnets' ``weights="random-0"``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        models = importlib.import_module("torchvision.models")
        return dict(models.get_model(network, weights=None).state_dict())


def peer(network: str, version: str, spatial: bool = False) -> Any:
    """``lpips.LPIPS`` with its published head on the random network; takes images in [0, 1]."""
    ensure_torchvision()
    lpips = importlib.import_module("lpips")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # deprecated arguments of torchvision
        model = lpips.LPIPS(
            net=NETWORKS[network], version=version, pnet_rand=True, spatial=spatial, verbose=False
        )
    features = {key: v for key, v in random_state(network).items() if key.startswith("features.")}
    own = {}
    for key in model.net.state_dict():
        _, index, *rest = key.split(".")  # slice2.3.weight: children keep their index of `features`
        own[key] = features[".".join(("features", index, *rest))]
    model.net.load_state_dict(own, strict=True)
    return model.eval().requires_grad_(False)


def peer_value(model: Any, x: Tensor, y: Tensor) -> Tensor:
    """(N,) of the peer for images in [0, 1]."""
    return model(x, y, normalize=True).flatten()  # type: ignore[no-any-return]


def main() -> None:
    """Print the literals."""
    for network in NETWORKS:
        for version in ("0.1", "0.0"):
            for size in SIZES:
                x, y = images(SIZES[size])
                x.requires_grad_()
                values = peer_value(peer(network, version), x, y)
                (slope,) = torch.autograd.grad(values.sum(), x)
                numbers = [float(v) for v in values.detach()]
                norm, probe = float(slope.double().norm()), float(slope[0, 1, 20, 30])
                print(f"    ({network!r}, {version!r}, {size!r}): ({numbers!r}, {norm!r}, {probe!r}),")


if __name__ == "__main__":
    main()
