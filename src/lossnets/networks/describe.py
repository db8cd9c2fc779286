"""What a traced network's module outputs are: channels, stride, receptive field, depth, smallest image.

All of it is found without computing a single feature: shapes run through a copy of the network whose
tensors have no data.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812 - the name that everybody uses

from lossnets.networks.graph import TracedNetwork
from lossnets.networks.interpreter import Interpreter
from lossnets.networks.spec import Tap

# Two sizes, so that what grows with the image can be told apart; the second pair for patches of 14.
_PROBES = (((256, 288), (320, 352)), ((224, 252), (280, 308)))
_LARGEST_MINIMUM = 1024
_LARGEST_STEP = 64
_POINTWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Hardswish,
    nn.Hardsigmoid, nn.Mish, nn.PReLU, nn.Softplus, nn.Identity, nn.Dropout, nn.Dropout2d,
    nn.BatchNorm2d, nn.LocalResponseNorm,
)  # fmt: skip
_POINTWISE_FUNCTIONS = frozenset((
    "add", "sub", "mul", "truediv", "cat", "relu", "relu6", "silu", "gelu", "sigmoid", "hardswish", "dropout",
    "stochastic_depth", "getitem", "unsqueeze",
))  # fmt: skip
WEIGHTED_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def without_data(module: nn.Module) -> nn.Module:
    """Copy a module with all parameters and buffers on the meta device: shapes, no numbers."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
    for buffer in module.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(module, memo)


class _ShapeRecorder(Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[str, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.shapes[n.name] = tuple(result.shape)
        return result


def node_shapes(module: fx.GraphModule, channels: int, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors for one image of ``size`` (H, W), by node name."""
    recorder = _ShapeRecorder(module)
    with torch.no_grad():
        recorder.run(torch.empty(1, channels, *size, device="meta"))
    return recorder.shapes


def describe_taps(
    traced: TracedNetwork, *, fixed_size: tuple[int, int] | None = None, channels: int = 3
) -> dict[str, Tap]:
    """Records of every module output that is a feature map, in the order of computation.

    Args:
        traced: the network.
        fixed_size: the one image size that the network takes, where it takes only one.
        channels: number of input channels.
    """
    module = without_data(traced.module)
    assert isinstance(module, fx.GraphModule)  # noqa: S101 - a copy of one
    sizes, probes = _probe(module, channels, fixed_size)
    fields = _receptive_fields(traced.module)
    total, before = _weighted_layers(traced.module)
    taps = {}
    for path, node in traced.outputs.items():
        if node.name not in probes[0]:
            continue
        seen = [probe[node.name] for probe in probes]
        layout = layout_of(seen)
        if layout is None:
            continue
        taps[path] = Tap(
            name=path,
            module=path,
            channels=seen[0][layout.index("C")],
            stride=_stride(seen, sizes, layout),
            receptive_field=fields.get(node),
            depth=round(before[node] / max(total, 1), 4),
            layout=layout,
        )
    return taps


def _probe(
    module: fx.GraphModule, channels: int, fixed_size: tuple[int, int] | None
) -> tuple[tuple[tuple[int, int], ...], list[dict[str, tuple[int, ...]]]]:
    """Image sizes that the network takes, and the shapes of all its tensors for each."""
    if fixed_size:
        return (fixed_size,), [node_shapes(module, channels, fixed_size)]
    try:
        return _PROBES[0], [node_shapes(module, channels, size) for size in _PROBES[0]]
    except Exception:  # the network's own code refuses the size
        return _PROBES[1], [node_shapes(module, channels, size) for size in _PROBES[1]]


def layout_of(seen: list[tuple[int, ...]]) -> str | None:
    """Which axis holds channels: the one that does not grow with the image; None: no feature map.

    Args:
        seen: shapes for one image of one or two sizes.
    """
    ranks = len(seen[0])
    if ranks not in (2, 3, 4) or any(shape[0] != 1 for shape in seen):
        return None  # windows or tokens come first, not images
    if len({shape[-1] for shape in seen}) > 1 and ranks < 4:
        return None
    if ranks < 4:
        return "NC" if ranks == 2 else "NLC"
    grows = [len({shape[axis] for shape in seen}) > 1 for axis in range(4)]
    if not any(grows):  # one size only: positions are the two equal axes
        return "NHWC" if seen[0][1] == seen[0][2] != seen[0][3] else "NCHW"
    return "NHWC" if grows[1] and not grows[3] else "NCHW"


def _stride(seen: list[tuple[int, ...]], sizes: Sequence[tuple[int, int]], layout: str) -> int:
    if "H" not in layout:
        return 0
    axis = layout.index("H")
    if len(seen) == 1:
        return round(sizes[0][0] / seen[0][axis])
    grown = seen[1][axis] - seen[0][axis]
    return round((sizes[1][0] - sizes[0][0]) / grown) if grown else 0


def _weighted_layers(module: fx.GraphModule) -> tuple[int, dict[fx.Node, int]]:
    """Number of convolution and linear layers, and how many of them each node depends on."""
    ancestors: dict[fx.Node, frozenset[fx.Node]] = {}
    total = 0
    for node in module.graph.nodes:
        found = frozenset().union(*(ancestors[arg] for arg in node.all_input_nodes))
        if node.op == "call_module" and isinstance(module.get_submodule(str(node.target)), WEIGHTED_LAYERS):
            found |= {node}
            total += 1
        ancestors[node] = found
    return total, {node: len(found) for node, found in ancestors.items()}


@dataclass(frozen=True)
class _Field:
    """Input pixels seen (height, width; None: all of them), and input pixels per step (down, right)."""

    sides: tuple[int, int] | None
    jumps: tuple[int, int]


def _receptive_fields(module: fx.GraphModule) -> dict[fx.Node, int | None]:
    fields: dict[fx.Node, _Field] = {}
    for node in module.graph.nodes:
        if node.op == "placeholder":
            fields[node] = _Field((1, 1), (1, 1))
            continue
        if node.op == "get_attr":  # a parameter: the same for all images
            fields[node] = _Field((0, 0), (1, 1))
            continue
        fields[node] = _through(node, module, _join([fields[arg] for arg in node.all_input_nodes]))
    return {node: None if f.sides is None else max(f.sides) for node, f in fields.items()}


def _join(inputs: Sequence[_Field]) -> _Field:
    """Field of what depends on several maps."""
    jumps = (max((f.jumps[0] for f in inputs), default=1), max((f.jumps[1] for f in inputs), default=1))
    sides = [f.sides for f in inputs]
    known = [s for s in sides if s is not None]
    if not known or len(known) < len(sides):
        return _Field(None, jumps)
    return _Field((max(s[0] for s in known), max(s[1] for s in known)), jumps)


def _through(node: fx.Node, module: fx.GraphModule, before: _Field) -> _Field:
    """Field behind an operation (Araujo et al. 2019, "Computing receptive fields", eq. 2)."""
    if node.op == "call_module":
        layer = module.get_submodule(str(node.target))
        if isinstance(layer, _POINTWISE):
            return before
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            return _window(before, layer.kernel_size, layer.stride, getattr(layer, "dilation", 1))
        return _Field(None, before.jumps)
    if node.target in (F.max_pool2d, F.avg_pool2d, torch.max_pool2d):
        kernel = _argument(node, 1, "kernel_size")
        dilation = 1 if node.target is F.avg_pool2d else _argument(node, 4, "dilation")
        return _window(before, kernel, _argument(node, 2, "stride") or kernel, dilation or 1)
    return before if _is_pointwise(node) else _Field(None, before.jumps)


def _argument(node: fx.Node, position: int, name: str) -> Any:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name)


def _is_pointwise(node: fx.Node) -> bool:
    target: str | Callable[..., Any] = node.target
    name = target if isinstance(target, str) else getattr(target, "__name__", "")
    return name.rstrip("_") in _POINTWISE_FUNCTIONS


def _window(before: _Field, kernel: Any, stride: Any, dilation: Any) -> _Field:
    """Field behind a sliding window; each setting is one number or one for each axis."""
    settings = [v if isinstance(v, (tuple, list)) else (v, v) for v in (kernel, stride, dilation)]
    if before.sides is None or not all(isinstance(n, int) for v in settings for n in v):
        return _Field(None, before.jumps)
    sides, jumps = [], []
    for axis in (0, 1):
        k, s, d = (v[axis % len(v)] for v in settings)
        sides.append(before.sides[axis] + d * (k - 1) * before.jumps[axis])
        jumps.append(before.jumps[axis] * s)
    return _Field((sides[0], sides[1]), (jumps[0], jumps[1]))


def smallest_image(
    run: Callable[[Tensor], object], channels: int = 3, device: str = "meta"
) -> tuple[int, int]:
    """Smallest side S such that ``run`` accepts a (1, C, S, S) image, and the step to the next such side.

    The step is 1 for convolutional networks; a transformer of 16x16 patches may ask for multiples of 16.

    Args:
        run: takes the image; fails for sizes that do not do.
        channels: C.
        device: where ``run`` computes; on the meta device it costs next to nothing.

    Raises:
        ValueError: no such side was found up to 1024.
    """

    def accepted(side: int) -> bool:
        try:
            run(torch.full((1, channels, side, side), 0.5, device=device, dtype=torch.float32))
        except (RuntimeError, AssertionError, ValueError, IndexError, ZeroDivisionError):
            return False
        return True

    smallest = _bisect(accepted) or next((s for s in range(1, _LARGEST_STEP + 1) if accepted(s)), None)
    if smallest is None:
        raise ValueError(f"no image of up to {_LARGEST_MINIMUM}x{_LARGEST_MINIMUM} pixels is accepted")
    step = next((k for k in range(1, _LARGEST_STEP + 1) if accepted(smallest + k)), smallest)
    return smallest, step


def _bisect(accepted: Callable[[int], bool]) -> int | None:
    high = 8
    while not accepted(high):
        high *= 2
        if high > _LARGEST_MINIMUM:
            return None
    low = 0  # never accepted
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if accepted(middle) else (middle, high)
    return high
