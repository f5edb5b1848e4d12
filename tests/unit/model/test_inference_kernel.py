from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from safr_study.model import Inference, SafrClassifier
from safr_study.settings import Preset

# A short row, a padded one, an empty text, and more than the 16 positions where softmax changes.
SHORT = torch.tensor([[2, 3, 4, 2], [5, 6, 0, 0], [0, 0, 0, 0]])
LONG = torch.tensor([list(range(1, 19)), [7] * 9 + [0] * 9])


@pytest.mark.parametrize("preset", ["masked", "reference"])
@pytest.mark.parametrize("vmask", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("table", "ffn_topk"), [(2**24, 1.0), (0, 1.0), (2**24, 0.2)])
def test_the_logits_are_those_of_the_model(
    small: Callable[..., SafrClassifier],
    monkeypatch: pytest.MonkeyPatch,
    preset: Preset,
    vmask: bool,
    layers: int,
    table: int,
    ffn_topk: float,
) -> None:
    monkeypatch.setattr("safr_study.model.kernels.inference.TABLE", table)
    model = small(preset, vmask=vmask, layers=layers, max_len=18, ffn_topk=ffn_topk)
    infer = Inference(model)
    for ids in (SHORT, LONG):
        with torch.no_grad():
            expected = model(ids).logits
        assert torch.allclose(infer(ids), expected, atol=1e-12)
        assert (expected[0] - expected[1]).abs().max() > 1e-3
