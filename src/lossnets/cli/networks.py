"""``lossnets networks`` and ``lossnets taps``: what there is to choose from."""

from __future__ import annotations

import dataclasses
import json as json_module
from typing import Annotated, Any

import typer

from lossnets.cli.console import note, print_table
from lossnets.errors import unknown_name


def networks(
    pattern: Annotated[str, typer.Argument(help="Shell-style pattern; 'timm/...' searches timm.")] = "*",
    timm: Annotated[bool, typer.Option("--timm", help="List timm's networks too (over a thousand).")] = False,
    study: Annotated[bool, typer.Option("--study", help="Only the study's 14 networks.")] = False,
    json: Annotated[bool, typer.Option("--json", help="All that is known, as JSON.")] = False,
) -> None:
    """List loss networks: parameters, operations, ImageNet accuracy, weights, points.

    Every number comes from the metadata of the library that publishes the network; "-" means that
    it states none.

    \b
    Examples:
      lossnets networks 'vgg*'
      lossnets networks 'timm/*resnext*'
    """  # noqa: D301  # the escape keeps the line break of the example
    from lossnets.networks import list_networks, network_spec, study_networks

    names = list_networks(pattern, timm=timm)
    known = study_networks() if study else list_networks(timm=True)
    if study:
        names = [name for name in names if name in known]
    if not names:
        of_study = " of the study" if study else ""
        see = f"lossnets networks {'--study' if study else '--timm'}"
        raise unknown_name(f"network pattern{of_study}", pattern, known, see=see)
    specs = [network_spec(name) for name in names]
    if json:
        typer.echo(json_module.dumps([dataclasses.asdict(spec) for spec in specs], indent=1))
        return
    columns = [
        ("network", False), ("library", False), ("weights", False), ("parameters", True), ("GMACs", True),
        ("top-1 %", True), ("top-5 %", True), ("points", False),
    ]  # fmt: skip
    print_table(f"{len(specs)} networks", columns, (_network_row(spec) for spec in specs))


def _network_row(spec: Any) -> list[str]:
    return [
        spec.name,
        spec.library,
        spec.weights.name if spec.weights else "none",
        f"{spec.parameters / 1e6:.2f} M" if spec.parameters else "-",
        f"{spec.gmacs:.2f}" if spec.gmacs else "-",
        f"{spec.top1:.1f}" if spec.top1 else "-",
        f"{spec.top5:.1f}" if spec.top5 else "-",
        " ".join(spec.points) or "-",
    ]


def taps(
    network: Annotated[str, typer.Argument(help="Name of the network, see 'lossnets networks'.")],
    points: Annotated[
        bool,
        typer.Option("--points", help="Only the points of the study and of LPIPS, and the default taps."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="The records as JSON.")] = False,
) -> None:
    """List the extraction points of a network, in the order of computation.

    A loss name is made of them: NETWORK/TAP[=WEIGHT][,TAP...]. The receptive field is the side, in
    pixels, of the square that one position sees ("all": the whole image, or unknown); depth is the
    share of the network's convolution and linear layers up to the tap.

    \b
    Examples:
      lossnets taps vgg16
      lossnets taps efficientnet_lite0 --points
    """  # noqa: D301  # the escape keeps the line break of the example
    from lossnets.networks import blueprint
    from lossnets.networks.defaults import default_taps

    plan = blueprint(network)
    study, lpips = set(plan.spec.points), set(plan.spec.lpips_points)
    default = set() if study else {plan.taps[path].name for path in default_taps(plan)}
    records = [tap for tap in plan.taps.values() if not points or tap.name in study | lpips | default]
    if json:
        typer.echo(json_module.dumps([dataclasses.asdict(tap) for tap in records], indent=1))
        return
    columns = [
        ("tap", False), ("module", False), ("also", False), ("channels", True), ("stride", True),
        ("receptive field", True), ("depth", True), ("point of", False),
    ]  # fmt: skip
    named = {"study": study, "lpips": lpips, "default": default}
    rows = (_tap_row(tap, [word for word, names in named.items() if tap.name in names]) for tap in records)
    print_table(f"{plan.spec.name}: {len(records)} taps", columns, rows)
    if plan.fixed_size:
        note(f"takes images of {plan.fixed_size[0]}x{plan.fixed_size[1]} pixels only")


def _tap_row(tap: Any, words: list[str]) -> list[str]:
    return [
        tap.name,
        tap.module if tap.module != tap.name else "",
        " ".join(alias for alias in tap.aliases if alias != tap.module),
        str(tap.channels),
        str(tap.stride) if tap.stride else "-",
        str(tap.receptive_field) if tap.receptive_field else "all",
        f"{tap.depth:.2f}",
        " ".join(words),
    ]
