"""SAFR and its training as one would first write them: the yardstick of speed, and an oracle.

Every text is padded to one length, VMASK runs on every position, every term is left to autograd,
Adam is torch's default, and denormal numbers are as they come. Parameters have the names of
`SafrClassifier`, so that the two can start from the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from safr_study.data import Batch
from safr_study.model.transformer import sinusoids
from safr_study.settings import PAD, TrainConfig


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, real: Tensor, padding_aware: bool) -> tuple[Tensor, Tensor]:
        batch, length, width = x.shape
        split = (batch, length, self.heads, width // self.heads)
        query = self.query(x).view(split).transpose(1, 2)
        key = self.key(x).view(split).transpose(1, 2)
        value = self.value(x).view(split).transpose(1, 2)
        scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(width // self.heads)
        attention = torch.softmax(scores.masked_fill(~real[:, None, None, :], -1e9), dim=-1)
        if padding_aware:
            attention = attention * real[:, None, :, None]
        mixed = torch.matmul(attention, value).transpose(1, 2).reshape(batch, length, width)
        return self.out(mixed), attention


class Block(nn.Module):
    def __init__(self, width: int, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.ff = nn.ModuleDict({"linear1": nn.Linear(width, hidden),
                                 "linear2": nn.Linear(hidden, width)})  # fmt: skip
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, real: Tensor, padding_aware: bool) -> tuple[Tensor, Tensor]:
        attended, attention = self.attention(x, real, padding_aware)
        x = self.norm1(x + self.dropout(attended))
        fed = self.ff["linear2"](torch.relu(self.ff["linear1"](x)))
        return self.norm2(x + self.dropout(fed)), attention


class VMask(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.linear_layer = nn.Linear(width, hidden)
        self.hidden2p = nn.Linear(hidden, 2)

    def forward(self, embeddings: Tensor) -> Tensor:
        return self.hidden2p(torch.tanh(self.linear_layer(embeddings)))


class Straightforward(nn.Module):
    """The classifier with its loss."""

    def __init__(self, config: TrainConfig, *, vocabulary: int, classes: int, length: int) -> None:
        super().__init__()
        shape = config.shape
        assert shape.vmask
        self.config = config
        self.padding_aware = config.preset == "masked"
        self.embedding = nn.Embedding(
            vocabulary, shape.embed_dim, padding_idx=PAD if self.padding_aware else None
        )
        self.register_buffer("positions", sinusoids(length, shape.embed_dim), persistent=False)
        self.layers = nn.ModuleList(
            Block(shape.embed_dim, shape.ffn_dim, shape.heads, shape.dropout)
            for _ in range(shape.layers)
        )
        self.fc = nn.Linear(shape.embed_dim, classes)
        self.vmask = VMask(shape.embed_dim, shape.mask_hidden_dim)
        self.dropout = nn.Dropout(shape.dropout)

    def losses(self, ids: Tensor, labels: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
        """Cross-entropy, importance and interaction with a hard gate, and the weighted total."""
        real = ids != PAD
        counted = real if self.padding_aware else torch.ones_like(real)
        embeddings = self.embedding(ids) * math.sqrt(self.embedding.embedding_dim)
        classes = self.vmask(embeddings)
        odds = classes[..., 1] - classes[..., 0]
        uniform = torch.empty_like(odds).uniform_(generator=noise)
        uniform = uniform.clamp(torch.finfo(odds.dtype).tiny, 1 - torch.finfo(odds.dtype).eps)
        temperature = self.config.shape.gumbel_temperature
        soft = torch.sigmoid((odds + torch.logit(uniform)) / temperature)
        gate = (soft > 0.5).to(soft.dtype) + soft - soft.detach()
        if self.padding_aware:
            gate = gate * real
        masked = embeddings * gate[..., None]
        x = self.dropout(masked + self.positions[: ids.shape[1]])
        interactions = []
        for layer in self.layers:
            x, attention = layer(x, real, self.padding_aware)
            interactions.append(self.interaction(attention, real))
        if self.padding_aware:
            pooled = (x * real[..., None]).sum(dim=1) / real.sum(dim=1, keepdim=True).clamp(min=1)
        else:
            pooled = x.mean(dim=1)
        terms = {
            "cross_entropy": F.cross_entropy(self.fc(pooled), labels),
            "importance": self.importance(masked, counted),
            "interaction": torch.stack(interactions).mean(),
        }
        penalties = self.config.penalties
        total = terms["cross_entropy"] + (penalties.lambda_imp or 0.0) * terms["importance"]
        return {**terms, "total": total + (penalties.lambda_inter or 0.0) * terms["interaction"]}

    def importance(self, rows: Tensor, counted: Tensor) -> Tensor:
        length = rows.shape[1]
        directions = rows / (1e-5 + torch.linalg.vector_norm(rows, dim=-1, keepdim=True))
        dots = torch.bmm(directions, rows.transpose(1, 2))
        others = counted[:, :, None] & counted[:, None, :] & ~torch.eye(length, dtype=torch.bool)
        terms = torch.linalg.vector_norm(dots.masked_fill(~others, 0.0), dim=-1)
        return terms.sum() / counted.sum() / math.sqrt(rows.shape[2])

    def interaction(self, attention: Tensor, real: Tensor) -> Tensor:
        length = attention.shape[-1]
        dots = torch.matmul(attention, attention.transpose(-2, -1))
        itself = torch.eye(length, dtype=torch.bool)
        cells = attention * (1.0 - dots.masked_fill(itself, 0.0))
        if not self.padding_aware:
            return cells.mean()
        n = real.sum(dim=1)
        pairs = (n * (n - 1)).clamp(min=1)
        return (cells.masked_fill(itself, 0.0).mean(dim=1).sum(dim=(1, 2)) / pairs).mean()


def straightforward_steps(
    model: Straightforward, batches: Iterator[Batch], noise: torch.Generator
) -> Iterator[dict[str, float]]:
    """Train on each batch with torch's default Adam; the losses of each step before it."""
    optimizer = torch.optim.Adam(model.parameters(), lr=model.config.learning_rate)
    model.train()
    for batch in batches:
        losses = model.losses(torch.from_numpy(batch.ids), torch.from_numpy(batch.labels), noise)
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        yield {name: loss.item() for name, loss in losses.items()}
