"""The same values with less memory: rewrites of a stage's graph that nobody can see in the numbers."""

from __future__ import annotations

import operator

import torch
from torch import fx, nn
from torch.nn import functional as F  # noqa: N812 - the name that everybody uses

# Activations that keep their result, not their input, for the backward pass, and producers that keep
# neither: only between such a pair can the activation overwrite its input without anybody noticing.
_RELU_FUNCTIONS = (F.relu, torch.relu)
_SAFE_PRODUCERS = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)
_SAFE_FUNCTIONS = (operator.add, torch.add, torch.cat)


def save_memory(graph: fx.Graph, root: nn.Module, kept: set[fx.Node]) -> None:
    """Rewrite a stage's graph in place; every value that leaves it stays the same to the bit.

    Args:
        graph: of one stage.
        root: the module that the graph's layers are found in.
        kept: nodes whose values leave the stage (its tap, what later stages need); updated.
    """
    _activate_after_concatenation(graph, root, kept)
    _overwrite_before_activation(graph, root, kept)


def _activate_after_concatenation(graph: fx.Graph, root: nn.Module, kept: set[fx.Node]) -> None:
    """cat(relu(a), relu(b)) -> relu(cat(a, b)): one map is kept for the way back instead of two."""
    for node in list(graph.nodes):
        if node.op != "call_function" or node.target is not torch.cat or not node.args:
            continue
        parts = node.args[0]
        if not isinstance(parts, (list, tuple)) or not all(_hidden_relu(p, root, kept) for p in parts):
            continue
        node.args = ([p.args[0] for p in parts], *node.args[1:])
        with graph.inserting_after(node):
            activated = graph.call_function(torch.relu, (node,))
        for user in [user for user in node.users if user is not activated]:
            user.replace_input_with(node, activated)
        for part in dict.fromkeys(parts):
            graph.erase_node(part)
        if node in kept:
            kept.remove(node)
            kept.add(activated)


def _hidden_relu(node: object, root: nn.Module, kept: set[fx.Node]) -> bool:
    """A ReLU that is read once and does not leave the stage."""
    if not isinstance(node, fx.Node) or node in kept or len(node.users) != 1:
        return False
    return _is_relu(node, root) and len(node.args) > 0


def _overwrite_before_activation(graph: fx.Graph, root: nn.Module, kept: set[fx.Node]) -> None:
    """Let a ReLU overwrite its input where nobody can see it: not a tap, no other reader, not saved."""
    for node in list(graph.nodes):
        if not _is_relu(node, root):
            continue
        source = node.args[0] if node.args else None
        if not isinstance(source, fx.Node) or source in kept or len(source.users) > 1:
            continue
        if _keeps_no_result(source, root):
            with graph.inserting_before(node):
                replacement = graph.call_function(torch.relu_, (source,))
            node.replace_all_uses_with(replacement)
            graph.erase_node(node)
            if node in kept:
                kept.add(replacement)


def _is_relu(node: fx.Node, root: nn.Module) -> bool:
    if node.op == "call_module":
        return _is_plain(root.get_submodule(str(node.target)), (nn.ReLU,))
    return node.op == "call_function" and node.target in _RELU_FUNCTIONS


def _keeps_no_result(node: fx.Node, root: nn.Module) -> bool:
    if node.op == "call_module":
        return _is_plain(root.get_submodule(str(node.target)), _SAFE_PRODUCERS)
    return node.op == "call_function" and node.target in _SAFE_FUNCTIONS


def _is_plain(layer: nn.Module, kinds: tuple[type[nn.Module], ...]) -> bool:
    """A layer of exactly one of the kinds, with no hook that would see, or change, what passes."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return type(layer) in kinds and not any(vars(layer)[name] for name in hooks)
