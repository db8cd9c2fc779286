"""The lines of Python that use a loss for a task, and where its weights come from."""

from __future__ import annotations

import re
from pathlib import Path

from lossnets.analysis.loss_facts import imitated_loss, loss_facts
from lossnets.errors import LossnetsError
from lossnets.gradients import pretrained
from lossnets.losses import parse_loss
from lossnets.losses.spec import LossSpec
from lossnets.networks import network_spec
from lossnets.networks.inventory import weights_card
from lossnets.runs.cost_steps import baseline

MU = 0.01
"""Weight of the loss beside cross-entropy in delineation (Mosinska et al. 2018)."""
_HASH = re.compile(r"\b(?:sha256:)?([0-9a-f]{8,64})\b")


def python_lines(loss: str, task: str) -> tuple[str, ...]:
    r"""Three lines to paste; ``output`` and ``target`` are (N, 3, H, W) in [0, 1].

    In delineation the loss is added to cross-entropy: ``logits`` and ``mask`` are (N, 1, H, W). For
    similarity there is one distance per image. Where a target stays the same from step to step,
    ``loss.encode(target)``, once, in the place of ``target`` saves its side of the work.

    >>> print("\n".join(python_lines("vgg16/relu3_3", "super-resolution")))
    import lossnets
    loss = lossnets.load_loss('vgg16/relu3_3')
    value = loss(output, target)  # (N, 3, H, W) in [0, 1]; then value.backward()
    """
    if task == "delineation":
        return _delineation(loss)
    if task == "similarity":
        return (
            "import lossnets",
            f"loss = lossnets.load_loss({loss!r}, reduction='none')",
            "distances = loss(output, target)  # (N, 3, H, W) in [0, 1] -> (N,), lower is more alike",
        )
    return (
        "import lossnets",
        f"loss = lossnets.load_loss({loss!r})",
        "value = loss(output, target)  # (N, 3, H, W) in [0, 1]; then value.backward()",
    )


def _delineation(loss: str) -> tuple[str, ...]:
    build = ("import lossnets, torch", f"loss = lossnets.load_loss({loss!r})")
    if loss == baseline("delineation"):
        return (*build, "value = loss(torch.sigmoid(logits), mask)  # (N, 1, H, W), mask 0 or 1")
    entropy = "torch.nn.functional.binary_cross_entropy_with_logits(logits, mask)"
    images = (f"{name}.expand(-1, 3, -1, -1)" for name in ("torch.sigmoid(logits)", "mask"))
    return (*build, f"value = {entropy} + {MU} * loss({', '.join(images)})")


def weights_origin(loss: str, signature: str = "") -> str:
    """Where the weights of a loss come from, in a sentence; empty where it has none.

    Args:
        loss: its name.
        signature: of the loss in the results, which has the hash of its weights.

    >>> weights_origin("pixel:mse"), weights_origin("vgg16/relu3_3:weights=random-0")
    ('', 'random weights, made from the seed')
    """
    try:
        spec = parse_loss(loss)
    except LossnetsError as error:
        return f"the loss cannot be built here: {error}"
    if spec.family == "pixel":
        return ""
    if spec.family == "pgn":
        return _of_gradient_network(loss, spec, signature)
    if spec.weights.startswith("random-"):
        return "random weights, made from the seed"
    if spec.weights == "custom":
        return "weights that were built in Python by whoever made the results; they are in no file"
    if spec.weights == "default":
        return _default(spec)
    return _file(spec, signature)


def weights_ready(loss: str) -> bool:
    """Whether the loss can be loaded here as it is named, by what is on this machine."""
    try:
        spec = parse_loss(loss)
    except LossnetsError:
        return False
    if spec.family == "pgn":
        return _file_of(spec) is not None
    if "custom" in (spec.weights, spec.head) or (spec.head and not Path(spec.head).expanduser().exists()):
        return False
    if spec.family == "pixel" or spec.weights.startswith("random-"):
        return True
    if spec.weights == "default":
        return weights_card(network_spec(spec.network)).state in ("packaged", "present")
    return Path(spec.weights).expanduser().exists()


def _file_of(spec: LossSpec) -> Path | None:
    """The file of a gradient network; None where there is none here."""
    try:
        return pretrained.resolve(spec.network)
    except LossnetsError:
        return None


def _of_gradient_network(loss: str, spec: LossSpec, signature: str) -> str:
    path, imitated = _file_of(spec), imitated_loss(signature) or loss_facts(loss).imitates
    what = "a gradient network" + (f" that imitates {imitated}" if imitated else "")
    if path is None:
        return f"{what}; its file is not here: pgn: takes the path of your copy"
    shipped = path.parent == pretrained.SHIPPED
    return f"{what}, {'installed with lossnets' if shipped else f'your file {path}'}"


def _default(spec: LossSpec) -> str:
    card = weights_card(network_spec(spec.network))
    if card.state in ("packaged", "present"):
        place = "installed with lossnets" if card.state == "packaged" else f"here: {card.path}"
        return f"{card.weights}, {place}"
    size = "" if card.megabytes is None else f" ({card.megabytes:.0f} MB)"
    return f"{card.weights}{size}, {card.state} on first use (lossnets weights fetch {card.network})"


def _file(spec: LossSpec, signature: str) -> str:
    known = _HASH.search(signature.rpartition("|weights:")[2]) if "|weights:" in signature else None
    digits = f", sha256 {known[1]}" if known else ""
    if Path(spec.weights).expanduser().exists():
        return f"your file {spec.weights}{digits}"
    return (
        f"{spec.weights}, a file of whoever made the results{digits}: it is not here. "
        f"weights= takes the path of your copy; published weights are a choice of their own, without results"
    )
