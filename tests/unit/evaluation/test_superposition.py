from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from safr_study.errors import TrialFailure
from safr_study.evaluation.superposition import (
    SuperpositionMeter,
    capacity_means,
    capacity_table,
    important_tokens,
)
from safr_study.model import SafrOutput, build_model
from safr_study.model.positions import Positions
from safr_study.records import LayerMeasures
from safr_study.settings import LAYERS, ModelShape, Preset

LENGTHS = [5, 1, 9, 5, 0, 2, 9, 3]
SPECTRAL = ("participation_ratio", "effective_rank", "stable_rank")


def small_output(
    lengths: list[int], *, preset: Preset = "masked", seed: int = 0, **shape: Any
) -> tuple[SafrOutput, torch.Tensor]:
    """A forward pass of a small model in evaluation mode over random texts, and its mask."""
    sizes = {"embed_dim": 8, "ffn_dim": 12, "heads": 2, "mask_hidden_dim": 6, "layers": 2, **shape}
    model = build_model(
        ModelShape.parse(sizes),
        preset=preset,
        vocabulary_size=20,
        classes=3,
        max_len=12,
        seed=seed,
    )
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    words = torch.randint(2, 20, mask.shape, generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        return model.eval()(words * mask), mask


def some_texts(output: SafrOutput, texts: list[int]) -> SafrOutput:
    """The same pass with some of its texts."""

    def cut(value: Any) -> Any:
        if isinstance(value, Positions):
            return Positions(*(cut(marks) for marks in value))
        if isinstance(value, tuple):
            return tuple(each[texts] for each in value)
        return None if value is None else value[texts]

    return SafrOutput(
        **{field.name: cut(getattr(output, field.name)) for field in dataclasses.fields(output)}
    )


def measured(output: SafrOutput, mask: torch.Tensor) -> tuple[LayerMeasures, ...]:
    meter = SuperpositionMeter()
    meter.add(output, mask)
    return meter.result()


def rows_of(output: SafrOutput, layer: str, block: int) -> torch.Tensor:
    return {
        "embedding": (output.embeddings, output.embeddings),
        "vmask": (output.masked_embeddings, output.masked_embeddings),
        "attention": output.attention_output,
        "ffn1_pre": output.ffn1_pre_relu,
        "ffn1_post": output.ffn1_post_relu,
        "ffn2": output.ffn2,
        "block": output.block,
    }[layer][block]


def brute_force(
    texts: list[np.ndarray], important: list[set[int]] | None, *, neurons: bool
) -> dict[str, float | None]:
    """The measures of one layer from the texts' rows, by loops over texts and tokens."""
    capacities, marked, rest, norms, hoyer = [], [], [], [], []
    totals, energies, cosines, spectra = [], [], [], []
    for place, rows in enumerate(texts):
        n, width = rows.shape
        gram = (rows @ rows.T) ** 2
        mine = [gram[i, i] / gram[i].sum() for i in range(n)]
        capacities += mine
        for i in range(n):
            if important is not None:
                (marked if i in important[place] else rest).append(mine[i])
            norms.append(np.linalg.norm(rows[i]))
            ratio = np.abs(rows[i]).sum() / norms[-1]
            hoyer.append((math.sqrt(width) - ratio) / (math.sqrt(width) - 1))
        totals.append(sum(mine) / min(n, width))
        energies.append(1 - np.trace(gram) / gram.sum())
        if n > 1:
            unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            cosines.append(np.mean([abs(unit[i] @ unit[j]) for i in range(n) for j in range(i)]))
        values = np.linalg.svd(rows, compute_uv=False)
        shares = values / values.sum()
        ranks = (values**2).sum() ** 2 / (values**4).sum(), np.exp(-(shares @ np.log(shares)))
        spectra.append((*ranks, (values**2).sum() / values[0] ** 2))
    every = np.concatenate(texts)
    return {
        "mean_capacity": np.mean(capacities),
        "mean_capacity_important": None if important is None else np.mean(marked),
        "mean_capacity_less_important": None if important is None else np.mean(rest),
        "total_capacity_share": np.mean(totals),
        "interference_energy": np.mean(energies),
        "mean_cosine": np.mean(cosines),
        **dict(zip(SPECTRAL, np.mean(spectra, axis=0), strict=True)),
        "hoyer_sparsity": np.mean(hoyer),
        "active_share": (every > 0).mean() if neurons else None,
        "dead_share": (~(every > 0).any(axis=0)).mean() if neurons else None,
        "mean_norm": np.mean(norms),
    }


def assert_equal(found: dict[str, Any], expected: dict[str, Any], *, rel: float) -> None:
    """Names and nulls exactly, numbers up to `rel`."""
    for name, value in expected.items():
        if isinstance(value, float):
            value = pytest.approx(value, rel=rel)
        assert found[name] == value, name


@pytest.mark.parametrize("preset", ["masked", "reference"])
@pytest.mark.parametrize("vmask", [True, False])
def test_every_layer_equals_the_loops(preset: Preset, vmask: bool) -> None:
    output, mask = small_output(LENGTHS, preset=preset, vmask=vmask)
    found = measured(output, mask)
    inner = [(layer, block) for block in range(2) for layer in LAYERS[2:]]
    outer = [("embedding", 0), ("vmask", 0)] if vmask else [("embedding", 0)]
    assert [(each.layer, each.block) for each in found] == outer + inner
    important = None
    if vmask:
        important = [
            set(sorted(range(n), key=lambda i: -keep[i])[: round(0.3 * n)])
            for keep, n in zip(output.keep_probability.tolist(), LENGTHS, strict=True)
            if n
        ]
    for each in found:
        rows = rows_of(output, each.layer, each.block).double().numpy()
        texts = [rows[text, :n] for text, n in enumerate(LENGTHS) if n]
        expected = brute_force(texts, important, neurons=each.layer == "ffn1_post")
        assert_equal(dataclasses.asdict(each), expected, rel=1e-9)


def test_batches_and_their_padding_do_not_matter() -> None:
    output, mask = small_output(LENGTHS)
    meter = SuperpositionMeter()
    for texts in ([4], [1, 5, 7], [2], [6, 0, 3]):
        part, real = some_texts(output, texts), mask[texts]
        for rows in (*part.ffn1_pre_relu, *part.block, part.embeddings):
            rows[~real] = float("nan")
        meter.add(part, real)
    for one, other in zip(meter.result(), measured(output, mask), strict=True):
        assert_equal(dataclasses.asdict(one), dataclasses.asdict(other), rel=1e-12)


def test_layers_differ_from_each_other() -> None:
    output, mask = small_output(LENGTHS)
    means = [each.mean_capacity for each in measured(output, mask)]
    assert len({round(mean, 6) for mean in means}) == len(means) == 12


def test_neurons_are_dead_only_when_no_token_of_any_batch_activates_them() -> None:
    output, mask = small_output([2, 2], layers=1)
    neurons = torch.zeros(2, 2, 12)
    neurons[0, 0, :3] = 1.0
    neurons[1, 1, 2:4] = 2.0
    output = dataclasses.replace(output, ffn1_post_relu=(neurons,))
    meter = SuperpositionMeter()
    for text in ([0], [1]):
        meter.add(some_texts(output, text), mask[text])
    (found,) = [each for each in meter.result() if each.layer == "ffn1_post"]
    assert found.dead_share == pytest.approx(8 / 12)
    assert found.active_share == pytest.approx(5 / 48)


def with_rows(change: Callable[[torch.Tensor], torch.Tensor], lengths: list[int]) -> LayerMeasures:
    """What the block is measured to be when its rows are changed."""
    output, mask = small_output(lengths, layers=1)
    output = dataclasses.replace(output, block=(change(output.block[0].clone()),))
    return measured(output, mask)[-1]


def test_texts_of_zeros_have_no_capacity_and_are_left_out_of_the_other_means() -> None:
    def first_is_zero(rows: torch.Tensor) -> torch.Tensor:
        rows[0] = 0.0
        return rows

    found = with_rows(first_is_zero, [4, 6])
    alone = with_rows(lambda rows: rows, [0, 6])
    for name in (*SPECTRAL, "interference_energy", "mean_cosine", "hoyer_sparsity"):
        assert getattr(found, name) == pytest.approx(getattr(alone, name), rel=1e-12)
    assert found.mean_capacity == pytest.approx(0.6 * alone.mean_capacity)
    assert found.total_capacity_share == pytest.approx(alone.total_capacity_share / 2)


def test_a_mean_of_nothing_is_null_and_no_number() -> None:
    found = with_rows(torch.zeros_like, [4, 6])
    assert (found.mean_capacity, found.mean_norm) == (0.0, 0.0)
    for name in (*SPECTRAL, "interference_energy", "mean_cosine", "hoyer_sparsity"):
        assert getattr(found, name) is None
    singles = with_rows(lambda rows: rows, [1, 1])
    assert singles.mean_cosine is None
    assert singles.interference_energy == 0.0
    # 0.3 of one token is no token: none is important.
    assert singles.mean_capacity_important is None
    assert singles.mean_capacity_less_important == 1.0


def test_texts_without_tokens_are_not_measured() -> None:
    output, mask = small_output([3])
    meter = SuperpositionMeter()
    assert meter.result() == ()
    meter.add(output, torch.zeros_like(mask))
    assert meter.result() == ()


def test_values_that_are_not_finite_stop_the_trial() -> None:
    with pytest.raises(TrialFailure, match=r"block.*not finite"):
        with_rows(lambda rows: rows / 0.0, [3])


def test_important_tokens_are_the_top_share_by_keep_probability_ties_by_position() -> None:
    mask = torch.tensor([[True] * 5, [True] * 5, [True] * 3 + [False] * 2])
    keep = torch.tensor([[0.1, 0.9, 0.9, 0.9, 0.2], [0.5] * 5, [0.2, 0.3, 0.1, 0.99, 0.99]])
    # q = round(1.5) = 2 of five tokens, round(0.9) = 1 of three.
    assert important_tokens(keep, mask).int().tolist() == [
        [0, 1, 1, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 1, 0, 0, 0],
    ]
    # And three of ten, the share of the paper's Table 3.
    assert important_tokens(torch.linspace(0, 1, 10)[None], torch.ones(1, 10).bool()).sum() == 3


@pytest.mark.parametrize("pad_in", [False, True])
def test_table_3_equals_the_loops(pad_in: bool) -> None:
    output, mask = small_output(LENGTHS, preset="reference")
    rows = output.ffn1_pre_relu[-1]
    table = capacity_table(rows, mask, output.keep_probability, pad_in=pad_in)
    every, important, rest = [], [], []
    for text, n in enumerate(LENGTHS):
        h = rows[text].double().numpy()
        top = sorted(range(n), key=lambda i: -float(output.keep_probability[text, i]))
        for i in range(n):
            others = range(len(h) if pad_in else n)
            every.append((h[i] @ h[i]) ** 2 / sum((h[i] @ h[j]) ** 2 for j in others))
            (important if i in top[: round(0.3 * n)] else rest).append(every[-1])
    np.testing.assert_allclose(table[0], every, rtol=1e-12)
    means = [np.mean(every), np.mean(important), np.mean(rest)]
    assert capacity_means([table]) == pytest.approx(tuple(means), rel=1e-12)
    assert len({round(mean, 6) for mean in means}) == 3


def test_pad_rows_take_capacity_from_real_tokens() -> None:
    output, mask = small_output(LENGTHS, preset="reference")
    out, inside = (
        capacity_means(
            [capacity_table(output.ffn1_pre_relu[-1], mask, output.keep_probability, pad_in=pad_in)]
        )
        for pad_in in (False, True)
    )
    assert inside[0] < 0.9 * out[0]


def test_table_3_of_batches_weighs_every_token_alike() -> None:
    output, mask = small_output(LENGTHS)
    rows, keep = output.ffn1_pre_relu[-1], output.keep_probability
    parts = [
        capacity_table(rows[texts], mask[texts], keep[texts], pad_in=False)
        for texts in ([0, 1, 2], [3, 4], [5, 6, 7])
    ]
    whole = capacity_means([capacity_table(rows, mask, keep, pad_in=False)])
    assert capacity_means(parts) == pytest.approx(whole, rel=1e-12)
    (layer,) = [m for m in measured(output, mask) if (m.layer, m.block) == ("ffn1_pre", 1)]
    assert whole == pytest.approx(
        (layer.mean_capacity, layer.mean_capacity_important, layer.mean_capacity_less_important),
        rel=1e-12,
    )


def test_table_3_needs_tokens_of_either_group() -> None:
    output, mask = small_output((1, 1))
    rows, keep = output.ffn1_pre_relu[-1], output.keep_probability
    assert capacity_means([capacity_table(rows, mask, keep, pad_in=False)]) is None
    assert capacity_means([]) is None
