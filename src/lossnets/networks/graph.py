"""A network as a graph of operations: traced, freed of in-place operations, cut into stages at its taps.

The stages are what makes a loss both right and light: stage k computes the features of tap k from the
few tensors that are still needed, so that a caller can use (and free) them before the next stage runs.
"""

from __future__ import annotations

import inspect
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812 - the name that everybody uses

from lossnets.networks.lean import save_memory

_OUT_OF_PLACE_OPERATOR: dict[Any, Callable[..., Any]] = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
    operator.ifloordiv: operator.floordiv,
    operator.imod: operator.mod,
    operator.ipow: operator.pow,
    operator.imatmul: operator.matmul,
    operator.iand: operator.and_,
    operator.ior: operator.or_,
    operator.ixor: operator.xor,
}


# Methods and functions that may return their input, or a view of it: writing into one changes the other.
_MAY_SHARE_MEMORY = frozenset((
    "view", "view_as", "reshape", "reshape_as", "permute", "transpose", "t", "swapaxes", "swapdims",
    "movedim", "moveaxis", "chunk", "split", "tensor_split", "narrow", "select", "flatten", "unflatten",
    "ravel", "unsqueeze", "squeeze", "expand", "expand_as", "unbind", "diagonal", "unfold", "detach",
    "contiguous", "to", "float", "double", "half", "type", "type_as", "getitem", "getattr", "dropout",
    "dropout2d", "feature_dropout", "alpha_dropout", "stochastic_depth", "drop_path", "broadcast_to",
    "atleast_3d", "identity", "real",
))  # fmt: skip
_MODULES_THAT_SHARE = (
    nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d,
    nn.AlphaDropout, nn.FeatureAlphaDropout, nn.Sequential,
)  # fmt: skip


class UntraceableError(Exception):
    """The network cannot be turned into a graph whose values are certain; hooks are the way then."""


@dataclass
class TracedNetwork:
    """A traced network: its graph module, and for each module path the node that is its output.

    Attributes:
        module: the graph module; its graph has no in-place operation.
        outputs: module path -> output node, in the order of computation. A module that is called
            again appears again as ``path_1``, ``path_2``, ...
    """

    module: fx.GraphModule
    outputs: dict[str, fx.Node] = field(default_factory=dict)


class _Proxy(fx.Proxy):
    """A stand-in that tells ``x += y``, which other names of ``x`` see, from ``x = x + y``."""


def _in_place(function: Callable[..., Any]) -> Callable[[fx.Proxy, Any], Any]:
    def method(self: fx.Proxy, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    return method


for _function in _OUT_OF_PLACE_OPERATOR:
    setattr(_Proxy, f"__{_function.__name__}__", _in_place(_function))


class _OutputTracer(fx.Tracer):
    """Traces down to torch.nn modules and remembers what every module on the way returned."""

    # Buffers stay buffers, as parameters do, even where code computes with them: else the result for
    # the buffer's present content would become a constant of the graph.
    proxy_buffer_attributes = True

    def __init__(
        self, leaves: tuple[type[nn.Module], ...], functions: tuple[Callable[..., Any], ...]
    ) -> None:
        super().__init__(autowrap_functions=functions)
        self.leaves = leaves
        self.outputs: dict[str, fx.Node] = {}
        self.calls: Counter[str] = Counter()

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, self.leaves) or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        result = super().call_module(m, forward, args, kwargs)
        if isinstance(result, fx.Proxy):
            path = self.path_of_module(m)
            times = self.calls[path]
            self.calls[path] += 1
            name = path if times == 0 else f"{path}_{times}"
            if times == 0 or name not in self.modules:  # the name of another module is that module's
                self.outputs[name] = result.node
        return result

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        self.modules = {name for name, _ in root.named_modules()}
        return super().trace(root, concrete_args)


def trace(
    model: nn.Module,
    *,
    leaves: Iterable[type[nn.Module]] = (),
    functions: Iterable[Callable[..., Any]] = (),
) -> TracedNetwork:
    """Trace ``model`` (in eval mode) and make every operation out of place.

    Args:
        model: takes one (N, C, H, W) tensor. Its ``inplace`` flags are set to False.
        leaves: module types that must be called as they are, not traced.
        functions: functions that must be called as they are, not traced.

    Raises:
        UntraceableError: the forward pass depends on values, or writes into views of tensors.
    """
    inplace = _clear_inplace_flags(model)
    tracer = _OutputTracer(tuple(leaves), tuple(functions))
    try:
        graph = tracer.trace(model, concrete_args=_optional_arguments(model))
    except Exception as error:  # arbitrary code of the model ran on stand-ins for tensors
        raise UntraceableError(f"{type(model).__name__} cannot be traced: {error}") from error
    _check_single_input(graph)
    for node in list(graph.nodes):
        _make_out_of_place(node, tracer.root)
        if node.op == "call_module" and node.target in inplace:
            _redirect_later_uses(node, tracer.root)
    position = {node: i for i, node in enumerate(graph.nodes)}
    outputs = dict(sorted(tracer.outputs.items(), key=lambda item: position[item[1]]))
    module = fx.GraphModule(tracer.root, graph)
    return TracedNetwork(module, outputs)


def _optional_arguments(model: nn.Module) -> dict[str, Any]:
    """Arguments of ``forward`` that nobody will pass, with their defaults: ``attn_mask=None``."""
    parameters = list(inspect.signature(model.forward).parameters.values())[1:]
    return {
        p.name: p.default
        for p in parameters
        if p.default is None or isinstance(p.default, (bool, int, float))
    }


def _check_single_input(graph: fx.Graph) -> None:
    for node in [n for n in graph.nodes if n.op == "placeholder"][1:]:
        if any(getattr(user.target, "__name__", "") not in ("_assert_is_none", "eq") for user in node.users):
            raise UntraceableError(f"the network uses a second input {node.target!r}")


def _clear_inplace_flags(model: nn.Module) -> set[str]:
    """Make modules compute out of place; return the paths of those that did not."""
    changed = [m for m in model.modules() if getattr(m, "inplace", False) is True]
    for module in changed:
        module.inplace = False  # type: ignore[assignment]
    return {path for path, m in model.named_modules(remove_duplicate=False) if m in changed}


def _make_out_of_place(node: fx.Node, root: nn.Module) -> None:
    """``y += x``, ``y.add_(x)``, ``relu(y, inplace=True)`` -> the same value in a new tensor."""
    if node.target in (operator.setitem, setattr) or "out" in node.kwargs:
        raise UntraceableError(f"{node.format_node()} writes into a part of another tensor")
    if node.op == "call_function":
        replacement = _out_of_place_function(node)
        if replacement is not node.target:
            _redirect_later_uses(node, root)
            node.target = replacement
        _clear_inplace_argument(node, root)
    elif node.op == "call_method" and isinstance(node.target, str):
        plain = node.target.rstrip("_")
        if node.target.endswith("_") and not node.target.startswith("__"):
            if not callable(getattr(Tensor, plain, None)):
                raise UntraceableError(f"{node.format_node()} has no out-of-place form")
            _redirect_later_uses(node, root)
            node.target = plain


def _out_of_place_function(node: fx.Node) -> Callable[..., Any]:
    """``torch.relu_`` -> ``torch.relu``; a function that changes nothing -> itself."""
    function: Any = node.target
    if function in _OUT_OF_PLACE_OPERATOR:
        return _OUT_OF_PLACE_OPERATOR[function]
    name = getattr(function, "__name__", "")
    home = str(getattr(function, "__module__", "") or "")
    if not name.endswith("_") or name.endswith("__") or not (home.startswith("torch") or not home):
        return function  # type: ignore[no-any-return]
    for library in (torch, F):
        plain = getattr(library, name[:-1], None)
        if callable(plain):
            return plain  # type: ignore[no-any-return]
    raise UntraceableError(f"{node.format_node()} has no out-of-place form")


def _clear_inplace_argument(node: fx.Node, root: nn.Module) -> None:
    try:
        names = list(inspect.signature(node.target).parameters)  # type: ignore[arg-type]
    except (TypeError, ValueError):  # built-in functions have no signature, and no such argument
        return
    if "inplace" not in names:
        return
    position = names.index("inplace")
    inplace = node.args[position] if len(node.args) > position else node.kwargs.get("inplace", False)
    if inplace:
        _redirect_later_uses(node, root)
    if len(node.args) > position:
        node.args = (*node.args[:position], False, *node.args[position + 1 :])
    elif "inplace" in node.kwargs:
        node.kwargs = {**node.kwargs, "inplace": False}


def _redirect_later_uses(node: fx.Node, root: nn.Module) -> None:
    """Code that changed ``x`` in place and went on with ``x`` meant the changed one: keep its meaning.

    Raises:
        UntraceableError: another tensor that may share the memory of ``x`` is used afterwards.
    """
    changed = node.args[0] if node.args else next(iter(node.kwargs.values()), None)
    if not isinstance(changed, fx.Node) or _is_number(changed):
        return
    later = _nodes_after(node)
    for other in _may_share_memory(changed, root) - {changed, node}:
        if not later.isdisjoint(other.users):
            raise UntraceableError(f"{node.format_node()} writes into memory that {other.name} may share")
    changed.replace_all_uses_with(node, delete_user_cb=lambda user: user in later)


def _is_number(node: fx.Node) -> bool:
    """Whether a value is made of sizes only: ``h += 1`` gives ``h`` a new value, and nobody else sees it."""
    if node.target is getattr:
        return node.args[1] in ("shape", "ndim")
    if node.op == "call_method":
        return node.target in ("size", "dim", "numel")
    inputs = node.all_input_nodes
    return node.op == "call_function" and bool(inputs) and all(_is_number(n) for n in inputs)


def _nodes_after(node: fx.Node) -> set[fx.Node]:
    later = set()
    cursor = node.next
    while cursor.op != "root":
        later.add(cursor)
        cursor = cursor.next
    return later


def _may_share_memory(node: fx.Node, root: nn.Module) -> set[fx.Node]:
    """The nodes that may be views of the same memory as ``node``, itself included."""
    found: set[fx.Node] = set()
    stack = [node]
    while stack:
        current = stack.pop()
        if current in found:
            continue
        found.add(current)
        if _shares_with_input(current, root):
            stack.extend(current.all_input_nodes)
        stack.extend(user for user in current.users if _shares_with_input(user, root))
    return found


def _shares_with_input(node: fx.Node, root: nn.Module) -> bool:
    if node.op == "call_module":
        return isinstance(root.get_submodule(str(node.target)), _MODULES_THAT_SHARE)
    if node.op == "call_function" and node.target is getattr:  # x.shape has no memory, x.T and x.data have
        return node.args[1] not in ("shape", "ndim", "dtype", "device", "requires_grad")
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return node.op in ("call_method", "call_function") and name in _MAY_SHARE_MEMORY


_PRODUCTS = frozenset((
    "matmul", "mm", "bmm", "mv", "addmm", "addbmm", "baddbmm", "linear", "bilinear", "einsum", "tensordot",
    "scaled_dot_product_attention", "chain_matmul", "multi_dot", "multi_head_attention_forward",
))  # fmt: skip
_WITH_PRODUCTS = (nn.Linear, nn.Bilinear, nn.MultiheadAttention, nn.RNNBase, nn.Transformer)


def has_products(stages: nn.Module) -> bool:
    """Whether matrix products may be among the operations: certain for graphs of torch's own layers only."""
    for module in stages.modules():
        if isinstance(module, fx.GraphModule):
            functions = (n.target for n in module.graph.nodes if n.op in ("call_function", "call_method"))
            names = (f if isinstance(f, str) else getattr(f, "__name__", "") for f in functions)
            if not _PRODUCTS.isdisjoint(names):
                return True
        elif isinstance(module, _WITH_PRODUCTS) or not _is_known(module):
            return True
    return False


def _is_known(module: nn.Module) -> bool:
    kind = type(module)
    return kind is nn.Module or kind.__module__.startswith(("torch.nn.modules", "torch.ao", "lossnets"))


class Stages(nn.ModuleList):
    """A network cut at its taps: one module per tap, in the order of computation."""

    def iterate(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the features of each tap; stages that are not asked for are not computed."""
        live: tuple[Tensor, ...] = (images,)
        for stage in self:
            features, live = stage(*live)
            yield features
            del features  # so that the caller decides how long the map lives


def cut(traced: TracedNetwork, taps: Sequence[str]) -> tuple[Stages, list[str]]:
    """Cut the network into one stage per tap; what lies behind the deepest tap is left out.

    Args:
        traced: the network.
        taps: keys of ``traced.outputs``, each once, in any order.

    Returns:
        Stages and tap names, both in the order of computation. Stage k maps the live tensors
        (a tuple; for the first stage ``(images,)``) to ``(features of tap k, live tensors for k+1)``.
    """
    order = {node: i for i, node in enumerate(traced.module.graph.nodes)}
    names = sorted(taps, key=lambda name: order[traced.outputs[name]])
    members: list[list[fx.Node]] = []
    done: set[fx.Node] = set()
    for name in names:
        new = _ancestors(traced.outputs[name], done)
        done |= new
        members.append(sorted((n for n in new if n.op != "placeholder"), key=order.__getitem__))
    inputs = tuple(n for n in traced.module.graph.nodes if n.op == "placeholder")[:1]
    stages = Stages()
    live = inputs
    for k, name in enumerate(names):
        later = [n for stage in members[k + 1 :] for n in stage]
        needed = {arg for n in later for arg in n.all_input_nodes}
        needed |= {traced.outputs[n] for n in names[k + 1 :]}
        available = [*live, *members[k]]
        live_out = tuple(n for n in available if n in needed)
        stages.append(_stage(traced.module, live, members[k], traced.outputs[name], live_out))
        live = live_out
    return stages, names


def _ancestors(node: fx.Node, done: set[fx.Node]) -> set[fx.Node]:
    found: set[fx.Node] = set()
    stack = [node]
    while stack:
        current = stack.pop()
        if current in found or current in done:
            continue
        found.add(current)
        stack.extend(current.all_input_nodes)
    return found


def _stage(
    root: fx.GraphModule,
    live: tuple[fx.Node, ...],
    nodes: list[fx.Node],
    tap: fx.Node,
    live_out: tuple[fx.Node, ...],
) -> fx.GraphModule:
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for i, node in enumerate(live):
        copies[node] = graph.placeholder(f"live_{i}")
    for node in nodes:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output((copies[tap], tuple(copies[n] for n in live_out)))
    kept = {copies[tap], *(copies[n] for n in live_out)}
    save_memory(graph, root, kept)
    graph.lint()
    return fx.GraphModule(root, graph, class_name="Stage")
