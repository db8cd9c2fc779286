"""What an object is, by content: a hash of everything in it that can change a number.

Two objects of equal content have one hash, in this process and in another one. That holds for numbers, texts,
containers, tensors, arrays, modules with their hooks, and functions: their code, default arguments, captured
values, the globals that they read, and the object that a method belongs to. An object that does not show
what it holds (a generator, a handle of a compiled library) gets a hash that no other object shares.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import re
import sys
import types
import uuid
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

_PLAIN = (
    bool, int, complex, str, bytes, bytearray, range, slice, type(None), type(Ellipsis), type(NotImplemented),
    torch.dtype, torch.device, torch.layout, torch.memory_format,
)  # fmt: skip
_SAME_EVERYWHERE = ("torch", "torchvision", "timm", "numpy", "lossnets")
"""Libraries whose functions count by name alone; of others the version counts as well."""
_CONTAINERS = (dict, types.MappingProxyType, list, tuple, deque, set, frozenset)
_DYNAMIC = frozenset((
    "globals", "eval", "exec", "vars", "__import__", "import_module", "environ", "getenv", "open",
))  # fmt: skip
_NOT_CONTENT = frozenset((
    "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__annotate__",
    "__firstlineno__", "__static_attributes__", "__abstractmethods__", "_abc_impl", "__parameters__",
    "__orig_bases__", "__dataclass_params__", "__match_args__",
))  # fmt: skip
_GRAPH_ATTRIBUTES = frozenset((
    "_graph", "_code", "_tracer_cls", "_tracer_extras", "meta", "graph", "shape_env", "_lineno_map",
    "_prologue_start", "_deepcopy_hooks", "_replace_hooks", "_create_node_hooks", "_erase_node_hooks",
))  # fmt: skip
_TABLES = ("_parameters", "_buffers", "_modules")
_BOOKKEEPING = frozenset((
    *_TABLES, "_non_persistent_buffers_set", "_is_full_backward_hook", "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
    "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
))  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Content:
    """What an object is.

    Attributes:
        sha256: of its content; of a random number where something in it cannot be identified.
        structure: the same without the values of modules' parameters and buffers.
        unidentified: what in it cannot be identified by content, as names of types; empty where all can.
    """

    sha256: str
    structure: str = ""
    unidentified: tuple[str, ...] = ()


def content_of(value: object) -> Content:
    """Hash an object by content.

    >>> def power(p):
    ...     return lambda x: x**p
    >>> content_of(power(2)) == content_of(power(2)), content_of(power(2)) == content_of(power(3))
    (True, False)
    """
    walk = _Walk()
    walk.add(value)
    return Content(
        walk.whole.hexdigest(), walk.structure.hexdigest(), tuple(dict.fromkeys(walk.unidentified))
    )


def tensor_bytes(tensor: Tensor) -> bytes:
    """The values of a tensor, whatever its layout in memory; what float32 holds exactly counts as float32.

    A move to another device or a cast to double and back is no other content.
    """
    flat = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().flatten()
    if flat.is_floating_point() and flat.dtype != torch.float32:
        single = flat.to(torch.float32)
        if flat.element_size() < 4 or bool((single.to(flat.dtype) == flat).all()):
            flat = single
    if flat.numel() == 0:
        return b""
    return flat.view(torch.uint8).numpy().tobytes()


class _Walk:
    """Feeds everything that an object holds to a hash, each object once."""

    def __init__(self) -> None:
        self.whole, self.structure = hashlib.sha256(), hashlib.sha256()
        self.unidentified: list[str] = []
        self._seen: dict[int, int] = {}
        self._alive: list[object] = []  # so that no id is given twice

    def add(self, value: Any) -> None:
        """Hash one value."""
        if type(value) in _PLAIN:
            self._text(f"{type(value).__name__}:{value!r}")
        elif type(value) is float:
            self._text(f"float:{value.hex()}")
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, (tuple, frozenset, types.CodeType)):  # equal ones may be one object, or two
            self._alive.append(value)
            self._object(value)
        elif id(value) in self._seen:
            self._text(f"again:{self._seen[id(value)]}")
        else:
            self._seen[id(value)] = len(self._seen)
            self._alive.append(value)
            try:
                self._object(value)
            except Exception:  # arbitrary code of the object, or it is nested too deeply
                self._unidentified(value)

    def _text(self, text: str) -> None:
        self._bytes(text.encode("utf-8", "surrogatepass"))

    def _bytes(self, content: bytes, *, value_of_module: bool = False) -> None:
        length = b"%d:" % len(content)
        for part in (length, content):
            self.whole.update(part)
            if not value_of_module:
                self.structure.update(part)

    def _object(self, value: Any) -> None:
        if isinstance(value, Tensor):
            self._tensor(value)
        elif type(value) is np.ndarray and value.dtype != object:
            self._text(f"array:{value.dtype.str}:{value.shape}")
            self._bytes(np.ascontiguousarray(value).tobytes())
        elif isinstance(value, nn.Module):
            self._module(value)
        elif isinstance(value, _CONTAINERS):
            self._container(value)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.CodeType):
            self._code(value)
        elif isinstance(value, types.ModuleType):
            self._package(value)
        elif isinstance(value, (float, int, str, bytes)):  # a number or text with more to it
            self._subclass(value, ())
            base: Any = next(kind for kind in (float, int, str, bytes) if isinstance(value, kind))
            self.add(base(value))
        else:
            self._other(value)

    def _container(self, value: Any) -> None:
        self._subclass(value, _CONTAINERS)
        if isinstance(value, (dict, types.MappingProxyType)):
            self._mapping(value)
        elif isinstance(value, (set, frozenset)):
            self._sequence("set", sorted(content_of(item).sha256 for item in value))
        else:
            self._sequence("sequence", value)

    def _subclass(self, value: Any, plain: tuple[type, ...]) -> None:
        """What a container, number or text of a class of its own has besides its content."""
        if type(value) not in plain:
            self.add(type(value))
            self.add(getattr(value, "__dict__", None))
            self.add(getattr(value, "default_factory", None))

    def _sequence(self, kind: str, values: Iterable[Any]) -> None:
        items = list(values)
        self._text(f"{kind}:{len(items)}")
        for item in items:
            self.add(item)

    def _mapping(self, value: Mapping[Any, Any]) -> None:
        self._text(f"mapping:{len(value)}")
        for key, item in value.items():
            self.add(key)
            self.add(item)

    def _tensor(self, tensor: Tensor, *, value_of_module: bool = False) -> None:
        self._text(f"tensor:{tuple(tensor.shape)}:{tensor.is_floating_point()}")
        if not value_of_module:
            self._text(str(tensor.dtype))
        if tensor.is_meta:
            self._text("meta")
        elif tensor.is_quantized:
            self._sequence("quantized", (tensor.int_repr(), tensor.dequantize()))
        elif tensor.layout != torch.strided:
            self._text(str(tensor.layout))
            self._tensor(tensor.detach().to_dense(), value_of_module=value_of_module)
        else:
            self._bytes(tensor_bytes(tensor), value_of_module=value_of_module)

    def _function(self, function: types.FunctionType) -> None:
        if _is_library(function):
            self._text(f"function:{_library_name(function)}")
            return
        self._text("function")
        self.add(function.__code__)
        self.add(function.__defaults__)
        self.add(function.__kwdefaults__)
        cells = [_cell_contents(cell) for cell in function.__closure__ or ()]
        self._sequence("captured", cells)
        if not _is_installed(function.__module__ or ""):  # an installed package's globals are its own affair
            self._globals(function)
        own = {key: item for key, item in function.__dict__.items() if key != "__wrapped__"}
        self.add(own)

    def _globals(self, function: types.FunctionType) -> None:
        """The globals that the code names, and of modules of the user's own the attributes that it names."""
        names = sorted(_names(function.__code__))
        if not _DYNAMIC.isdisjoint(names):  # it may read anything
            self._unidentified(function)
        imported = [n for n in names if n in sys.modules and not _is_installed(n)]
        for name in imported:
            self._attributes(sys.modules[name], names)
        for name in names:
            if name not in function.__globals__:
                continue
            value = function.__globals__[name]
            self._text(f"global:{name}")
            if isinstance(value, types.ModuleType) and not _is_installed(value.__name__):
                self._attributes(value, names)
                if "getattr" in names:  # by a name that the code does not show
                    self._unidentified(function)
            else:
                self.add(value)

    def _attributes(self, module: types.ModuleType, names: Iterable[str]) -> None:
        """What code that names these reads of a module of the user's own."""
        for attribute in names:
            if attribute in vars(module):
                self._text(f"attribute:{attribute}")
                self.add(vars(module)[attribute])

    def _code(self, code: types.CodeType) -> None:
        self._text("code")
        self._bytes(code.co_code)
        flags = code.co_flags & ~inspect.CO_NESTED  # where a function stands changes no number
        signature = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, flags)
        self.add((signature, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
        documentation = (
            code.co_consts[:1] if code.co_flags & inspect.CO_NEWLOCALS else ()
        )  # a docstring changes no number
        skip = 1 if documentation and isinstance(documentation[0], str) else 0
        for constant in code.co_consts[skip:]:
            self.add(constant)

    def _class(self, cls: type) -> None:
        self._text(f"class:{cls.__module__}.{cls.__qualname__}{_version(cls.__module__)}")
        if _is_installed(cls.__module__) or id(cls) in self._seen:
            return
        self._seen[id(cls)] = len(self._seen)
        self._alive.append(cls)
        for base in cls.__bases__:
            self.add(base)
        for name, item in sorted(vars(cls).items()):
            if name not in _NOT_CONTENT and not isinstance(
                item, (types.MemberDescriptorType, types.GetSetDescriptorType)
            ):
                self._text(name)
                self.add(item)

    def _package(self, module: types.ModuleType) -> None:
        if _is_installed(module.__name__):
            self._text(f"package:{module.__name__}")
        else:
            self._unidentified(module)

    def _module(self, module: nn.Module) -> None:
        """A torch module: its class, what is set on it, its hooks, tensors and children."""
        parts = getattr(type(module), "content_parts", None)
        if parts is not None:  # it knows what of it changes a number
            self._sequence("parts", parts(module))
            return
        graph = isinstance(module, fx.GraphModule)
        if isinstance(module, fx.GraphModule):
            self._graph(module.graph)
        else:
            self.add(type(module))
        for name, item in sorted(vars(module).items()):
            if name in _BOOKKEEPING or (graph and (name in _GRAPH_ATTRIBUTES or name == "forward")):
                continue
            if name.endswith("_hooks"):
                if item:
                    self._text(name)
                    self._sequence("hooks", item.values())
            else:
                self._text(name)
                self.add(item)
        for table in _TABLES:
            for name, item in vars(module)[table].items():
                self._text(f"{table}:{name}")
                if isinstance(item, Tensor):
                    self._tensor(item, value_of_module=True)
                else:
                    self.add(item)

    def _graph(self, graph: fx.Graph) -> None:
        """The operations of a traced module, whatever its values are called."""
        numbers = {node: k for k, node in enumerate(graph.nodes)}
        for node in graph.nodes:
            self._text(f"node:{node.op}")
            self.add(None if node.op in ("placeholder", "output") else node.target)
            arguments = fx.node.map_arg((node.args, node.kwargs), lambda n: f"%{numbers[n]}")
            self.add(_unshared(arguments))

    def _other(self, value: Any) -> None:
        if isinstance(value, functools.partial):
            self._sequence("partial", (value.func, value.args, value.keywords))
        elif isinstance(value, types.MethodType):
            self._sequence("method", (value.__func__, value.__self__))
        elif isinstance(value, functools._lru_cache_wrapper):
            self._sequence("cached", (value.__wrapped__,))
        elif isinstance(value, (staticmethod, classmethod)):
            self._sequence(type(value).__name__, (value.__func__,))
        elif isinstance(value, property):
            self._sequence("property", (value.fget, value.fset))
        elif isinstance(
            value, (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)
        ):
            owner = getattr(value, "__self__", None)
            self._text(f"builtin:{value.__qualname__}")
            self.add(None if isinstance(owner, types.ModuleType) else owner)
        elif isinstance(value, re.Pattern):
            self._sequence("pattern", (value.pattern, value.flags))
        elif isinstance(value, torch.Generator):
            self._sequence("generator", (value.get_state(),))
        elif isinstance(value, (torch.jit.ScriptFunction, torch._C.Graph)):
            self._text(f"script:{value if isinstance(value, torch._C.Graph) else value.graph}")
        else:
            self._by_its_state(value)

    def _by_its_state(self, value: Any) -> None:
        """Any other object as it would be pickled: the call that makes it, and its state."""
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:  # arbitrary code; what does not pickle does not show what it holds
            reduced = None
        if isinstance(reduced, str):
            self._text(f"name:{type(value).__module__}.{reduced}")
        elif isinstance(reduced, tuple):
            made, arguments, *rest = reduced
            self._text("made")
            self.add(type(value))
            self.add(made)
            self.add(arguments)
            if not _is_installed(type(value).__module__):  # what is pickled may leave something out
                self.add(getattr(value, "__dict__", None))
            for part in rest:
                self.add(
                    list(part) if isinstance(part, types.GeneratorType) or hasattr(part, "__next__") else part
                )
        else:
            self._unidentified(value)

    def _unidentified(self, value: object) -> None:
        self.unidentified.append(f"{type(value).__module__}.{type(value).__qualname__}")
        self._text(f"unidentified:{_number_of(value)}")


def _unshared(value: Any) -> Any:
    """Nested arguments of a graph as plain containers: fx has immutable ones of its own."""
    if isinstance(value, dict):
        return {key: _unshared(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_unshared(item) for item in value]
    return value


_numbers: dict[int, tuple[Any, str]] = {}


def _number_of(value: object) -> str:
    """A random number that stays with this very object."""
    known = _numbers.get(id(value))
    if known is not None:
        return known[1]
    number = uuid.uuid4().hex
    try:
        held: Any = weakref.ref(value, functools.partial(_forget_number, id(value)))
    except TypeError:
        held = value  # kept alive, so that its address is not given to another object
    _numbers[id(value)] = (held, number)
    return number


def _forget_number(key: int, _: object) -> None:
    _numbers.pop(key, None)


def _names(code: types.CodeType) -> set[str]:
    """Names of globals and attributes in a function and in the functions inside it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _cell_contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that has no value yet
        return "empty"


def _is_installed(module: str) -> bool:
    """Whether a module belongs to Python or to an installed package: then its name says what it is."""
    root = module.partition(".")[0]
    if root == "__main__":
        return False
    if root in _SAME_EVERYWHERE or root in sys.builtin_module_names or root in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(root), "__file__", None)
    return file is not None and not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def _version(module: str) -> str:
    """Version of an installed package whose changes may change a number; empty for others."""
    root = module.partition(".")[0]
    if not _is_installed(root) or root in _SAME_EVERYWHERE or root in sys.stdlib_module_names:
        return ""
    return f"@{getattr(sys.modules.get(root), '__version__', '')}"


def _is_library(function: types.FunctionType) -> bool:
    """Whether a name finds this very function again in an installed package."""
    if not _is_installed(function.__module__ or ""):
        return False
    found: Any = sys.modules.get(function.__module__)
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is function


def _library_name(function: types.FunctionType) -> str:
    return f"{function.__module__}.{function.__qualname__}{_version(function.__module__)}"
