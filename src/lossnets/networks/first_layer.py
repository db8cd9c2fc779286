"""A faster way back from the first layer to the image, with the same forward pass.

The gradient of a strided convolution with respect to an image of three channels is the step that CPU
libraries are slowest at (11x11 with stride 4 in AlexNet, 7x7 with stride 2 in ResNets). Cutting the kernel
into its stride x stride phases makes it an ordinary convolution with 3 * stride^2 outputs, whose result
only has to be rearranged (Shi et al. 2016, "Is the deconvolution layer the same as a convolutional layer?").
Values are bit-equal; gradients differ by rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812 - the name that everybody uses

from lossnets.torch_state import operations_are_watched

Pair = tuple[int, int]


class ImageConv2d(nn.Conv2d):
    """`torch.nn.Conv2d` whose gradient with respect to its input takes the fast way where there is one."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name of the base class
        """(N, C, H, W) -> (N, out_channels, H', W')."""
        ordinary = (
            input.device.type != "cpu"
            or not (torch.is_grad_enabled() and input.requires_grad)
            or self.weight.requires_grad
            or torch.is_autocast_enabled("cpu")
            or operations_are_watched()
        )
        if ordinary:
            return super().forward(input)
        arguments = (input, self.weight, self.bias, self.stride, self.padding)
        result: Tensor = _ImageConv.apply(*arguments)  # type: ignore[no-untyped-call]
        return result


class _ImageConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.settings = (stride[0], padding, images.shape[2:])
        return F.conv2d(images, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> Any:
        (weight,) = ctx.saved_tensors
        with torch.autocast(above.device.type, enabled=False):  # of the caller, around backward()
            return input_gradient(above, weight, *ctx.settings), None, None, None, None


def input_gradient(above: Tensor, weight: Tensor, stride: int, padding: Pair, size: Pair) -> Tensor:
    """Gradient of ``conv2d`` with respect to its input: (N, O, H', W') -> (N, C, H, W).

    Args:
        above: gradient of the output.
        weight: (O, C, K, K).
        stride: of the convolution, the same both ways.
        padding: of the convolution, zeros.
        size: (H, W) of the input.
    """
    out, channels, kernel, _ = weight.shape
    steps = -(-kernel // stride)  # the kernel's side in strides, filled up with zeros
    fill = steps * stride - kernel
    phases = F.pad(weight, (0, fill, 0, fill)).view(out, channels, steps, stride, steps, stride)
    phases = phases.permute(0, 1, 3, 5, 2, 4).reshape(out, channels * stride**2, steps, steps)
    turned = phases.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
    padded = F.pixel_shuffle(F.conv2d(above, turned, None, 1, steps - 1), stride)
    top, left = padding
    missing = (top + size[0] - padded.shape[2], left + size[1] - padded.shape[3])
    if max(missing) > 0:  # the last rows and columns were never looked at
        padded = F.pad(padded, (0, max(missing[1], 0), 0, max(missing[0], 0)))
    return padded.narrow(2, top, size[0]).narrow(3, left, size[1])


def speed_up_first_layer(stage: fx.GraphModule) -> None:
    """Replace the strided convolution that reads the image, if the stage begins with one."""
    image = next((node for node in stage.graph.nodes if node.op == "placeholder"), None)
    for node in image.users if image is not None else ():
        if node.op != "call_module":
            continue
        layer = stage.get_submodule(str(node.target))
        if type(layer) is nn.Conv2d and _fits(layer):
            layer.__class__ = ImageConv2d  # so that hooks, norms and settings of the layer stay as they are


def _fits(layer: nn.Conv2d) -> bool:
    strided = layer.stride[0] == layer.stride[1] > 1 and layer.kernel_size[0] == layer.kernel_size[1]
    plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    return strided and plain and not isinstance(layer.padding, str)
