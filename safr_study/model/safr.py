"""The SAFR classifier (Chang, Deng and Chen 2025): one model for both presets.

    e = sqrt(E) embedding(word),  h = gate(e) e,  x_0 = dropout(h + position)
    x_k = block_k(x_{k-1}),  logits = W mean_i x_K + b

A pair of texts is read as one, ``a SEP b``: SEP belongs to no word, its gate is 1, and
x_0 = dropout(h + position + segment), with a segment embedding for ``a SEP`` and one for ``b``.

Shapes: V words, B texts, L positions, E width, D neurons of FFN1, H heads, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from safr_study.model.dropout import dropout
from safr_study.model.embedding import distinct, gathered
from safr_study.model.positions import Positions, positions_of, segments
from safr_study.model.transformer import Block, BlockValues, noise_of, sinusoids
from safr_study.model.vmask import VMask, gates
from safr_study.settings import PAD, ModelShape, Preset


@dataclass(frozen=True, slots=True, eq=False)
class SafrOutput:
    """All values of one forward pass; B texts, L positions, the sequences one entry per block."""

    positions: Positions
    """What stands at each position; values of others than words are no numbers of words."""
    logits: Tensor
    """``[B, C]``."""
    embeddings: Tensor
    """``[B, L, E]``, scaled by sqrt(E)."""
    masked_embeddings: Tensor
    """``[B, L, E]``: the embeddings times the gate; equal to them without VMASK."""
    keep_probability: Tensor | None
    """``[B, L]`` in [0, 1], the soft gate, also in training; ``None`` without VMASK."""
    attention: Sequence[Tensor]
    """``[B, H, L, L]``; rows are queries."""
    attention_output: Sequence[Tensor]
    """``[B, L, E]``, after the output projection, before dropout, residual and norm."""
    ffn1_pre_relu: Sequence[Tensor]
    """``[B, L, D]``: the capacity vectors; none in training mode unless asked for, as of the next.
    """
    ffn1_post_relu: Sequence[Tensor]
    """``[B, L, D]``, after top-k: what enters FFN2."""
    ffn2: Sequence[Tensor]
    """``[B, L, E]``, before dropout, residual and norm."""
    block: Sequence[Tensor]
    """``[B, L, E]``, the output of the block."""


class SafrClassifier(nn.Module):
    """Embedding, VMASK, positions, encoder blocks, mean pooling, linear classifier.

    In the preset ``masked`` PAD has a zero embedding and gate, sends and receives no attention, and
    is left out of the pooling. ``reference`` has the semantics of the authors' code, which only
    masks PAD as a key.

    Args:
        shape: sizes.
        preset: ``masked`` or ``reference`` (definitions, section 1).
        vocabulary_size: V, with PAD and UNK.
        classes: C.
        max_len: positions of the table; a longer text is an error.
        pairs: whether texts are pairs, with SEP between the two.
    """

    positions: Tensor

    def __init__(
        self,
        shape: ModelShape,
        *,
        preset: Preset,
        vocabulary_size: int,
        classes: int,
        max_len: int,
        pairs: bool = False,
    ) -> None:
        super().__init__()
        self.pairs = pairs
        self.padding_aware = preset == "masked"
        self.dropout = shape.dropout
        self.gumbel_temperature = shape.gumbel_temperature
        width = shape.embed_dim
        padding_idx = PAD if self.padding_aware else None
        self.embedding = nn.Embedding(vocabulary_size, width, padding_idx=padding_idx)
        self.register_buffer("positions", sinusoids(max_len, width), persistent=False)
        self.layers = nn.ModuleList(
            Block(shape, mask_queries=self.padding_aware) for _ in range(shape.layers)
        )
        self.fc = nn.Linear(width, classes)
        self.segment = nn.Embedding(2, width) if pairs else None
        # Built last: the same seed gives the same other weights without it.
        self.vmask = VMask(shape) if shape.vmask else None

    def forward(
        self,
        ids: Tensor,
        *,
        noise: torch.Generator | None = None,
        gate: Tensor | None = None,
        visible: Tensor | None = None,
        scale: Tensor | None = None,
        ffn1: bool = False,
    ) -> SafrOutput:
        """Classify ids ``[B, L]`` int64, PAD = 0.

        Args:
            ids: token ids below the vocabulary size; L at most ``max_len``.
            noise: source of dropout and gates in training mode, on the device of ``ids``; unused
                in evaluation mode.
            gate: ``[B, L]``, multiplies the gate of each position.
            visible: ``[B, L]`` bool; the others are no keys, no queries where PAD is none, and
                are left out of the pooling. All keep their positions. A text without any visible
                position is pooled to the zero vector.
            scale: ``[B, L]``, multiplies each scaled embedding before VMASK sees it. At 1 its
                gradient is the sum over E of embedding * gradient, through the gate too.
            ffn1: whether FFN1's values are wanted in training mode too, which takes longer.

        Raises:
            ValueError: training mode without ``noise``.
        """
        noise = noise_of(self, noise)
        at = positions_of(ids, pairs=self.pairs)
        embeddings, masked, keep = self._embed(ids, at, noise, gate, scale)
        x = masked + self.positions[: ids.shape[1]]
        if self.segment is not None and at.second is not None:
            x = x + segments(at.second, self.segment.weight)
        x = dropout(x, self.dropout, noise)  # [B, L, E]
        blocks: list[BlockValues] = []
        for layer in self.layers:
            blocks.append(layer(x, at.real, noise, visible, ffn1=ffn1))
            x = blocks[-1].block
        return SafrOutput(
            at,
            self.fc(self.pool(x, at.words, visible)),
            embeddings,
            masked,
            keep,
            # The values of all the blocks, one kind after the other; those of training lack two.
            *(tuple(v for v in kind if v is not None) for kind in zip(*blocks, strict=True)),
        )

    def _embed(
        self,
        ids: Tensor,
        at: Positions,
        noise: torch.Generator | None,
        gate: Tensor | None,
        scale: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        words, place = distinct(ids)
        rows = self.embedding(words) * math.sqrt(self.embedding.embedding_dim)
        embeddings = gathered(rows, place)  # [B, L, E]
        if scale is not None:
            embeddings = embeddings * scale[..., None]
        keep = None
        if self.vmask is not None:
            if scale is None and place is not None:
                # It sees nothing but the word, so it runs once for each distinct one of the batch.
                # Cast before the gather: its backward adds up PAD's thousands of rows.
                log_odds = F.embedding(place, self.vmask(rows).to(rows.dtype)[:, None])[..., 0]
            else:
                log_odds = self.vmask(embeddings).to(rows.dtype)
            keep, drawn = gates(
                log_odds,
                at.real if self.padding_aware else None,
                temperature=self.gumbel_temperature,
                noise=noise,
                between=at.between,
            )  # [B, L]
            gate = drawn if gate is None else drawn * gate
        masked = embeddings if gate is None else embeddings * gate[..., None]
        return embeddings, masked, keep

    def pool(self, x: Tensor, words: Tensor, visible: Tensor | None = None) -> Tensor:
        """Mean ``[B, E]`` of x ``[B, L, E]`` over the words; in ``reference`` all positions."""
        if visible is None:
            if not self.padding_aware:
                return x.mean(dim=1)
            visible = words
        elif self.padding_aware:
            visible = visible & words
        shares = visible.to(x.dtype) / visible.sum(dim=1, keepdim=True).clamp(min=1)
        return torch.bmm(shares[:, None], x)[:, 0]  # [B, E]


def build_model(
    shape: ModelShape,
    *,
    preset: Preset,
    vocabulary_size: int,
    classes: int,
    max_len: int,
    seed: int,
    pairs: bool = False,
) -> SafrClassifier:
    """A fresh float32 model on the CPU, in training mode.

    torch's default initialisation, embedding N(0, 1), drawn from ``seed`` alone; torch's global
    generator is left as it was. The same seed gives the same weights with and without VMASK,
    except those of VMASK.

    Args:
        shape: sizes.
        preset: ``masked`` or ``reference`` (definitions, section 1).
        vocabulary_size: V, with PAD and UNK.
        classes: C.
        max_len: longest text, in tokens.
        seed: at least 0.
        pairs: whether texts are pairs.
    """
    # Not torch.manual_seed: it would reseed every GPU too.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return SafrClassifier(
            shape,
            preset=preset,
            vocabulary_size=vocabulary_size,
            classes=classes,
            max_len=max_len,
            pairs=pairs,
        )
