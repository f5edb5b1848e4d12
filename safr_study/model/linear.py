"""A linear layer at the full speed of the processor."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS = 32
"""Rows are filled up to a multiple of this."""
LARGE = 128 * 128
"""Weights from which on oneDNN is faster than MKL."""
_HAS_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


class Linear(nn.Linear):
    """As ``nn.Linear``; large float32 products on the CPU go through oneDNN.

    torch uses MKL for them, which runs at half speed on processors of another maker. oneDNN
    compiles a kernel for each number of rows, so the numbers are kept few.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the name of the base class)
        """``[..., in]`` to ``[..., out]``."""
        if (
            input.device.type != "cpu"
            or input.dtype != torch.float32
            or self.weight.numel() < LARGE
            or input.numel() == 0
            or not _HAS_ONEDNN
        ):
            return super().forward(input)
        rows = input.reshape(-1, self.in_features)
        missing = -len(rows) % ROWS
        filled = F.pad(rows, (0, 0, 0, missing)) if missing else rows
        product = F.linear(filled.to_mkldnn(), self.weight, self.bias).to_dense()
        return product[: len(rows)].view(*input.shape[:-1], self.out_features)
