"""``lossnets networks`` and ``lossnets taps``: tables, JSON, patterns, nearest names."""

from __future__ import annotations

import json

import pytest

from lossnets.cli import main
from lossnets.networks import blueprint, network_spec, study_networks

Captured = pytest.CaptureFixture[str]


def table(text: str) -> dict[str, list[str]]:
    """First word of each row of a table -> its other words."""
    rows = [line.split() for line in text.splitlines() if line.startswith("  ")]
    return {row[0]: row[1:] for row in rows if row}


def test_a_pattern_lists_what_it_matches(capsys: Captured) -> None:
    assert main(["networks", "vgg16*"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("2 networks\n")
    rows = table(captured.out)
    assert set(rows) == {"network", "vgg16", "vgg16_bn"}
    assert rows["vgg16"][:7] == ["torchvision", "IMAGENET1K_V1", "138.36", "M", "15.47", "71.6", "90.4"]
    assert rows["vgg16"][7:] == list(network_spec("vgg16").points)
    assert captured.err == ""


def test_all_of_them_begin_with_the_default(capsys: Captured) -> None:
    assert main(["networks"]) == 0
    names = list(table(capsys.readouterr().out))
    assert names[1] == "efficientnet_lite0"
    assert {"resnet50", "vit_b_16", *study_networks()} <= set(names)
    assert not any(name.startswith("timm/") for name in names)


def test_the_study_has_fourteen(capsys: Captured) -> None:
    assert main(["networks", "--study", "--json"]) == 0
    assert [record["name"] for record in json.loads(capsys.readouterr().out)] == study_networks()


def test_json_holds_the_whole_record(capsys: Captured) -> None:
    assert main(["networks", "squeezenet1_1", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    spec = network_spec("squeezenet1_1")
    assert record["weights"]["filename"] == spec.weights.filename
    assert tuple(record["lpips_points"]) == spec.lpips_points
    assert record["parameters"] == spec.parameters


def test_timm_by_pattern_and_by_option(capsys: Captured) -> None:
    assert main(["networks", "timm/tf_efficientnet_lite*"]) == 0
    by_pattern = set(table(capsys.readouterr().out))
    assert any(name.startswith("timm/tf_efficientnet_lite0.") for name in by_pattern)
    assert main(["networks", "*tf_efficientnet_lite*", "--timm"]) == 0
    assert set(table(capsys.readouterr().out)) == by_pattern


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vgg61"], "network pattern 'vgg61' is not known. Did you mean 'vgg1"),
        (["nothing*"], "All of them: lossnets networks --timm"),
        (["timm/resnet50", "--study"], "network pattern of the study 'timm/resnet50' is not known"),
        (["timm/resnet50", "--study"], "All of them: lossnets networks --study"),
    ],
)
def test_what_matches_nothing_gets_the_nearest(arguments: list[str], message: str, capsys: Captured) -> None:
    assert main(["networks", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


def test_a_name_that_the_study_lacks_is_not_proposed(capsys: Captured) -> None:
    assert main(["networks", "resnet34", "--study"]) == 2
    assert "Did you mean 'resnet50' or 'resnet18'" in capsys.readouterr().err


def test_taps_in_the_order_of_computation(capsys: Captured) -> None:
    assert main(["taps", "vgg16"]) == 0
    captured = capsys.readouterr()
    plan = blueprint("vgg16")
    assert captured.out.startswith(f"vgg16: {len(plan.taps)} taps\n")
    rows = table(captured.out)
    assert list(rows)[1:] == [tap.name for tap in plan.taps.values()]
    assert rows["relu3_3"] == ["features.15", "15", "256", "4", "40", "0.44", "study", "lpips"]
    assert rows["relu5_3"][-2:] == ["study", "lpips"]
    assert captured.err == ""


def test_points_only(capsys: Captured) -> None:
    assert main(["taps", "squeezenet1_1", "--points", "--json"]) == 0
    names = [record["name"] for record in json.loads(capsys.readouterr().out)]
    spec = blueprint("squeezenet1_1").spec
    assert set(names) == {*spec.points, *spec.lpips_points}


def test_a_network_of_one_size_says_so(capsys: Captured) -> None:
    assert main(["taps", "vit_b_16"]) == 0
    assert capsys.readouterr().err == "takes images of 224x224 pixels only\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vgg61", "network 'vgg61' is not known. Did you mean 'vgg"),
        ("convnext_atto", "write 'timm/convnext_atto'"),
    ],
)
def test_taps_of_an_unknown_network(name: str, message: str, capsys: Captured) -> None:
    assert main(["taps", name]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
