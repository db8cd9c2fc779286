"""torchvision beside a torch that its compiled operators fit, or do not: each case in its own process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import lossnets.torchvision_compat as compat_module

COMPAT = str(Path(compat_module.__file__))
PREAMBLE = f"""
import importlib.util, sys, threading
import torch
spec = importlib.util.spec_from_file_location("compat", {COMPAT!r})
compat = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compat)
NAMES = ("brand_new", "nms", "qnms")
declared = lambda: [name for name in NAMES if hasattr(torch.ops.torchvision, name)]
"""
# what torchvision's own import does, without torchvision: shape functions for operators, present or not
FAKE = """
import torch
{before}
@torch.library.register_fake("torchvision::nms")
def _nms(*args): ...
@torch.library.register_fake(
    "torchvision::brand_new"
)
def _brand_new(*args): ...
"""


def run(code: str, *, path: Path | None = None) -> str:
    """Run code in a fresh interpreter with warnings as errors; returns what it printed."""
    environment = dict(os.environ)
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PREAMBLE + textwrap.dedent(code)],
        capture_output=True, text=True, env=environment, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def fake_torchvision(folder: Path, *, before: str = "") -> Path:
    package = folder / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("from . import _meta_registrations\nimport torchvision.helper\n")
    (package / "helper.py").write_text("")
    (package / "_meta_registrations.py").write_text(FAKE.format(before=before))
    return folder


def operators_load_here() -> bool:
    code = "import torchvision"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def broken_torchvision() -> None:
    if operators_load_here():
        pytest.skip("torchvision's compiled operators load beside this torch")


def test_the_installed_torchvision_imports_and_its_models_and_ops_work() -> None:
    out = run(
        """
        compat.ensure_torchvision()
        compat.ensure_torchvision()
        import torchvision.models, torchvision.ops, torchvision.transforms.v2, torchvision.datasets
        from torchvision.models.feature_extraction import create_feature_extractor
        net = create_feature_extractor(torchvision.models.squeezenet1_1().eval(), ["features.2"])
        print(tuple(net(torch.zeros(1, 3, 32, 32))["features.2"].shape))
        print(tuple(torchvision.ops.SqueezeExcitation(4, 2)(torch.zeros(1, 4, 2, 2)).shape))
        """
    )
    assert out.splitlines() == ["(1, 64, 7, 7)", "(1, 4, 2, 2)"]


@pytest.mark.usefixtures("broken_torchvision")
def test_without_the_shim_the_import_fails_and_with_it_recovers_in_the_same_process() -> None:
    out = run(
        """
        try:
            import torchvision
        except RuntimeError as error:
            print(error)
        compat.ensure_torchvision()
        import torchvision
        print(torchvision.extension._has_ops(), len(torchvision.models.list_models()) > 80)
        """
    )
    assert out.splitlines() == ["operator torchvision::nms does not exist", "False True"]


@pytest.mark.usefixtures("broken_torchvision")
def test_declared_operators_outlive_garbage_collection_and_say_that_they_are_not_there() -> None:
    out = run(
        """
        import gc
        compat.ensure_torchvision()
        gc.collect()
        import torchvision
        try:
            torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
        except RuntimeError as error:
            print(str(error)[:35])
        print("nms" in declared())
        """
    )
    assert out.splitlines() == ["Couldn't load custom C++ ops. This ", "True"]


@pytest.mark.usefixtures("broken_torchvision")
def test_a_partial_shim_of_somebody_else_is_completed_not_replaced() -> None:
    out = run(
        """
        theirs = torch.library.Library("torchvision", "DEF")
        theirs.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        theirs.impl("nms", lambda dets, scores, iou_threshold: scores + 1, "CPU")
        compat.ensure_torchvision()
        import torchvision
        print(torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5).item())
        """
    )
    assert out == "1.0"


def test_present_operators_are_left_alone(tmp_path: Path) -> None:
    """A build whose operators load: here they come with the package, as the C++ library brings them."""
    operators = """
library = torch.library.Library("torchvision", "DEF")
for name in ("nms", "brand_new"):
    library.define(name + "(Tensor x) -> Tensor")
    library.impl(name, lambda x: x * 2, "CPU")
"""
    out = run(
        """
        compat.ensure_torchvision()
        print(declared(), compat._declarations, torch.ops.torchvision.nms(torch.ones(1)).item())
        """,
        path=fake_torchvision(tmp_path, before=operators),
    )
    assert out == "['brand_new', 'nms'] [] 2.0"


def test_operators_that_only_a_later_torchvision_asks_for_are_declared_too(tmp_path: Path) -> None:
    out = run(
        "compat.ensure_torchvision(); print(declared(), len(compat._declarations))",
        path=fake_torchvision(tmp_path),
    )
    assert out == "['brand_new', 'nms'] 2"  # and not qnms, which this one does not ask for


def test_many_threads_at_once_declare_once(tmp_path: Path) -> None:
    out = run(
        """
        threads = [threading.Thread(target=compat.ensure_torchvision) for _ in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        print(len(compat._declarations), "torchvision.helper" in sys.modules)
        """,
        path=fake_torchvision(tmp_path),
    )
    assert out == "2 True"


@pytest.mark.parametrize("statement", ["raise RuntimeError('something else')", "raise OSError('no disk')"])
def test_other_failures_of_the_import_come_through_as_they_are(tmp_path: Path, statement: str) -> None:
    out = run(
        """
        try:
            compat.ensure_torchvision()
        except (RuntimeError, OSError) as error:
            print(type(error).__name__, error, compat._declarations)
        """,
        path=fake_torchvision(tmp_path, before=statement),
    )
    assert out in ("RuntimeError something else []", "OSError no disk []")


def test_a_missing_torchvision_is_an_import_error() -> None:
    out = run(
        """
        sys.modules["torchvision"] = None  # what an import of a package that is not there finds
        try:
            compat.ensure_torchvision()
        except ModuleNotFoundError as error:
            print(error.name)
        """
    )
    assert out == "torchvision"
