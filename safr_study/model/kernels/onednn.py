"""A linear layer at the full speed of the processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from safr_study.model import kernels
from safr_study.model.top_k import top_k

ROWS = 32
"""Rows are filled up to a multiple of this."""
LARGE = 128 * 128
"""Weights from which on the choice of the library matters."""


def linear(x: Tensor, weight: Tensor, bias: Tensor, *, tanh: bool = False) -> Tensor:
    """``x [..., in]`` times ``weight [out, in]`` transposed, plus ``bias [out]``.

    torch multiplies with MKL on the CPU, which runs at half speed on processors of another maker
    than Intel. There large float32 products go through oneDNN; on Intel's the two are as fast, and
    MKL needs no transposed copies. oneDNN compiles a kernel for each number of rows, so the numbers
    are kept few.

    Args:
        x: any number of dimensions.
        weight: a matrix.
        bias: a vector.
        tanh: give the hyperbolic tangent; oneDNN takes it within the product, as exactly as torch
            and in a tenth of the time.
    """
    if by_onednn(x, weight.numel()):
        product: Tensor = _OneDnnLinear.apply(  # type: ignore[no-untyped-call]
            _filled(x), weight, bias, "tanh" if tanh else "none"
        )
        return _unfilled(product, x)
    values = F.linear(x, weight, bias)
    return torch.tanh(values) if tanh else values


def by_onednn(x: Tensor, cells: int) -> bool:
    """Whether the product of ``x`` and a matrix of so many elements is quicker by oneDNN here."""
    return (
        USES_ONEDNN
        and kernels.FAST
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and cells >= LARGE
        and x.numel() > 0
    )


def perceptron(x: Tensor, first: nn.Linear, second: nn.Linear, kept: int | None = None) -> Tensor:
    """``second(top_k(relu(first(x))))`` for x ``[..., in]``, without the hidden values.

    They are rectified within the product or in its memory, and so is their gradient: over
    ``[..., hidden]`` each pass of its own costs as much as a tenth of the product.
    """
    weights = first.weight, first.bias, second.weight, second.bias
    if by_onednn(x, first.weight.numel()):
        product: Tensor = _Perceptron.apply(_filled(x), *weights, kept, True)  # type: ignore[no-untyped-call]
        return _unfilled(product, x)
    if x.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
        plain: Tensor = _Perceptron.apply(x.flatten(0, -2), *weights, kept, False)  # type: ignore[no-untyped-call]
        return plain.view(*x.shape[:-1], plain.shape[1])
    return F.linear(top_k(F.relu(F.linear(x, *weights[:2])), kept), *weights[2:])


def products(x: Tensor, y: Tensor) -> Tensor:
    """``x [N, n, k]`` times ``y [N, m, k]`` transposed, each with each; without gradients."""
    if by_onednn(x, y.shape[1] * y.shape[2]):
        return torch.stack([onednn_product(one, other) for one, other in zip(x, y, strict=True)])
    return torch.bmm(x, y.mT)


class Linear(nn.Linear):
    """A linear layer like ``nn.Linear``, computed by ``linear``."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the name of the base class)
        """``[..., in]`` to ``[..., out]``."""
        return linear(input, self.weight, self.bias)


class _OneDnnLinear(torch.autograd.Function):
    """The three products of a linear layer, on plain tensors: no copy into oneDNN's own layout."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, then: Literal["none", "tanh"]
    ) -> Tensor:
        product = onednn_product(x, weight, bias, then)
        ctx.save_for_backward(x, weight, product if then == "tanh" else None)
        return product

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor, None]:
        x, weight, tanh = ctx.saved_tensors
        if tanh is not None:
            gradient = torch.ops.aten.tanh_backward(gradient, tanh)
        of_x = onednn_product(gradient, weight.t()) if ctx.needs_input_grad[0] else None
        of_weight = _of_weight(gradient, x) if ctx.needs_input_grad[1] else None
        return of_x, of_weight, gradient.sum(dim=0), None


class _Perceptron(torch.autograd.Function):
    """A linear layer, ReLU, top-k and another linear layer, by oneDNN or by torch."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight1: Tensor,
        bias1: Tensor,
        weight2: Tensor,
        bias2: Tensor,
        kept: int | None,
        by_onednn: bool,
    ) -> Tensor:
        if by_onednn:
            hidden = top_k(onednn_product(x, weight1, bias1, "relu"), kept)
            product = onednn_product(hidden, weight2, bias2)
        else:
            hidden = top_k(torch.addmm(bias1, x, weight1.t()).relu_(), kept)
            product = torch.addmm(bias2, hidden, weight2.t())
        ctx.save_for_backward(x, weight1, hidden, weight2)
        ctx.by_onednn = by_onednn
        return product

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight1, hidden, weight2 = ctx.saved_tensors
        times = onednn_product if ctx.by_onednn else F.linear
        of_weight = _of_weight if ctx.by_onednn else lambda one, other: one.t() @ other
        of_hidden = times(gradient, weight2.t())
        torch.ops.aten.threshold_backward.grad_input(of_hidden, hidden, 0, grad_input=of_hidden)
        of_x = times(of_hidden, weight1.t()) if ctx.needs_input_grad[0] else None
        return (
            of_x,
            of_weight(of_hidden, x),
            of_hidden.sum(dim=0),
            of_weight(gradient, hidden),
            gradient.sum(dim=0),
            None,
            None,
        )


def onednn_product(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    then: Literal["none", "relu", "tanh"] = "none",
) -> Tensor:
    """``x [n, in]`` times ``weight [out, in]`` transposed, plus ``bias [out]``, in float32.

    Args:
        x: copied where it is not contiguous.
        weight: in any order.
        bias: of the columns.
        then: what is made of each element.
    """
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, then, [], "")
    return product


def onednn_sum(other: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """``other [n, out]`` plus the product of x and ``weight``, as in ``onednn_product``."""
    found: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, weight, None, "add")
    return found


def _of_weight(gradient: Tensor, x: Tensor) -> Tensor:
    """Gradient ``[out, in]`` of the weight.

    Args:
        gradient: of the product ``[n, out]``.
        x: ``[n, in]``.
    """
    # The first factor is copied: take the narrower one.
    if gradient.shape[1] <= x.shape[1]:
        return onednn_product(gradient.t(), x.t())
    return onednn_product(x.t(), gradient.t()).t()


def _filled(x: Tensor) -> Tensor:
    """The rows of x ``[..., in]``, with rows of zeros up to a multiple of ``ROWS``."""
    rows = x.reshape(-1, x.shape[-1])
    missing = -len(rows) % ROWS
    return F.pad(rows, (0, 0, 0, missing)) if missing else rows


def _unfilled(product: Tensor, x: Tensor) -> Tensor:
    """The rows of ``product`` that come from x ``[..., in]``, in its shape."""
    count = x.numel() // x.shape[-1]
    # A slice, even of all rows, costs a copy in the backward pass.
    rows = product if len(product) == count else product[:count]
    return rows.view(*x.shape[:-1], product.shape[1])


def _intel() -> bool:
    """Whether the processor is Intel's; ``True`` where the system does not tell."""
    try:
        return "AuthenticAMD" not in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return True


USES_ONEDNN: bool = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    and not (torch.backends.mkl.is_available() and _intel())  # type: ignore[no-untyped-call]
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
"""Whether large products on this machine's CPU go through oneDNN."""
