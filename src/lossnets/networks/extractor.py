"""The loss network: images in [0, 1] -> named feature maps, one pass, frozen for good."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lossnets.content import Content
from lossnets.errors import ConfigError, ImageError, WeightsError
from lossnets.frozen import ContentWatch, Follower, Move
from lossnets.images.contract import check_layout, check_values
from lossnets.networks.blueprint import Blueprint
from lossnets.networks.describe import smallest_image, without_data
from lossnets.networks.first_layer import speed_up_first_layer
from lossnets.networks.graph import Stages, cut
from lossnets.networks.hooked import HookedStages
from lossnets.networks.influence import alone, check_influence, ignored_border
from lossnets.networks.spec import NetworkSpec, Tap
from lossnets.torch_state import constant, standard_state


class LossNetwork(nn.Module):
    """Images (N, 3, H, W) in [0, 1] -> {tap name: (N, C, H', W')}.

    One forward pass gives all taps, nothing behind the deepest tap is computed, inputs are never
    modified, and a tap's value does not depend on which other taps are asked for. Unless
    ``trainable``, no parameter ever receives a gradient and the network stays in eval mode, also
    when a parent module is switched to training.

    Build it with `load_network` or `wrap_network`.

    Attributes:
        taps: records of the taps, in the order of computation.
        spec: what is known of the network.
        weights_name: which weights it has (``IMAGENET1K_V1``, ``packaged``, ``RANDOM-0``, ``file``, ...).
        weights_sha256: hash of the weights file, or of the tensors where there is no file.
        origin: what to write after ``weights=`` to get the same weights again.
        trainable: whether its parameters may be trained.
    """

    mean: Tensor
    std: Tensor
    _as_built: bool
    _loaded: Content | None

    @standard_state()
    def __init__(
        self,
        blueprint: Blueprint,
        taps: Sequence[str],
        state: Mapping[str, Tensor],
        *,
        weights_name: str,
        weights_sha256: str,
        origin: str,
        mean: Sequence[float],
        std: Sequence[float],
        trainable: bool = False,
        keep_state: bool = False,
    ) -> None:
        super().__init__()
        self.blueprint = blueprint
        self.weights_name = weights_name
        self.weights_sha256 = weights_sha256
        self.origin = origin
        self.trainable = trainable
        records = {blueprint.resolve(tap).module: blueprint.resolve(tap) for tap in taps}
        if not records:
            raise ConfigError(
                f"taps must name at least one extraction point of {blueprint.spec.name}; got none"
            )
        self.stages, order = _load_stages(blueprint, list(records), state)
        used = self.stage_state()
        self._spare = {key: t for key, t in state.items() if key not in used} if keep_state else {}
        self.taps: tuple[Tap, ...] = tuple(records[module] for module in order)
        for name, values in (("mean", mean), ("std", std)):
            device = next((p.device for p in self.stages.parameters()), None)
            self.register_buffer(name, constant(values, device).view(1, -1, 1, 1), persistent=False)
        self.requires_grad_(trainable)
        if blueprint.traced is not None:
            self.stages.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.train(False)
        self._sizes: tuple[int, int] | None = None
        self._own_dtype = self.dtype
        self._emptied = any(tensor.is_meta for tensor in self.stage_state().values())
        self.register_load_state_dict_post_hook(_is_filled)  # type: ignore[no-untyped-call]
        self.check_filled()
        self._forget_content()

    @property
    def spec(self) -> NetworkSpec:
        """What is known of the network."""
        return self.blueprint.spec

    @property
    def name(self) -> str:
        """The network's name in loss names."""
        return self.blueprint.spec.name

    def train(self, mode: bool = True) -> LossNetwork:
        """Stay in eval mode unless the network is trainable."""
        return super().train(mode and self.trainable)

    def select(self, taps: Sequence[str]) -> LossNetwork:
        """Make the same network (the same tensors, no copies) with other taps.

        Raises:
            WeightsError: a tap lies behind the deepest one that this network was cut at.
        """
        changed = self.changed()
        if changed and not self._same_structure():
            return self._copy_as_it_is(taps)
        state = {**self._spare, **self.stage_state()}
        network = LossNetwork(
            self.blueprint,
            taps,
            state,
            weights_name=self.weights_name,
            weights_sha256=self.weights_sha256,
            origin=self.origin,
            mean=self.mean.flatten().tolist(),
            std=self.std.flatten().tolist(),
            trainable=self.trainable,
        )
        network.mean, network.std = self.mean, self.std
        network._forget_content()
        network._as_built = not changed
        return network

    def changed(self) -> bool:
        """Whether the network is another one than was built: its weights, hooks or settings were changed."""
        if self._as_built and self._watch.unchanged():
            return False
        return self.loaded_content() != self.content()

    def _same_structure(self) -> bool:
        loaded = self.loaded_content()
        return self.trainable or (loaded is not None and loaded.structure == self.content().structure)

    def _copy_as_it_is(self, taps: Sequence[str]) -> LossNetwork:
        """A network with hooks or layers that somebody put in: cut anew, it would lose them."""
        wanted = {self.blueprint.resolve(tap).name for tap in taps}
        if wanted != {tap.name for tap in self.taps}:
            raise ConfigError(
                f"the layers of {self.name} were changed after it was loaded, so it cannot be cut at other "
                f"taps: it has {', '.join(tap.name for tap in self.taps)}. Load it with the taps that you "
                "need, then change it; or change a module of your own and pass it to wrap_network"
            )
        return copy.deepcopy(self)

    def stage_state(self) -> dict[str, Tensor]:
        """Tensors of all stages under the network's own parameter names (shared, not copied)."""
        state: dict[str, Tensor] = {}
        for stage in self.stages:
            # Trainable parameters stay the same objects, so that an optimiser goes on knowing them.
            state.update(stage.state_dict(keep_vars=self.trainable))
        return state

    @standard_state()
    def _apply(self, fn: Move, recurse: bool = True) -> LossNetwork:
        """Follow a host to a device or to float64; a frozen network keeps its values and its precision.

        A trainable one obeys its host, and is refused once it was moved without its values.
        """
        follower = Follower(fn, self.mean.device, self._own_dtype)
        if follower.in_place:
            self.loaded_content()
        constants = tuple(follower.exact(tensor) for tensor in self._constants())
        put = None if self.trainable else follower.moved(self.stages)
        if self.trainable or put is not None:
            self.loaded_content()  # before anything changes
        if self.trainable:
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
            self._emptied = self._emptied or not follower.keeps
        elif put is not None:
            put()
            self._watch = ContentWatch(self.stages, self._constants)  # which no longer holds the old memory
        if not all(new is old for new, old in zip(constants, self._constants(), strict=True)):
            self.loaded_content()
            self.mean, self.std = constants
        self._spare = {key: follower(tensor) for key, tensor in self._spare.items()}
        return self

    def compute_in(self, dtype: torch.dtype) -> None:
        """Let a frozen network's layers compute in another floating type, which then is its own."""
        built = not self.changed()
        self.stages.to(dtype)
        self._own_dtype = dtype
        self._forget_content()
        self._as_built = built

    def content(self, *, exact: bool = False) -> Content:
        """What the network holds now: its operations, tensors, hooks, mean and std, as one hash.

        Args:
            exact: hash every value again; else only where a look at it shows a change.
        """
        exact = exact or self._watch.open or isinstance(self.stages, HookedStages)  # code of the user's own
        if not self._as_built:
            return self._watch.content(exact=exact)
        self._as_built = False
        unchanged = self._watch.unchanged()
        content = self._watch.content(exact=exact)
        self._loaded = content if unchanged else None
        return content

    def loaded_content(self) -> Content | None:
        """What the network held when it was built; None where it was changed before anybody asked."""
        if self._as_built:
            self.content()
        return self._loaded

    def _forget_content(self) -> None:
        """The network as it is now counts as built; hashed when somebody asks."""
        self._watch = ContentWatch(self.stages, self._constants)
        self._as_built = True
        self._loaded = None

    def _constants(self) -> tuple[Tensor, ...]:
        return self.mean, self.std

    def content_parts(self) -> tuple[object, ...]:
        """What `lossnets.content.content_of` reads of the network."""
        return (self.stages, [tensor.flatten().tolist() for tensor in self._constants()])

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: everything but the watch, which holds addresses of this process."""
        self.loaded_content()
        return {key: value for key, value in self.__dict__.items() if key != "_watch"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._watch = ContentWatch(self.stages, self._constants)

    def check_filled(self) -> None:
        """Refuse a network whose weights have no values.

        Raises:
            WeightsError: it was built, or moved, without its values.
        """
        if self._emptied:
            raise WeightsError(
                f"the weights of {self.name} have no values: something put them on the meta device "
                "(init_empty_weights, to_empty). Build the loss outside of it, or fill the weights again "
                "with load_state_dict"
            )

    @property
    def min_size(self) -> int:
        """Smallest image side, in pixels, that the deepest tap can be computed for."""
        return self._side_and_step()[0]

    def _side_and_step(self) -> tuple[int, int]:
        """Smallest image side, and the step to the next one that the network takes (1: all of them)."""
        if self._sizes is None:
            if self.blueprint.fixed_size is not None:
                self._sizes = (min(self.blueprint.fixed_size), 1)
            else:
                self._sizes = alone(self._probe_sizes)
        return self._sizes

    def _probe_sizes(self) -> tuple[int, int]:
        channels = self.mean.shape[1]
        empty = without_data(self.stages).float()
        assert isinstance(empty, (Stages, HookedStages))  # noqa: S101 - a copy of one
        try:
            return smallest_image(lambda images: list(empty.iterate(images)), channels)
        except ValueError:  # code that looks at values does not run without them
            pass
        with torch.no_grad():
            try:
                return smallest_image(
                    lambda images: list(self.stages.iterate(images.to(self.dtype))),
                    channels,
                    str(self.mean.device),
                )
            except ValueError:
                return 1, 1  # the network's own errors have to tell

    def check_size(self, height: int, width: int) -> None:
        """Refuse images that a layer on the way would fail on, or cut a part off without a word.

        Where windows do not reach the last rows or columns (`ignored_border`), the logger ``lossnets`` warns,
        once for each network.

        Raises:
            ImageError: too small, not the one size that the network takes, or no multiple of its patches.
        """
        self.check_filled()
        fixed = self.blueprint.fixed_size
        if fixed is not None and (height, width) != fixed:
            raise ImageError(
                f"{self.name} takes images of {fixed[0]}x{fixed[1]} pixels only; got {height}x{width}. "
                "Resize or crop the images, or choose a convolutional network"
            )
        if min(height, width) < self.min_size:
            raise ImageError(
                f"images must be at least {self.min_size}x{self.min_size} pixels for {self.name} up to tap "
                f"{self.taps[-1].name!r}; got {height}x{width}. Use an earlier tap, pad or enlarge the images"
            )
        smallest, step = self._side_and_step()
        if (height - smallest) % step or (width - smallest) % step:
            sides = f"{smallest}, {smallest + step}, {smallest + 2 * step}, ..."
            below = [side - (side - smallest) % step for side in (height, width)]
            above = [low + step * (low < side) for low, side in zip(below, (height, width), strict=True)]
            raise ImageError(
                f"{self.name} takes images with sides of {sides} pixels up to tap {self.taps[-1].name!r}; "
                f"got {height}x{width}. Crop, pad or resize the images, e.g. to {below[0]}x{below[1]} or "
                f"{above[0]}x{above[1]}"
            )
        check_influence(self, height, width)

    def ignored_border(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of (height, width) images that no tap depends on; as a rule the last ones.

        A strided window without padding does not reach the border of every size (SqueezeNet leaves out one
        row and column of even sides). The number is that of the published network all the same.

        Raises:
            ImageError: the layers fail on images of this size.

        >>> from lossnets.networks import load_network
        >>> network = load_network("squeezenet1_1", ["features.1"], weights="random-0")
        >>> network.ignored_border(64, 65)
        (1, 0)
        """
        return ignored_border(self, height, width)

    def normalise(self, images: Tensor) -> Tensor:
        """Images in [0, 1] -> what the first layer was trained on, in a new tensor, channels last.

        A network that is read through hooks gets the usual layout: its code may take views that writes go
        through, and channels last would turn them into copies.
        """
        if not torch._C._are_functorch_transforms_active():  # which know no memory format
            traced = self.blueprint.traced is not None
            images = images.contiguous(
                memory_format=torch.channels_last if traced else torch.contiguous_format
            )
        return ((images - self.mean) / self.std).to(self.dtype)

    @property
    def dtype(self) -> torch.dtype:
        """Floating type that the layers compute in."""
        return next((p.dtype for p in self.stages.parameters()), torch.float32)

    def features(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the (N, C, H', W') features of each tap, in order, computing no further than asked.

        ``images`` are trusted to be (N, 3, H, W) in [0, 1]; `forward` checks them.
        """
        maps = self.stages.iterate(self.normalise(images))
        for tap in self.taps:
            yield _to_nchw(next(maps), tap.layout)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) float in [0, 1] (or uint8) -> {tap name: (N, C, H', W')}.

        Raises:
            ImageError: wrong type, shape, size or range.
        """
        check_layout(images, "images", channels=self.mean.shape[1])
        if not torch.compiler.is_compiling():
            check_values(images, "images", (0.0, 1.0))
            self.check_size(images.shape[2], images.shape[3])
        if images.dtype == torch.uint8:
            images = images / 255.0
        with torch.autocast(images.device.type, enabled=False):
            maps = list(self.features(images.to(self.mean.dtype)))
        return {tap.name: features for tap, features in zip(self.taps, maps, strict=True)}

    def extra_repr(self) -> str:
        """What the network is, for ``print``."""
        mean, std = (tuple(round(v, 4) for v in b.flatten().tolist()) for b in (self.mean, self.std))
        return (
            f"name={self.name!r}, weights={self.weights_name!r}, sha256={self.weights_sha256[:12]}..., "
            f"taps={[tap.name for tap in self.taps]}, mean={mean}, std={std}, trainable={self.trainable}"
        )


def _is_filled(network: LossNetwork, keys: Any) -> None:
    """After `load_state_dict`: the weights have values again, unless some are missing."""
    network._emptied = network._emptied and bool(keys.missing_keys)


def _to_nchw(features: Tensor, layout: str) -> Tensor:
    """Bring a feature map into (N, C, H, W); tokens become (N, C, L, 1), vectors (N, C, 1, 1)."""
    if layout == "NHWC":
        return features.permute(0, 3, 1, 2)
    if layout == "NLC":
        return features.transpose(1, 2).unsqueeze(3)
    if layout == "NC":
        return features[:, :, None, None]
    return features


def _load_stages(
    blueprint: Blueprint, modules: list[str], state: Mapping[str, Tensor]
) -> tuple[Stages | HookedStages, list[str]]:
    """Stages with the given tensors; shapes come from the blueprint, numbers from ``state``."""
    if blueprint.traced is None:
        order = [module for module in blueprint.taps if module in modules]
        with torch.random.fork_rng(devices=[]):
            hooked = HookedStages(blueprint.rebuild(), order)
        _assign(hooked, state, blueprint, order[-1])
        return hooked, order
    stages, order = cut(blueprint.traced, modules)
    stages = copy.deepcopy(stages)
    _assign(stages, state, blueprint, order[-1])
    if _has_meta(stages):  # tensors that are computed when the network is built, and not in its state
        with torch.random.fork_rng(devices=[]):
            stages, order = cut(blueprint.retrace(), modules)
        _assign(stages, state, blueprint, order[-1])
    speed_up_first_layer(stages[0])  # type: ignore[arg-type]
    return stages, order


def _assign(stages: nn.ModuleList, state: Mapping[str, Tensor], blueprint: Blueprint, deepest: str) -> None:
    for stage in stages:
        wanted = stage.state_dict()
        found = {key: state[key] for key in wanted if key in state}
        for key in wanted:  # files from before PyTorch 0.4.1 do not have these counters
            if key.endswith("num_batches_tracked") and key not in found:
                found[key] = torch.zeros((), dtype=torch.long)
        missing = [key for key in wanted if key not in found and key in blueprint.expected]
        if missing:
            raise WeightsError(
                f"the weights given for {blueprint.spec.name} end before tap {deepest!r}: {missing[0]!r} and "
                f"{len(missing) - 1} more are missing. Choose an earlier tap, or load the network with the "
                "deepest tap that you need"
            )
        stage.load_state_dict(found, strict=False, assign=True)


def _has_meta(module: nn.Module) -> bool:
    return any(t.is_meta for t in (*module.parameters(), *module.buffers()))
