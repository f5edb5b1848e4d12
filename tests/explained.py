"""Explanations made of random rows, for the tests of what shows one."""

from __future__ import annotations

import numpy as np

from safr_study.records.explanation import ExplainedWord, Explanation, LayerView, ModelSource

INNER = ("attention", "ffn1_pre", "ffn1_post", "ffn2", "block")


def view_of(rows: np.ndarray, layer: str = "ffn1_pre", block: int = 0) -> LayerView:
    """A layer whose rows `[n, D]` are given."""
    dot = rows @ rows.T
    own, total = np.diagonal(dot) ** 2, (dot**2).sum(axis=1)
    capacity = np.divide(own, total, out=np.zeros(len(rows)), where=total > 0)
    return LayerView(layer=layer, block=block, capacity=capacity, dot=dot)


def explained(
    text: str,
    *,
    rows: np.ndarray | None = None,
    blocks: int = 1,
    vmask: bool = True,
    layers: bool = False,
    unknown: tuple[str, ...] = (),
    cut: int = 0,
    seed: int = 0,
    reference: str = "safr-sst2@knee",
) -> Explanation:
    """An explanation of a text, from random rows that share some directions."""
    words = text.split()
    rng = np.random.default_rng(seed)

    def random_rows(width: int) -> np.ndarray:
        return rng.normal(size=(len(words), 4)) @ rng.normal(size=(4, width)) * 0.4 + rng.normal(
            size=(len(words), width)
        )

    view = view_of(random_rows(12) if rows is None else rows, block=blocks - 1)
    every = [("embedding", 0), *([("vmask", 0)] if vmask else [])]
    every += [(layer, block) for block in range(blocks) for layer in INNER]
    ranks = np.empty(len(words), dtype=int)
    ranks[np.argsort(-view.capacity, kind="stable")] = np.arange(len(words))
    return Explanation(
        source=ModelSource(
            reference=reference,
            sha256="ab" * 32,
            epoch=3,
            preset="masked",
            dataset="sst2",
            corpus_fingerprint="cd" * 32,
            max_len=128,
            blocks=blocks,
            vmask=vmask,
            safr_study="0.1.0",
        ),
        prediction="positive",
        probabilities=(("negative", 0.125), ("positive", 0.875)),
        words=tuple(
            ExplainedWord(
                position=place,
                before=" " if place else "",
                text=word,
                known=word not in unknown,
                capacity=float(view.capacity[place]),
                rank=int(ranks[place]),
                top=bool(ranks[place] < round(0.3 * len(words))),
                keep_probability=float(rng.uniform()) if vmask else None,
            )
            for place, word in enumerate(words)
        ),
        words_cut=cut,
        after=" cut" * cut,
        view=view,
        layers=tuple(
            view if place == (view.layer, view.block) else view_of(random_rows(9), *place)
            for place in every
        )
        if layers
        else (),
    )
