"""Superposition in every layer of a model over a sample of texts (definitions, section 4).

The measures of one text take H `[..., n, D]`, the rows of n >= 1 tokens of one text or of several
with as many tokens, and compute in float64. A measure is NaN where it is undefined (H = 0, no pair
of tokens): a mean leaves that text or token out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from safr_study.errors import TrialFailure
from safr_study.evaluation.capacity import TEXTS_AT_ONCE, capacity
from safr_study.evaluation.deletion import deletion_counts, rank_tokens, without_top
from safr_study.evaluation.monosemanticity import ALWAYS, TokenEntropy
from safr_study.model import SafrOutput
from safr_study.records import LayerMeasures

IMPORTANT_SHARE = 0.3
"""k of the important tokens (definitions, section 2)."""


def important_tokens(keep_probability: Tensor, mask: Tensor) -> Tensor:
    """The top q(0.3) tokens of each text by keep-probability, ties by position.

    Args:
        keep_probability: `[B, L]`, the soft gate.
        mask: `[B, L]` bool, true for real tokens.

    Returns:
        `[B, L]` bool; false where the mask is.
    """
    lengths = mask.sum(dim=1).cpu().numpy()
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    ranks = rank_tokens(keep_probability[mask].double().cpu().numpy(), offsets)
    rest = without_top(ranks, offsets, deletion_counts(lengths, IMPORTANT_SHARE))
    important = torch.zeros_like(mask)
    important[mask] = torch.from_numpy(~rest).to(mask.device)
    return important


def capacity_table(
    rows: Tensor, mask: Tensor, keep_probability: Tensor, *, pad_in: bool
) -> tuple[Tensor, Tensor]:
    """One batch's part of Table 3 of the paper.

    Args:
        rows: hidden vectors `[B, L, D]`.
        mask: `[B, L]` bool, true for real tokens.
        keep_probability: `[B, L]`, the soft gate.
        pad_in: let the sum over j run over all L positions, PAD rows included, as a model that
            is padded to its maximum length would measure itself. The tokens whose capacity is
            reported are the real ones either way.

    Returns:
        `[t]` each, on the CPU: the capacity of the batch's real tokens in [0, 1], and whether
        they are important.
    """
    others = torch.ones_like(mask) if pad_in else None
    found = capacity(rows, mask, others=others)[mask]
    return found.cpu(), important_tokens(keep_probability, mask)[mask].cpu()


def capacity_means(
    batches: Iterable[tuple[Tensor, Tensor]],
) -> tuple[float, float, float] | None:
    """Table 3 from all the batches of a split: the mean capacity over its tokens.

    Returns:
        Over all tokens, the important and the less important ones; ``None`` where a group has no
        token.
    """
    every, important, rest = _Mean(), _Mean(), _Mean()
    for found, marked in batches:
        every.add(found)
        important.add(found[marked])
        rest.add(found[~marked])
    if every.value is None or important.value is None or rest.value is None:
        return None
    return every.value, important.value, rest.value


class SuperpositionMeter:
    """Means of the superposition measures of every layer and block, fed batch by batch.

    Capacity, norm and Hoyer sparsity are means over tokens; the spectral measures, interference
    energy, mean |cos| and the total capacity's share are means over texts. Only real tokens
    count, and an empty text not at all. Where a measure is undefined (no text of several tokens,
    or rows that are all zero) that text or token is left out of its mean; a mean of none is
    ``None``. SVDs are of the rows themselves, in float64 on the CPU.

    Args:
        types: number of word types, for the entropy of words in the last block; 0: without.
    """

    def __init__(self, types: int = 0) -> None:
        self._layers: dict[tuple[str, int], _LayerSums] = defaultdict(_LayerSums)
        self._types = types

    def add(self, output: SafrOutput, mask: Tensor, types: Tensor | None = None) -> None:
        """Count the texts of one forward pass in evaluation mode.

        Args:
            output: the values of the pass.
            mask: `[B, L]` bool, true for real tokens.
            types: `[B, L, 2]`, of `word_types`, on the CPU; ``None``: without entropy of words.

        Raises:
            TrialFailure: a value of a layer is not finite.
        """
        groups = list(_texts_of_equal_length(mask))
        if not groups:
            return
        keep = output.keep_probability
        important = None if keep is None else important_tokens(keep, mask)
        for layer, block, batch in layer_rows(output):
            sums = self._layers[layer, block]
            # The last block's alone: it takes a table of word types by neurons.
            of_words = layer == "ffn1_post" and block == len(output.block) - 1 and self._types
            if of_words and types is not None and sums.entropy is None:
                sums.entropy = TokenEntropy(self._types)
            for texts in groups:
                rows = _dense(batch[texts], mask[texts]).detach().cpu().double()
                if not rows.isfinite().all():
                    raise TrialFailure(
                        f"the model's {layer} values are not finite numbers; its training "
                        "diverged: take a smaller learning rate or smaller lambdas"
                    )
                marked = None if important is None else _dense(important[texts], mask[texts]).cpu()
                sums.add(rows, marked, neurons=layer == "ffn1_post")
                if sums.entropy is not None and types is not None:
                    of_texts = _dense(types[texts.cpu()], mask[texts].cpu())
                    sums.entropy.add(rows.flatten(0, 1), of_texts.flatten(0, 1))

    def result(self) -> tuple[LayerMeasures, ...]:
        """One entry per layer and block, in the order of the forward pass.

        VMASK is left out of a model without it; empty when no token was counted.
        """
        return tuple(sums.measures(*place) for place, sums in self._layers.items())


class _Mean:
    """A running mean that leaves out NaN, the mark of what is undefined."""

    def __init__(self) -> None:
        self._total = 0.0
        self._count = 0

    def add(self, values: Tensor) -> None:
        defined = values[~values.isnan()]
        self._total += float(defined.sum())
        self._count += len(defined)

    @property
    def value(self) -> float | None:
        return self._total / self._count if self._count else None


class _LayerSums:
    """What has been added up of one layer of one block."""

    def __init__(self) -> None:
        self._means: dict[str, _Mean] = defaultdict(_Mean)
        self._active: Tensor | None = None
        self._tokens = 0
        self.entropy: TokenEntropy | None = None

    def add(self, rows: Tensor, important: Tensor | None, *, neurons: bool) -> None:
        """Count texts of equal length: rows `[b, n, D]` float64, important `[b, n]`."""
        found = capacity(rows, torch.ones(rows.shape[:2], dtype=torch.bool))
        values = {
            "mean_capacity": found,
            "total_capacity_share": found.sum(dim=1) / min(rows.shape[1:]),
            "interference_energy": interference_energy(rows),
            "mean_cosine": mean_cosine(rows),
            **spectrum(rows),
            "hoyer_sparsity": hoyer_sparsity(rows),
            "mean_norm": torch.linalg.vector_norm(rows, dim=-1),
        }
        if important is not None:
            values["mean_capacity_important"] = found[important]
            values["mean_capacity_less_important"] = found[~important]
        if neurons:
            active = rows > 0
            values["active_share"] = active.double().mean(dim=-1)
            count = active.flatten(0, 1).sum(dim=0)
            self._active = count if self._active is None else self._active + count
            self._tokens += active.shape[0] * active.shape[1]
        for name, measured in values.items():
            self._means[name].add(measured)

    def measures(self, layer: str, block: int) -> LayerMeasures:
        optional = ("mean_capacity_important", "mean_capacity_less_important", "active_share")
        means: dict[str, Any] = dict.fromkeys(optional)
        means |= {name: mean.value for name, mean in self._means.items()}
        dead = always = None
        if self._active is not None:
            dead = 1.0 - float((self._active > 0).double().mean())
            always = float((self._active > ALWAYS * self._tokens).double().mean())
        return LayerMeasures(
            layer=layer,
            block=block,
            dead_share=dead,
            always_on_share=always,
            token_entropy=None if self.entropy is None else self.entropy.value,
            **means,
        )


def layer_rows(output: SafrOutput) -> Iterator[tuple[str, int, Tensor]]:
    """The layers that were computed: (one of ``settings.LAYERS``, block, `[B, L, D]`)."""
    yield "embedding", 0, output.embeddings
    if output.keep_probability is not None:
        yield "vmask", 0, output.masked_embeddings
    for block in range(len(output.block)):
        yield "attention", block, output.attention_output[block]
        yield "ffn1_pre", block, output.ffn1_pre_relu[block]
        yield "ffn1_post", block, output.ffn1_post_relu[block]
        yield "ffn2", block, output.ffn2[block]
        yield "block", block, output.block[block]


def _texts_of_equal_length(mask: Tensor) -> Iterator[Tensor]:
    """Rows of the batch, few at a time, with as many real tokens each and at least one."""
    lengths = mask.sum(dim=1)
    for length in sorted(set(lengths.tolist()) - {0}):
        yield from (lengths == length).nonzero()[:, 0].split(TEXTS_AT_ONCE)


def _dense(values: Tensor, mask: Tensor) -> Tensor:
    """The real tokens `[b, n, ...]` of values `[b, L, ...]`, texts of n tokens each."""
    real = values[mask]
    return real.reshape(len(mask), -1, *real.shape[1:])


def spectrum(rows: Tensor) -> dict[str, Tensor]:
    """How many directions the rows of a text use: measures of the singular values s of H.

    Args:
        rows: H `[..., n, D]`.

    Returns:
        ``participation_ratio``, (sum s^2)^2 / sum s^4; ``effective_rank``, exp(entropy of
        s / sum s) (Roy and Vetterli 2007); ``stable_rank``, |H|_F^2 / s_1^2 with the largest s_1.
        Each is a float64 `[...]` from 1 to min(n, D), free of the scale of H; NaN where H = 0.
    """
    # Of H itself: the eigenvalues of the Gram matrix lose half of the digits of a small one.
    values = torch.linalg.svdvals(rows.to(torch.float64))  # [..., min(n, D)], descending
    relative = values / values[..., :1]
    energy = relative.square()
    shares = relative / relative.sum(dim=-1, keepdim=True)
    return {
        "participation_ratio": energy.sum(dim=-1).square() / energy.square().sum(dim=-1),
        "effective_rank": torch.special.entr(shares).sum(dim=-1).exp(),
        "stable_rank": energy.sum(dim=-1),
    }


def interference_energy(rows: Tensor) -> Tensor:
    """Share of sum G^2 off the diagonal, G = H H^T, for H `[..., n, D]`.

    Returns:
        `[...]` float64 in [0, 1): 0 when all rows are orthogonal, or there is but one; NaN where
        H = 0.
    """
    exact = rows.to(torch.float64)
    gram = exact @ exact.mT
    own = torch.diag_embed(gram.diagonal(dim1=-2, dim2=-1))
    return (gram - own).square().sum(dim=(-2, -1)) / gram.square().sum(dim=(-2, -1))


def mean_cosine(rows: Tensor) -> Tensor:
    """Mean |cos(h_i, h_j)| over the pairs i < j of rows that are not zero, for H `[..., n, D]`.

    Returns:
        `[...]` float64 in [0, 1]; NaN where there is no such pair.
    """
    exact = rows.to(torch.float64)
    norms = torch.linalg.vector_norm(exact, dim=-1, keepdim=True)
    directions = exact / norms.where(norms > 0, 1.0)
    cosines = (directions @ directions.mT).abs().clamp(max=1.0).triu(diagonal=1)
    nonzero = (norms > 0).sum(dim=(-2, -1))
    mean: Tensor = cosines.sum(dim=(-2, -1)) / (nonzero * (nonzero - 1) / 2)
    return mean


def hoyer_sparsity(rows: Tensor) -> Tensor:
    """(sqrt(D) - |h|_1 / |h|_2) / (sqrt(D) - 1) of each row of H `[..., D]` (Hoyer 2004).

    Returns:
        `[...]` float64 in [0, 1]: 0 when all entries are equally large, 1 when only one is not
        zero; NaN where h = 0 or D = 1.
    """
    exact = rows.to(torch.float64)
    ratio = torch.linalg.vector_norm(exact, ord=1, dim=-1) / torch.linalg.vector_norm(exact, dim=-1)
    width = rows.shape[-1]
    if width == 1:
        return torch.full_like(ratio, math.nan)
    sparsity: Tensor = (math.sqrt(width) - ratio) / (math.sqrt(width) - 1.0)
    return sparsity.clamp(0.0, 1.0)
