"""The authors' model as data is the oracle of the preset ``reference``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from safr_study.model import SafrClassifier, SafrOutput, build_model, loss_terms
from safr_study.settings import ModelShape, Penalties, Preset


class Golden:
    def __init__(self, path: Path) -> None:
        with safe_open(path, "pt") as file:
            self.sizes = file.metadata()
            self.tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        self.penalties = Penalties(
            lambda_imp=float(self.sizes["lambda_imp"]),
            lambda_inter=float(self.sizes["lambda_inter"]),
        )

    def __getitem__(self, key: str) -> Tensor:
        return self.tensors[key]

    def part(self, prefix: str) -> dict[str, Tensor]:
        return {
            key.removeprefix(prefix): value
            for key, value in self.tensors.items()
            if key.startswith(prefix)
        }

    def model(self, preset: Preset) -> SafrClassifier:
        names = ("embed_dim", "ffn_dim", "heads", "mask_hidden_dim")
        model = build_model(
            ModelShape.parse({name: int(self.sizes[name]) for name in names}),
            preset=preset,
            vocabulary_size=int(self.sizes["vocab"]),
            classes=2,
            max_len=int(self.sizes["max_len"]),
            seed=0,
        ).to(torch.float64)
        weights = self.part("param.")
        del weights["pos_encoder.pe"]
        model.load_state_dict(weights)
        return model.eval()

    def forward(self, preset: Preset) -> tuple[SafrClassifier, SafrOutput]:
        model = self.model(preset)
        return model, model(self["in.ids"])


@pytest.fixture(params=["tiny", "wide"])
def authors(request: pytest.FixtureRequest, golden: Path) -> Golden:
    return Golden(golden / f"reference_{request.param}.safetensors")


def assert_golden(actual: Tensor, expected: Tensor, name: str) -> None:
    bound = max(1e-14, 1e-10 * expected.abs().max().item())
    assert actual.shape == expected.shape, name
    assert (actual - expected).abs().max().item() <= bound, name


def values_of(output: SafrOutput) -> dict[str, Tensor]:
    assert output.keep_probability is not None
    return {
        "logits": output.logits,
        "mask_prob": output.keep_probability,
        "vmask": output.masked_embeddings,
        "attention": output.attention[0],
        "ffn1_pre_relu": output.ffn1_pre_relu[0],
        "ffn1_post_relu": output.ffn1_post_relu[0],
        "ffn2": output.ffn2[0],
        "block": output.block[0],
    }


def test_reference_gives_the_authors_values(authors: Golden) -> None:
    model, output = authors.forward("reference")
    assert_golden(model.positions[None], authors["param.pos_encoder.pe"], "positions")
    for name, value in values_of(output).items():
        assert_golden(value, authors[f"out.{name}"], name)


def test_reference_gives_the_authors_losses_and_gradients(authors: Golden) -> None:
    model, output = authors.forward("reference")
    losses = loss_terms(
        output, authors["in.labels"], authors["in.ids"], authors.penalties, "reference"
    )
    assert list(losses) == ["total", "cross_entropy", "importance", "interaction"]
    assert_golden(losses["cross_entropy"], authors["out.ce"], "cross-entropy")
    assert_golden(losses["importance"], authors["out.importance_loss"], "importance")
    assert_golden(losses["interaction"], authors["out.interaction_loss"], "interaction")
    assert_golden(losses["total"], authors["out.loss"], "total")
    losses["total"].backward()
    expected = authors.part("grad.")
    assert {name for name, _ in model.named_parameters()} == set(expected)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert_golden(parameter.grad, expected[name], name)


def test_masked_does_not_give_the_authors_numbers(authors: Golden) -> None:
    _, output = authors.forward("masked")
    losses = loss_terms(
        output, authors["in.labels"], authors["in.ids"], authors.penalties, "masked"
    )
    padded = (authors["in.ids"] == 0).any(dim=1)
    off = (output.logits - authors["out.logits"]).abs().amax(dim=1)
    assert (off[padded] > 1e-3).all()
    assert (off[~padded] < 1e-12).all()
    for mine, theirs in (
        (losses["importance"], "out.importance_loss"),
        (losses["interaction"], "out.interaction_loss"),
    ):
        assert abs(mine.item() / authors[theirs].item() - 1) > 1e-2
