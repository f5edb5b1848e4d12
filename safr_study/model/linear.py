"""A linear layer at the full speed of the processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS = 32
"""Rows are filled up to a multiple of this."""
LARGE = 128 * 128
"""Weights from which on the choice of the library matters."""


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``x [..., in]`` times ``weight [out, in]`` transposed, plus ``bias [out]``.

    torch multiplies with MKL on the CPU, which runs at half speed on processors of another maker
    than Intel. There large float32 products go through oneDNN; on Intel's the two are as fast, and
    MKL needs no transposed copies.
    """
    if (
        USES_ONEDNN
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and weight.numel() >= LARGE
        and x.numel()
    ):
        return onednn_linear(x, weight, bias)
    return F.linear(x, weight, bias)


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``linear`` by oneDNN, float32 on the CPU.

    oneDNN compiles a kernel for each number of rows, so the numbers are kept few.
    """
    rows = x.reshape(-1, x.shape[-1])
    missing = -len(rows) % ROWS
    filled = F.pad(rows, (0, 0, 0, missing)) if missing else rows
    product: Tensor = _OneDnnLinear.apply(filled, weight, bias)  # type: ignore[no-untyped-call]
    return product[: len(rows)].view(*x.shape[:-1], len(weight))


class Linear(nn.Linear):
    """As ``nn.Linear``, by ``linear``."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the name of the base class)
        """``[..., in]`` to ``[..., out]``."""
        return linear(input, self.weight, self.bias)


class _OneDnnLinear(torch.autograd.Function):
    """The three products of a linear layer, on plain tensors: no copy into oneDNN's own layout."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor]:
        x, weight = ctx.saved_tensors
        of_x = _product(gradient, weight.t()) if ctx.needs_input_grad[0] else None
        of_weight = _product(gradient.t(), x.t()) if ctx.needs_input_grad[1] else None
        return of_x, of_weight, gradient.sum(dim=0)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


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
