"""Make torchvision importable beside a torch that its compiled operators were not built for.

The published torchvision wheel is built for CUDA. Beside a CPU-only torch its C++ library does not
load, and ``import torchvision`` stops at ``operator torchvision::nms does not exist``, because it
attaches shape functions to a few operators whether they are there or not. Declaring the schemas of
those operators is enough for models, transforms and data sets; calling such an operator
(``torchvision.ops.nms``) still answers with torchvision's own "Couldn't load custom C++ ops".
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import re
import sys
import threading
from pathlib import Path

import torch

logger = logging.getLogger("lossnets")

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_SYMPTOM = re.compile(r"operator torchvision::\w+ does not exist")
_REGISTRATION = re.compile(r"""(?:register_fake|impl_abstract)\(\s*["']torchvision::(\w+)["']""")
_lock = threading.RLock()
_declarations: list[torch.library.Library] = []  # a Library takes its operators along when it is collected


def ensure_torchvision() -> None:
    """Import torchvision; where that fails for want of compiled operators, declare those and try again.

    Call it before any import of torchvision or timm. It declares nothing where the compiled
    operators load, and calling it again costs nothing.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
        RuntimeError: torchvision's import fails for another reason (left as it came).

    >>> ensure_torchvision()
    >>> import torchvision.models
    """
    with _lock:
        try:
            importlib.import_module("torchvision")
        except RuntimeError as error:
            if not _SYMPTOM.search(str(error)):
                raise
            logger.debug("torchvision's compiled operators do not load (%s): declaring them", error)
        else:
            return
        _forget_failed_import()
        _declare_missing()
        importlib.import_module("torchvision")


def _forget_failed_import() -> None:
    """Drop what the failed import left behind: half of torchvision would be used again as it is."""
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]


def _declare_missing() -> None:
    for name in sorted(_asked_for() or _SCHEMAS):
        if hasattr(torch.ops.torchvision, name):
            continue
        # FRAGMENT, so that somebody else's declarations in this namespace stay welcome
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        library.define(_SCHEMAS.get(name, f"{name}(...) -> Tensor"))  # type: ignore[no-untyped-call]
        _declarations.append(library)


def _asked_for() -> set[str]:
    """Names of the operators that this version of torchvision attaches shape functions to."""
    found = importlib.util.find_spec("torchvision")
    folders = (found.submodule_search_locations if found else None) or []
    sources = [Path(folder) / "_meta_registrations.py" for folder in folders]
    texts = [source.read_text("utf-8") for source in sources if source.is_file()]
    return {name for text in texts for name in _REGISTRATION.findall(text)}
