"""The meta-loss: how far predicted gradients are from true ones, and what else a proxy target should be.

Nikulin et al. 2021, section 3.3, and the options of the released training command; what is ours is marked so.
Every term is a mean over images. g is the predicted gradient, d the true one, t the proxy target, all in the
normalised space of the gradient network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lossnets.gradients.network import GradientNetwork, PerceptualGradientNetwork
from lossnets.gradients.proxies import WARP_STRIDE, proxy_image
from lossnets.gradients.training.checks import PROXY_TERMS, WARP_TERMS
from lossnets.gradients.training.config import PGNConfig
from lossnets.gradients.training.replay import Samples
from lossnets.losses.base import ImageLoss
from lossnets.losses.encoded import EncodedTarget

_TINY = 1e-20
_SPREAD = 8.0
"""A gradient becomes an image by 0.5 + g / (_SPREAD · rms of the true one)."""


@dataclass(frozen=True)
class Predicted:
    """What a gradient network says of a batch, normalised space, and what was true.

    Attributes:
        images: x̂, (N, 3, H, W).
        target: y.
        value: predicted, (N,).
        gradient: predicted.
        true_value: (N,).
        true_gradient: (N, 3, H, W).
        proxy: t; None where the network has none.
        output: of the backbone, where there is one.
        fresh: (images, encoded target) of the first samples, part by part: not of replayed ones.
    """

    images: Tensor
    target: Tensor
    value: Tensor
    gradient: Tensor
    true_value: Tensor
    true_gradient: Tensor
    proxy: Tensor | None
    output: Tensor | None
    fresh: Sequence[tuple[int, EncodedTarget]]

    @property
    def fresh_count(self) -> int:
        """How many samples are not replayed ones."""
        return sum(count for count, _ in self.fresh)


class Objective:
    """Meta-loss of a gradient network that imitates a loss; see `PGNConfig` for the weights.

    Args:
        network: that is trained.
        loss: that is imitated, one value an image.
        config: of the training.
    """

    def __init__(self, network: GradientNetwork, loss: ImageLoss, config: PGNConfig) -> None:
        self._network, self._loss, self._config = network, loss, config
        self._weights = {name: weight for name, weight in config.weights().items() if weight}
        self._with_proxy = any(name in self._weights for name in (*PROXY_TERMS, *WARP_TERMS))

    def predict(self, samples: Samples, fresh: Sequence[tuple[int, EncodedTarget]]) -> Predicted:
        """Run the network on samples, with a graph to its parameters."""
        network = self._network
        x, y = network.normalise(samples.images), network.normalise(samples.target)
        if "jacobian_symmetry" in self._weights:
            x.requires_grad_()
        kept = network.encode(y)
        with _outputs(network) as outputs:
            value, gradient = network.predict(x, kept)
        output = outputs[0] if outputs else None
        proxy = None
        if self._with_proxy and output is not None:
            kind = network.architecture.proxy
            proxy = proxy_image(kind, output.to(x.dtype), kept[0], network.mean, network.std)
        return Predicted(x, y, value, gradient, samples.value, samples.gradient, proxy, output, tuple(fresh))

    def __call__(self, p: Predicted) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each term that has a weight (before it is weighted)."""
        terms = {name: getattr(self, f"_{name}")(p) for name in self._weights}
        total = torch.stack([weight * terms[name] for name, weight in self._weights.items()]).sum()
        return total, {name: term.detach() for name, term in terms.items()}

    def _matching(self, p: Predicted) -> Tensor:
        """MSE(g, d) · 2^26."""
        return (p.gradient - p.true_gradient).square().mean() * self._config.matching_scale

    def _matching_cosine(self, p: Predicted) -> Tensor:
        """1 - cosine(g, d), averaged over scales (ours)."""
        scales = self._config.matching_scales
        return torch.stack([1 - cosines(p.gradient, p.true_gradient, s).mean() for s in scales]).mean()

    def _matching_norm(self, p: Predicted) -> Tensor:
        """(log |g| / |d|)² (ours)."""
        return log_ratios(p.gradient, p.true_gradient).square().mean()

    def _proxy_loss(self, p: Predicted) -> Tensor:
        """L(t, y)."""
        assert p.proxy is not None  # noqa: S101 - the settings were checked
        return self._imitated(p, self._network.denormalise(p.proxy[: p.fresh_count]))

    def _proxy_l1(self, p: Predicted) -> Tensor:
        """Mean of |t - y|."""
        return F.l1_loss(_there(p.proxy), p.target)

    def _proxy_mse_target(self, p: Predicted) -> Tensor:
        """MSE(t, y)."""
        return F.mse_loss(_there(p.proxy), p.target)

    def _proxy_mse_input(self, p: Predicted) -> Tensor:
        """MSE(t, x̂)."""
        return F.mse_loss(_there(p.proxy), p.images.detach())

    def _predicted_value(self, p: Predicted) -> Tensor:
        """(predicted L - L)²."""
        return F.mse_loss(p.value, p.true_value)

    def _jacobian_symmetry(self, p: Predicted) -> Tensor:
        """|Jᵀv - Jv| / (|Jᵀv| + |Jv|) for a random v: 0 for a gradient field; published: |Jᵀv - Jv|₁."""
        v = torch.randn_like(p.gradient).requires_grad_()
        (transposed,) = torch.autograd.grad(p.gradient, p.images, v, create_graph=True)
        (straight,) = torch.autograd.grad(transposed, v, v.detach(), create_graph=True)
        sizes = _norms(transposed) + _norms(straight)
        return (_norms(transposed - straight) / sizes.clamp(min=_TINY)).mean()

    def _gradient_loss(self, p: Predicted) -> Tensor:
        """L between predicted and true gradient, both made images."""
        n = p.fresh_count
        spread = _SPREAD * _rms(p.true_gradient[:n])
        ours, theirs = (0.5 + g[:n] / spread for g in (p.gradient, p.true_gradient))
        value: Tensor = self._loss(ours.clamp(0, 1), theirs.clamp(0, 1)).mean()
        return value

    def _step_loss(self, p: Predicted) -> Tensor:
        """L between x̂ after a step along the predicted gradient and after one along the true gradient."""
        n = p.fresh_count
        x, target = p.images[:n].detach(), p.target[:n]
        length = self._config.step_size * _rms(x - target) / _rms(p.true_gradient[:n])
        ours, theirs = (self._network.denormalise(x - length * g[:n]) for g in (p.gradient, p.true_gradient))
        value: Tensor = self._loss(ours, theirs).mean()
        return value

    def _warp_tv(self, p: Predicted) -> Tensor:
        """Mean squared difference of neighbouring displacements (1: the largest possible one)."""
        field = _displacements(p)
        down, right = field[..., 1:, :] - field[..., :-1, :], field[..., 1:] - field[..., :-1]
        return down.square().mean() + right.square().mean()

    def _warp_l2(self, p: Predicted) -> Tensor:
        """Mean squared displacement."""
        return _displacements(p).square().mean()

    def _additive_l2(self, p: Predicted) -> Tensor:
        """Mean square of the additive image."""
        return _there(p.output)[:, 2:5].square().mean()

    def _imitated(self, p: Predicted, images: Tensor) -> Tensor:
        """L(images, y) of fresh samples, whose targets are encoded already."""
        parts = torch.split(images, [count for count, _ in p.fresh])
        values = [self._loss(part, kept) for part, (_, kept) in zip(parts, p.fresh, strict=True)]
        return torch.cat(values).mean()


@contextmanager
def _outputs(network: GradientNetwork) -> Iterator[list[Tensor]]:
    """What the backbone gives inside the block: the proxy target can be made of it without a second pass."""
    outputs: list[Tensor] = []
    if not isinstance(network, PerceptualGradientNetwork):
        yield outputs
        return
    keep: Callable[..., None] = lambda _module, _inputs, output: outputs.append(output)  # noqa: E731
    handle = network.backbone.register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()


def cosines(a: Tensor, b: Tensor, scale: int = 1) -> Tensor:
    """Cosine of each pair of fields (N, C, H, W), averaged over squares of ``scale`` pixels: -> (N,)."""
    if scale > 1:
        a, b = F.avg_pool2d(a, scale), F.avg_pool2d(b, scale)
    return F.cosine_similarity(a.flatten(1), b.flatten(1), dim=1, eps=_TINY)


def log_ratios(a: Tensor, b: Tensor) -> Tensor:
    """Logarithm of |a| / |b| of each pair of fields: (N, C, H, W) twice -> (N,)."""
    return _norms(a).clamp(min=_TINY).log() - _norms(b).clamp(min=_TINY).log()


def _norms(fields: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(fields.flatten(1), dim=1)
    return norms


def _rms(fields: Tensor) -> Tensor:
    return fields.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=_TINY)


def _displacements(p: Predicted) -> Tensor:
    low = F.avg_pool2d(_there(p.output)[:, :2], WARP_STRIDE, ceil_mode=True, count_include_pad=False)
    return low.tanh()


def _there(tensor: Tensor | None) -> Tensor:
    assert tensor is not None  # noqa: S101 - the settings were checked: the term means something here
    return tensor
