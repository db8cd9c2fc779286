"""The benchmark as a whole: scores, pictures, options, determinism, what it says when something is wrong."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lossnets.benchmarks import benchmark_names, load_benchmark
from lossnets.benchmarks.autoencoding.benchmark import Autoencoding
from lossnets.benchmarks.autoencoding.data import Corpus
from lossnets.benchmarks.autoencoding.evaluation import reference_scores
from lossnets.benchmarks.autoencoding.kinds import AutoencodingFolders
from lossnets.benchmarks.autoencoding.profiles import SIZES
from lossnets.benchmarks.base import Evaluation
from lossnets.errors import ConfigError, DataError, ImageError
from lossnets.images import read_image, write_image
from lossnets.losses import load_loss

from .standins import TINY, corpus, folder_of_images

KINDS = ("autoencoding-folders", "autoencoding-sample", "autoencoding-stl10", "autoencoding-svhn")
FEATURES = "squeezenet1_1/features.7:weights=random-0"


class Coloured(Autoencoding):
    """Images whose class is their colour; not registered."""

    name = "coloured"
    data = "labelled-folder"

    def read(self) -> Corpus:
        return corpus(20, 12)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "smoke", TINY)


def values(evaluation: Evaluation) -> dict[str, float]:
    return {score.name: score.value for score in evaluation.scores}


def test_the_kinds_are_registered_with_their_options() -> None:
    assert [name for name in benchmark_names() if name.startswith("autoencoding")] == list(KINDS)
    places = {
        name: [
            option
            for option, parameter in inspect.signature(module_class(name)).parameters.items()
            if "Path" in str(parameter.annotation)
        ]
        for name in KINDS
    }
    assert places == {
        "autoencoding-sample": [],
        "autoencoding-folders": ["root", "csv", "autoencoder"],
        "autoencoding-stl10": ["root"],
        "autoencoding-svhn": ["root"],
    }
    for name in KINDS:
        assert {"gamma", "scheme", "z", "precision"} <= set(inspect.signature(module_class(name)).parameters)


def module_class(name: str) -> type:
    from lossnets.benchmarks import benchmark_class

    return benchmark_class(name)


def test_scores_items_and_pictures(tmp_path: Path) -> None:
    found = Coloured().evaluate("pixel:mse", profile="smoke", folder=tmp_path)
    names = [score.name for score in found.scores]
    declared = [kind.name for kind in Coloured.scores]
    assert names == [*declared, "accuracy@majority class", "accuracy@raw pixels"]
    assert names[0] == "accuracy"
    by_name = {score.name: score for score in found.scores}
    for score in found.scores:
        assert score.n == 12
        assert score.low <= score.value <= score.high, score
    assert by_name["accuracy@majority class"].value == 0.5
    assert by_name["pixel_mse"].higher_is_better is False

    items = found.items
    assert {len(column) for column in items.values()} == {12}
    numbers = [column for column in items.values() if column.dtype.kind == "f"]
    assert all(np.isfinite(column).all() for column in numbers)
    assert by_name["psnr"].value == pytest.approx(items["psnr"].mean())
    assert by_name["accuracy"].value == pytest.approx((items["label"] == items["predicted"]).mean())
    chosen = found.facts["predictor"]
    assert by_name["accuracy"].value == by_name[f"accuracy_{chosen}"].value
    np.testing.assert_allclose(items["psnr"], -10 * np.log10(items["pixel_mse"]), rtol=1e-4)

    rows = sorted(p.name for p in (tmp_path / "pictures").iterdir())
    assert len(rows) == 6
    shown = read_image(tmp_path / "pictures" / rows[0] / "input.png")
    assert rows == [f"{k:06d}" for k in (0, 2, 4, 6, 8, 10)]  # spread over the test images
    wanted = corpus(20, 12).test.images.batch([0])[0]
    torch.testing.assert_close(shown, wanted, atol=0.5 / 255 + 1e-6, rtol=0)
    assert (tmp_path / "pictures" / rows[0] / "output.png").is_file()
    assert Coloured.sheet_columns == (("input",), ())


def test_the_same_seed_gives_the_same_and_another_one_does_not() -> None:
    first = Coloured(gamma=0.01).evaluate("pixel:mse", profile="smoke", seed=1)
    torch.rand(3)
    again = Coloured(gamma=0.01).evaluate("pixel:mse", profile="smoke", seed=1)
    other = Coloured(gamma=0.01).evaluate("pixel:mse", profile="smoke", seed=2)
    assert first.scores == again.scores
    assert values(first)["pixel_mse"] != values(other)["pixel_mse"]


def test_reference_rows_do_not_depend_on_the_loss() -> None:
    made = Coloured()
    found = [
        reference_scores(made.task(load_loss(name), seed=0, profile="smoke"), 2, TINY, 0)
        for name in ("pixel:mse", FEATURES)
    ]
    assert found[0] == found[1]


def test_colours_are_told_apart_after_a_short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "smoke", replace(TINY, epochs=3, predictor_epochs=150, predictor_patience=150))
    found = values(Coloured(z=8).evaluate("pixel:mse", profile="smoke"))
    assert found["accuracy"] == 1.0
    assert found["accuracy@majority class"] == 0.5


@pytest.mark.parametrize("scheme", ["I-F-FP", "F-F-FP", "F-I-PS"])
def test_other_schemes_run_and_say_where_there_is_no_reconstruction(scheme: str, tmp_path: Path) -> None:
    found = Coloured(scheme=scheme).evaluate(FEATURES, profile="smoke", folder=tmp_path)
    score = {s.name: s for s in found.scores}["psnr"]
    if scheme.endswith("FP"):
        assert np.isnan(score.value)
        assert "no reconstruction" in score.note
        assert "psnr" not in found.items
        assert not (tmp_path / "pictures").exists()
    else:
        assert np.isfinite(score.value)
    assert found.facts["features"] == 256 * 7 * 7
    assert found.facts["scheme"] == scheme


def test_another_scheme_does_not_go_on_from_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F-I-PS and F-I-PW have the same model, data and loss, and minimise something else."""
    monkeypatch.setitem(SIZES, "smoke", replace(TINY, epochs=2))

    class StoppedError(Exception):
        pass

    def stop(done: int, of: int) -> None:
        if done > of // 2:  # in the second epoch
            raise StoppedError

    for scheme in ("F-I-PS", "F-I-PW"):
        with pytest.raises(StoppedError):
            Coloured(scheme=scheme).evaluate(
                FEATURES, profile="smoke", folder=tmp_path / scheme, progress=stop
            )
    with pytest.raises(DataError, match="belongs to another training"):
        Coloured(scheme="F-I-PW").evaluate(FEATURES, profile="smoke", folder=tmp_path / "F-I-PS")
    found = Coloured(scheme="F-I-PW").evaluate(FEATURES, profile="smoke", folder=tmp_path / "F-I-PW")
    assert found.facts["epochs"] == 2


def test_images_of_classes_that_nothing_was_learnt_of_are_counted(tmp_path: Path) -> None:
    class Third(Coloured):
        def read(self) -> Corpus:
            whole = corpus(20, 12)
            labels = whole.test.labels.clone()
            labels[:3] = 2
            return replace(whole, classes=("red", "green", "blue"), test=replace(whole.test, labels=labels))

    count = "test_images_of_unseen_classes"
    assert Third().evaluate("pixel:mse", profile="smoke").facts[count] == 3
    assert Coloured().evaluate("pixel:mse", profile="smoke").facts[count] == 0


def test_the_task_of_another_benchmark_is_refused(tmp_path: Path) -> None:
    task: Any = object()
    with pytest.raises(ConfigError, match="task must be one that this benchmark made; got object"):
        Coloured().test(task, seed=0, profile="smoke", device="cpu", folder=tmp_path)


def test_the_workload_is_what_is_trained() -> None:
    made = Coloured()
    work = made.workload("smoke")
    assert (work.step_images, work.steps, work.side) == (8, 2, 64)  # 20 images less 4, batches of 8, 1 epoch
    found = made.evaluate("pixel:mse", profile="smoke")
    assert found.facts["training_images"] == 16
    assert work.model_bytes > 4 * int(str(found.facts["parameters"]))


def test_the_workload_is_known_without_data(tmp_path: Path) -> None:
    """80 % of the published images in batches of 256, for at most 50 epochs."""
    for name, images, side in (("stl10", 100_000, 96), ("svhn", 531_131, 64)):
        work = load_benchmark(f"autoencoding-{name}", root=tmp_path).workload("paper")
        learned = images - round(0.2 * images)
        assert (work.step_images, work.steps, work.side) == (256, 50 * -(-learned // 256), side)
    missing = load_benchmark("autoencoding-folders", root=tmp_path / "nowhere").workload("small")
    assert missing.step_images * missing.steps >= 0.8 * 1500 * SIZES["small"].epochs
    assert load_benchmark("autoencoding-stl10").bare_step("smoke", "cpu")() == TINY.batch_size  # type: ignore[attr-defined]


def test_options_that_are_not_allowed_are_refused() -> None:
    for options, message in (
        ({"gamma": -0.1}, "gamma must be 0"),
        ({"scheme": "X"}, "training scheme 'X' is not known"),
        ({"z": 1.5}, "z, the width of the embedding"),
        ({"precision": "8"}, "precision must be one of"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_benchmark("autoencoding-sample", **options)
    with pytest.raises(ConfigError, match="root"):
        load_benchmark("autoencoding-folders")
    with pytest.raises(ConfigError, match="profile of 'autoencoding-sample' must be one of small, smoke"):
        load_benchmark("autoencoding-sample").workload("paper")


def test_paper_is_as_published() -> None:
    paper = SIZES["paper"]
    assert (paper.autoencoder_images, paper.labelled_images, paper.test_images) == (None, None, None)
    assert (paper.epochs, paper.batch_size, paper.patience) == (50, 256, 10)
    assert (paper.predictor_epochs, paper.predictor_patience) == (500, 25)
    recipe = Coloured()._recipe(paper)
    assert (recipe.lr, recipe.betas, recipe.monitor) == (1e-3, (0.9, 0.999), "val_loss")


def test_a_test_image_that_cannot_be_read_is_known_before_the_training(tmp_path: Path) -> None:
    root = folder_of_images(tmp_path, ("a", "b"), 10)
    made = AutoencodingFolders(root)
    name = made.corpus.test.images.names[1]
    (root / name).write_bytes(b"no image")
    with pytest.raises(ImageError, match=f"{Path(name).name}' is not an image"):
        made.task(load_loss("pixel:mse"), seed=0, profile="smoke")
    write_image(root / name, torch.zeros(3, 32, 33))
    with pytest.raises(DataError, match=r"32×33 pixels.*one size"):
        AutoencodingFolders(root).task(load_loss("pixel:mse"), seed=0, profile="smoke")


def test_folders_run_end_to_end_with_images_of_their_own_for_the_autoencoder(tmp_path: Path) -> None:
    root = folder_of_images(tmp_path / "labelled", ("a", "b"), 10)
    more = folder_of_images(tmp_path / "more", ("x",), 20)
    made = load_benchmark("autoencoding-folders", root=root, autoencoder=more, z=8)
    made.prepare()
    assert len(made.data_fingerprint()) == 64
    found = made.evaluate("pixel:mse", profile="smoke", folder=tmp_path / "run")  # type: ignore[attr-defined]
    assert found.facts["training_images"] == 16
    assert found.facts["predictor_training_images"] == 13
    assert found.facts["stored_size"] == "32x32"
    assert found.facts["image_size"] == "64x64"
