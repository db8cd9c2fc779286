"""The situations in which every loss is examined: a new one joins by one function with a decorator."""

from __future__ import annotations

import contextlib
import copy
import io
import pickle
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lossnets.errors import LossnetsError
from lossnets.losses import ImageLoss

from .candidates import Candidate


class NotApplicableError(Exception):
    """The situation has no meaning for this loss."""


@dataclass
class Answer:
    """What a loss gave: compared with the reference where it is not None.

    Attributes:
        value: (N,).
        gradient: of the sum of values with respect to the input.
        product: second derivative of that sum, times the direction of the exam.
        slope: derivative of the values (N,) along the direction of the exam.
        loss: the loss that gave it: its signature must be that of a plain process.
    """

    value: Tensor | None = None
    gradient: Tensor | None = None
    product: Tensor | None = None
    slope: Tensor | None = None
    loss: ImageLoss | None = None


@dataclass(frozen=True)
class Exam:
    """A candidate, the images, and how to build it.

    Attributes:
        candidate: the loss under examination.
        x: input (N, 3, H, W) in [0, 1].
        y: target of the same shape.
        direction: of second and directional derivatives.
        built: options -> the loss, built once.
    """

    candidate: Candidate
    x: Tensor
    y: Tensor
    direction: Tensor
    built: dict[tuple[Any, ...], ImageLoss] = field(default_factory=dict)

    def build(self, **options: Any) -> ImageLoss:
        """The loss, built here and now."""
        loss: ImageLoss = self.candidate.make(**{"reduction": "none", **options})
        return loss

    def make(self, **options: Any) -> ImageLoss:
        """The loss, for situations in which it does not matter where it was built: a copy of one."""
        key = tuple(options.items())
        if key not in self.built:
            self.built[key] = self.build(**options)
        return copy.deepcopy(self.built[key])

    def network(self, loss: ImageLoss) -> nn.Module:
        """Its weights; not applicable where it has none."""
        if not self.candidate.network:
            raise NotApplicableError
        return loss.pgn if hasattr(loss, "pgn") else loss.network.stages


def run(loss: ImageLoss, exam: Exam, x: Tensor | None = None, y: Any = None) -> Answer:
    """Value and gradient, the ordinary way."""
    x = (exam.x if x is None else x).clone().requires_grad_()
    value = loss(x, exam.y if y is None else y)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    return Answer(value.detach(), gradient, loss=loss)


Situation = Callable[[Exam], Answer]
SITUATIONS: dict[str, Situation] = {}
SLOW: set[str] = set()


def situation(name: str, *, slow: bool = False) -> Callable[[Situation], Situation]:
    """Register a situation by the name that the table shows."""

    def register(function: Situation) -> Situation:
        assert name not in SITUATIONS
        SITUATIONS[name] = function
        if slow:
            SLOW.add(name)
        return function

    return register


# 1. The state of the process -------------------------------------------------------------------------


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextlib.contextmanager
def tensor_type(kind: Any) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that it is deprecated
        torch.set_default_tensor_type(kind)
    try:
        yield
    finally:
        torch.set_default_tensor_type(torch.FloatTensor)


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def rounded_products() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.backends.mkldnn.matmul.fp32_precision = "none"
        torch.backends.cuda.matmul.fp32_precision = "none"


def _fake_tensors() -> Any:
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode()


STATES: dict[str, Callable[[], Any]] = {
    "default type bfloat16": lambda: default_dtype(torch.bfloat16),
    "default type float16": lambda: default_dtype(torch.float16),
    "default type float64": lambda: default_dtype(torch.float64),
    "set_default_tensor_type": lambda: tensor_type(torch.DoubleTensor),
    "inference mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "context of the meta device": lambda: torch.device("meta"),
    "default device meta": lambda: default_device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic algorithms": deterministic,
    "matmul precision medium": rounded_products,
    "fake tensors": _fake_tensors,
}


def _built_in(state: Callable[[], Any]) -> Situation:
    def built(exam: Exam) -> Answer:
        with state():
            loss = exam.build()
        return run(loss, exam)

    return built


def _called_in(state: Callable[[], Any]) -> Situation:
    def called(exam: Exam) -> Answer:
        loss = exam.make()
        with state():
            return Answer(loss(exam.x, exam.y).detach().clone(), loss=loss)

    return called


for _name, _state in STATES.items():
    situation(f"built in: {_name}")(_built_in(_state))
    situation(f"called in: {_name}")(_called_in(_state))


@situation("trained in: default type bfloat16")
def _(exam: Exam) -> Answer:
    with default_dtype(torch.bfloat16):
        return run(exam.build(), exam)


@situation("trained in: matmul precision medium")
def _(exam: Exam) -> Answer:
    with rounded_products():
        return run(exam.build(), exam)


@situation("first called in inference mode, then trained")
def _(exam: Exam) -> Answer:
    with torch.inference_mode():
        loss = exam.build()
        loss(exam.x, exam.y)
    return run(loss, exam)


@situation("encoded in inference mode, then trained")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    with torch.inference_mode():
        encoded = loss.encode(exam.y)
    return run(loss, exam, y=encoded)


@situation("forward and backward inside autocast")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    with torch.autocast("cpu", torch.bfloat16):
        return run(loss, exam)


@situation("backward inside autocast")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    x = exam.x.clone().requires_grad_()
    value = loss(x, exam.y)
    with torch.autocast("cpu", torch.bfloat16):
        value.sum().backward()
        assert torch.is_autocast_enabled("cpu")
    return Answer(value.detach(), x.grad, loss=loss)


# 2. What the host does to its loss -------------------------------------------------------------------


class Host(nn.Module):
    def __init__(self, loss: ImageLoss) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)
        self.loss = loss


HOSTS: dict[str, Callable[[Host], object]] = {
    "half() and back": lambda host: host.half().float(),
    "bfloat16()": lambda host: host.bfloat16(),
    "to(bfloat16) and back": lambda host: host.to(torch.bfloat16).to(torch.float32),
    "double() and back": lambda host: host.double().float(),
    "to_empty": lambda host: host.to_empty(device="cpu"),
    "to meta, then to_empty": lambda host: host.to("meta").to_empty(device="cpu"),
    "train(), requires_grad_()": lambda host: host.train().requires_grad_(),
    "channels last": lambda host: host.to(memory_format=torch.channels_last),
    "share_memory": lambda host: host.share_memory(),
    "load_state_dict": lambda host: host.load_state_dict(Host(nn.Identity()).state_dict()),
}
for _name, _act in HOSTS.items():

    def _hosted(exam: Exam, act: Callable[[Host], object] = _act) -> Answer:
        host = Host(exam.make())
        act(host)
        return run(host.loss, exam)

    situation(f"its host: {_name}")(_hosted)


@situation("its host: half() in inference mode")
def _(exam: Exam) -> Answer:
    host = Host(exam.make())
    with torch.inference_mode():
        host.half()
    return run(host.loss, exam)


@situation("its host: swaps tensors on conversion")
def _(exam: Exam) -> Answer:
    host = Host(exam.make())
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        host.double().float()
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    return run(host.loss, exam)


@situation("its host: averaged model (EMA)")
def _(exam: Exam) -> Answer:
    averaged = torch.optim.swa_utils.AveragedModel(Host(exam.make()))
    averaged.update_parameters(Host(exam.make()))
    return run(averaged.module.loss, exam)


@situation("its host: replica of DataParallel")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    return run(loss._replicate_for_data_parallel(), exam)


@situation("its host: functional_call")
def _(exam: Exam) -> Answer:
    host = Host(exam.make())
    host.forward = lambda x, y: host.loss(host.layer(x) * 0 + x, y)  # type: ignore[method-assign]
    x = exam.x.clone().requires_grad_()
    values = {name: p.detach() + 1 for name, p in host.named_parameters()}
    value = torch.func.functional_call(host, values, (x, exam.y))
    (gradient,) = torch.autograd.grad(value.sum(), x)
    return Answer(value.detach(), gradient, loss=host.loss)


@situation("a deep copy")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    return run(copy.deepcopy(loss), exam, y=loss.encode(exam.y))


@situation("a pickle")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    try:
        content = pickle.dumps((loss, loss.encode(exam.y)))
    except (pickle.PicklingError, AttributeError) as error:  # a class or function of a test module
        raise NotApplicableError from error
    return run(*_swapped(pickle.loads(content), exam))


def _swapped(pair: Any, exam: Exam) -> Any:
    loss, encoded = pair
    return loss, exam, None, encoded


@situation("an encoded target from a file")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    file = io.BytesIO()
    torch.save(loss.encode(exam.y), file)
    file.seek(0)
    return run(exam.build(), exam, y=torch.load(file))


@situation("an encoded target of another loss of the same name")
def _(exam: Exam) -> Answer:
    return run(exam.build(), exam, y=exam.make().encode(exam.y))


def _data_in_place(module: nn.Module) -> None:
    next(module.parameters()).data.mul_(1.5)


def _data_assigned(module: nn.Module) -> None:
    parameter = next(module.parameters())
    parameter.data = parameter.data * 1.5


def _data_in_part(module: nn.Module) -> None:
    """A few weights in the middle of the largest tensor: pruning."""
    largest = max(module.parameters(), key=lambda parameter: parameter.numel())
    values = largest.data.flatten() if largest.numel() < 3 else largest.data
    values[len(values) // 3 : len(values) // 3 + 1] = 0.25


def _by_numpy(module: nn.Module) -> None:
    parameter = next(module.parameters())
    if parameter.dtype == torch.bfloat16:  # NumPy has no such type
        raise NotApplicableError
    values = parameter.detach().numpy()
    values[len(values) // 2] = values[0] + 0.5


def _under_no_grad(module: nn.Module) -> None:
    with torch.no_grad():
        next(module.parameters()).add_(1)


def _loaded(module: nn.Module) -> None:
    module.load_state_dict({key: value + 1 for key, value in module.state_dict().items()})


def _optimised(module: nn.Module) -> None:
    parameter = next(module.parameters()).requires_grad_()
    parameter.grad = torch.ones_like(parameter)
    torch.optim.SGD([parameter], lr=0.1).step()
    parameter.requires_grad_(False)


def _replaced(module: nn.Module) -> None:
    layer = next(m for m in module.modules() if isinstance(m, nn.Conv2d))
    layer.weight = nn.Parameter(layer.weight.detach() * 1.5, requires_grad=False)


def _hooked(module: nn.Module) -> None:
    layer = next(m for m in module.modules() if isinstance(m, nn.Conv2d))
    layer.register_forward_hook(lambda _module, _inputs, output: output * 1.5)


def _parametrised(module: nn.Module) -> None:
    layer = next(m for m in module.modules() if isinstance(m, nn.Conv2d))
    torch.nn.utils.parametrize.register_parametrization(layer, "weight", nn.Tanh())


def _reset(module: nn.Module) -> None:
    layer = next(m for m in module.modules() if isinstance(m, nn.Conv2d))
    layer.padding = (3, 3)


def _swapped_tensors(module: nn.Module) -> None:
    parameter = next(module.parameters())
    other = nn.Parameter(parameter.detach() * 1.5, requires_grad=False)
    torch.utils.swap_tensors(parameter, other)


def _requantised(module: nn.Module) -> None:
    for tensor in module.parameters():
        tensor.data = tensor.data.to(torch.bfloat16).float()


CHANGES: dict[str, Callable[[nn.Module], None]] = {
    ".data, in place": _data_in_place,
    ".data, assigned": _data_assigned,
    ".data, a part of it": _data_in_part,
    "its NumPy array": _by_numpy,
    "under no_grad": _under_no_grad,
    "load_state_dict": _loaded,
    "an optimiser": _optimised,
    "another parameter": _replaced,
    "a hook": _hooked,
    "a parametrisation": _parametrised,
    "a setting of a layer": _reset,
    "swap_tensors": _swapped_tensors,
    "rounded to bfloat16": _requantised,
}
for _name, _change in CHANGES.items():

    def _changed(exam: Exam, change: Callable[[nn.Module], None] = _change) -> Answer:
        """Another loss than before: its signature says so, and what was encoded before is refused."""
        loss = exam.make()
        module = exam.network(loss)
        before, encoded = loss.signature(), loss.encode(exam.y)
        change(module)
        assert loss.signature() != before
        loss(exam.x, encoded)  # must be refused: a number here would be wrong
        return Answer(torch.full((len(exam.x),), torch.nan))

    situation(f"weights changed by: {_name}")(_changed)


# 5. Layouts and kinds of images ----------------------------------------------------------------------


def _negative(x: Tensor) -> Tensor:
    return torch._neg_view(-x)


def _strided(x: Tensor) -> Tensor:
    wide = torch.zeros(x.shape[0], x.shape[1], x.shape[2], 2 * x.shape[3])
    wide[..., ::2] = x
    return wide[..., ::2]


IMAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "not contiguous": _strided,
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "negative view": _negative,
    "parts of one tensor": lambda x: torch.cat([x, x])[: len(x)],
    "a parameter": lambda x: nn.Parameter(x.clone()),
    "float64": lambda x: x.double(),
    "empty": lambda x: x[:0],
    "sparse": lambda x: x.to_sparse(),
    "quantized": lambda x: torch.quantize_per_tensor(x, 1 / 255, 0, torch.quint8),
    "nested": lambda x: torch.nested.nested_tensor(list(x)),
    "complex": lambda x: torch.complex(x, x),
    "whole numbers": lambda x: (x * 255).long(),
    "float8": lambda x: x.to(torch.float8_e4m3fn),
    "on the meta device": lambda x: x.to("meta"),
    "NaN": lambda x: torch.full_like(x, torch.nan),
}
for _name, _transform in IMAGES.items():

    def _transformed(exam: Exam, transform: Callable[[Tensor], Tensor] = _transform) -> Answer:
        loss = exam.make()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, on its prototypes
            x, y = transform(exam.x), transform(exam.y)
            return Answer(loss(x, y).detach(), loss=loss)

    situation(f"images: {_name}")(_transformed)


@situation("images: expanded from one")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    x, y = (v[:1].expand(2, -1, -1, -1) for v in (exam.x, exam.y))
    value = loss(x, y)
    assert torch.allclose(value[0], value[1], rtol=1e-5)
    return Answer(torch.stack([value[0].detach(), loss(exam.x[1:], exam.y[1:])[0].detach()]))


@situation("images: a subclass of tensors")
def _(exam: Exam) -> Answer:
    from torchvision import tv_tensors

    loss = exam.make()
    x = tv_tensors.Image(exam.x.clone()).requires_grad_()
    value = loss(x, tv_tensors.Image(exam.y))
    (gradient,) = torch.autograd.grad(value.sum(), x)
    assert type(value) is Tensor
    return Answer(value.detach(), gradient.as_subclass(Tensor), loss=loss)


@situation("images: a subclass that stands for others")
def _(exam: Exam) -> Answer:
    from torch.testing._internal.two_tensor import TwoTensor

    loss = exam.make()
    return Answer(loss(TwoTensor(exam.x, exam.x), TwoTensor(exam.y, exam.y)).detach())


@situation("images: input and target the same tensor")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    x = exam.x.clone().requires_grad_()
    value = loss(x, x.detach() if exam.candidate.predicts else x)
    assert torch.isfinite(value).all()
    if not exam.candidate.predicts:
        (gradient,) = torch.autograd.grad(value.sum(), x)
        assert float(value.detach().abs().max()) < 1e-6
        assert float(gradient.abs().max()) < 1e-4
    return Answer()


@situation("images: input and target share memory")
def _(exam: Exam) -> Answer:
    both = torch.cat([exam.x, exam.y])
    loss = exam.make()
    x = both[: len(exam.x)].requires_grad_()
    value = loss(x, both.detach()[len(exam.x) :])
    (gradient,) = torch.autograd.grad(value.sum(), x)
    return Answer(value.detach(), gradient, loss=loss)


# 6. Transformations of torch -------------------------------------------------------------------------


def _single(loss: ImageLoss) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda a, b: loss(a[None], b[None])[0]


@situation("torch.func.grad")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    gradient, value = torch.func.grad_and_value(lambda a: loss(a, exam.y).sum())(exam.x)
    return Answer(loss(exam.x, exam.y).detach(), gradient, loss=loss) if value.ndim == 0 else Answer()


@situation("torch.func.vmap of grad")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    gradient = torch.func.vmap(torch.func.grad(_single(loss)))(exam.x, exam.y)
    return Answer(gradient=gradient, loss=loss)


@situation("torch.vmap")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    return Answer(torch.vmap(_single(loss))(exam.x, exam.y), loss=loss)


@situation("torch.func.jvp")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    value, slope = torch.func.jvp(lambda a: loss(a, exam.y), (exam.x,), (exam.direction,))
    return Answer(value.detach(), slope=slope.detach(), loss=loss)


@situation("forward-mode derivative")
def _(exam: Exam) -> Answer:
    import torch.autograd.forward_ad as forward

    loss = exam.make()
    with forward.dual_level():
        out = loss(forward.make_dual(exam.x, exam.direction), exam.y)
        value, slope = forward.unpack_dual(out)
    if slope is None:
        raise AssertionError("the derivative is gone")
    return Answer(value.detach(), slope=slope.detach(), loss=loss)


@situation("torch.func.hessian, times a direction")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    gradient = torch.func.grad(lambda a: loss(a, exam.y).sum())
    _, product = torch.func.vjp(gradient, exam.x)
    return Answer(product=product(exam.direction)[0].detach(), loss=loss)


def _second(exam: Exam, **options: Any) -> Answer:
    loss = exam.make(**options)
    x = exam.x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x, exam.y).sum(), x, create_graph=True)
    product = torch.autograd.grad((gradient * exam.direction).sum(), x, allow_unused=True)[0]
    return Answer(None, gradient.detach(), torch.zeros_like(x) if product is None else product, loss=loss)


@situation("create_graph=True")
def _(exam: Exam) -> Answer:
    return _second(exam)


@situation("create_graph=True, double_backward=True")
def _(exam: Exam) -> Answer:
    if exam.candidate.predicts:
        raise NotApplicableError
    return _second(exam, double_backward=True)


@situation("second derivative inside autocast")
def _(exam: Exam) -> Answer:
    if exam.candidate.predicts:
        raise NotApplicableError
    with torch.autocast("cpu", torch.bfloat16):
        return _second(exam, double_backward=True)


@situation("jacobian(vectorize=True)")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    rows = torch.autograd.functional.jacobian(lambda a: loss(a, exam.y), exam.x, vectorize=True)
    return Answer(gradient=rows.sum(0), loss=loss)


@situation("is_grads_batched=True")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    x = exam.x.clone().requires_grad_()
    value = loss(x, exam.y)
    (rows,) = torch.autograd.grad(value, x, torch.eye(len(x)), is_grads_batched=True)
    return Answer(value.detach(), rows.sum(0), loss=loss)


@situation("gradient of another weight for each image")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    x = exam.x.clone().requires_grad_()
    weights = torch.tensor([1.0, -3.0])
    (gradient,) = torch.autograd.grad((loss(x, exam.y) * weights).sum(), x)
    return Answer(gradient=gradient / weights.view(-1, 1, 1, 1), loss=loss)


@situation("gradient to the target")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    x, y = (v.clone().requires_grad_() for v in (exam.x, exam.y))
    value = loss(x, y)
    gradient, _ = torch.autograd.grad(value.sum(), (x, y))
    return Answer(value.detach(), gradient, loss=loss)


@situation("checkpoint")
def _(exam: Exam) -> Answer:
    from torch.utils.checkpoint import checkpoint

    loss = exam.make()
    x = exam.x.clone().requires_grad_()
    value = checkpoint(lambda a: loss(a, exam.y), x, use_reentrant=False)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    return Answer(value.detach(), gradient, loss=loss)


@situation("checkpoint, reentrant")
def _(exam: Exam) -> Answer:
    from torch.utils.checkpoint import checkpoint

    loss = exam.make()
    x = exam.x.clone().requires_grad_()
    value = checkpoint(lambda a: loss(a, exam.y), x, use_reentrant=True)
    value.sum().backward()
    return Answer(value.detach(), x.grad, loss=loss)


@situation("backward twice, gradients accumulated")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    x = exam.x.clone().requires_grad_()
    value = loss(x, exam.y)
    value.sum().backward(retain_graph=True)
    value.sum().backward()
    return Answer(value.detach(), x.grad / 2, loss=loss)


@situation("saved tensors kept in host memory")
def _(exam: Exam) -> Answer:
    with torch.autograd.graph.save_on_cpu():
        return run(exam.make(), exam)


@situation("anomaly mode")
def _(exam: Exam) -> Answer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that the mode is slow
        with torch.autograd.detect_anomaly():
            return run(exam.make(), exam)


@situation("a walk through the graph (make_dot)")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    x = exam.x.clone().requires_grad_()
    value = loss(x, exam.y)
    stack, seen = [value.grad_fn], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        [getattr(node, name) for name in dir(node) if name.startswith("_saved_")]
        stack.extend(following for following, _ in node.next_functions)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    return Answer(value.detach(), gradient, loss=loss)


@situation("torch.jit.trace")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch, on values that are constants in a trace
        traced = torch.jit.trace(loss, (exam.x, exam.y), check_trace=False)
        x = exam.x.clone().requires_grad_()
        value = traced(x, exam.y)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    return Answer(value.detach(), gradient, loss=loss)


@situation("torch.export", slow=True)
def _(exam: Exam) -> Answer:
    loss = exam.make()
    program = torch.export.export(loss, (exam.x, exam.y))
    return Answer(program.module()(exam.x, exam.y).detach(), loss=loss)


@situation("torch.compile", slow=True)
def _(exam: Exam) -> Answer:
    loss = exam.make()
    torch._dynamo.reset()
    whole = exam.candidate.traceable  # else the compiler takes it in pieces, and warns
    compiled = torch.compile(lambda a, b: loss(a, b), backend="aot_eager", fullgraph=whole)
    x = exam.x.clone().requires_grad_()
    with warnings.catch_warnings():
        warnings.filterwarnings("error" if whole else "ignore")
        value = compiled(x, exam.y)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    return Answer(value.detach(), gradient, loss=loss)


@situation("images: fake tensors")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    with _fake_tensors() as mode:
        x, y = mode.from_tensor(exam.x), mode.from_tensor(exam.y)
        return Answer(loss(x, y))


@situation("operations are counted (FlopCounterMode)")
def _(exam: Exam) -> Answer:
    from torch.utils.flop_counter import FlopCounterMode

    loss = exam.make()
    x = exam.x.clone().requires_grad_()
    with FlopCounterMode(display=False):  # it does not take torch.autograd.grad
        value = loss(x, exam.y)
        value.sum().backward()
        try:
            loss(exam.x, exam.y * 255)
        except LossnetsError:
            return Answer(value.detach(), x.grad, loss=loss)
    raise AssertionError("images out of range were taken")


@situation("torch.compile, a target of other weights", slow=True)
def _(exam: Exam) -> Answer:
    loss = exam.make()
    module = exam.network(loss)
    encoded = loss.encode(exam.y)
    torch._dynamo.reset()
    compiled = torch.compile(lambda a, b: loss(a, b), backend="aot_eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler, where it takes the code in pieces
        value = compiled(exam.x, encoded)
        assert torch.allclose(value, loss(exam.x, encoded), rtol=1e-4)
        _data_in_part(module)
        compiled(exam.x, encoded)  # must be refused
    return Answer(torch.full((len(exam.x),), torch.nan))


@situation("make_fx")
def _(exam: Exam) -> Answer:
    from torch.fx.experimental.proxy_tensor import make_fx

    loss = exam.make()

    def step(a: Tensor) -> Tensor:
        return torch.autograd.grad(loss(a, exam.y).sum(), a)[0]

    graph = make_fx(step)(exam.x.clone().requires_grad_())
    return Answer(gradient=graph(exam.x.clone().requires_grad_()).detach(), loss=loss)


@situation("threads at once")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(run(loss, exam))) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    first, *rest = answers
    assert len(rest) == 2
    assert all(torch.allclose(first.gradient, other.gradient, rtol=1e-4, atol=1e-9) for other in rest)
    return first


@situation("an output far out of its range, in training")
def _(exam: Exam) -> Answer:
    loss = exam.make()
    x = (exam.x * 3 - 1).requires_grad_()
    value = loss(x, exam.y)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    assert torch.isfinite(gradient).all()
    assert float(gradient.abs().max()) > 0
    return Answer()
