"""A linear layer at the full speed of the processor."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Linear(nn.Linear):
    """As ``nn.Linear``; float32 products on the CPU go through oneDNN.

    torch uses MKL for them, which runs at half speed on processors of another maker.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the name of the base class)
        """``[..., in]`` to ``[..., out]``."""
        if (
            input.device.type != "cpu"
            or input.dtype != torch.float32
            or input.numel() == 0
            or not torch.backends.mkldnn.is_available()
        ):
            return super().forward(input)
        return F.linear(input.to_mkldnn(), self.weight, self.bias).to_dense()
