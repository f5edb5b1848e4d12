"""The numbers of one text: what the model predicts, and where its words are in its layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

import safr_study
from safr_study.checkpoint.model_files import LoadedModel
from safr_study.data import (
    EncodedRows,
    EncodedSplit,
    Text,
    Word,
    WordSplitter,
    batch_of,
    each_text,
)
from safr_study.errors import BadInput
from safr_study.evaluation.capacity import capacity
from safr_study.evaluation.deletion import deletion_counts, rank_tokens
from safr_study.evaluation.superposition import layer_rows
from safr_study.evaluation.text_prediction import DECIMALS, class_probabilities
from safr_study.model import SafrOutput
from safr_study.records.explanation import (
    TOP_SHARE,
    ExplainedWord,
    Explanation,
    LayerView,
    ModelSource,
)
from safr_study.settings import layer_place


def explain_text(
    loaded: LoadedModel,
    text: Text,
    *,
    reference: str,
    layer: str | None = None,
    all_layers: bool = False,
) -> Explanation:
    """Prediction and the words' capacities, dot products and keep-probabilities.

    The same numbers as the evaluation's, for this text in a batch of its own: evaluation mode,
    soft gate, the pass in the model's dtype, dot products and capacities in float64 over the real
    tokens alone. ``reference`` models see the text padded to their maximum length. A model in
    float64 gives the probabilities of `predict_texts` to the last digit.

    Args:
        loaded: the model.
        text: cut into words as the model's own data; those beyond its maximum are not read. For a
            model of pairs, two.
        reference: how the user named the model, for the record.
        layer: as `layer_place` takes it; ``None``: the layer that the model's evaluation takes.
        all_layers: whether to measure the others too.

    Raises:
        BadInput: the model has no such layer or block, a number is not finite, or the model takes a
            pair of texts, or a single one.
    """
    asked = layer_place(layer or loaded.evaluation.capacity_layer)
    place = (asked.name, asked.index(loaded.blocks))
    splitter = WordSplitter.of(loaded.corpus)
    with loaded.own_words():
        read = loaded.encode([text])
        tokens, offsets = read.tokens, read.offsets
        known = loaded.knows(tokens)
        output = _forward(loaded, read)
    typed = "\n".join(each_text([text]))
    seen = _placed(each_text([text]), read.kept.tolist(), splitter)
    ends = [0, *(word.end for word in seen)]
    views = {
        (name, block): _view(name, block, rows[0, output.positions.words[0]])
        for name, block, rows in layer_rows(output)
        if all_layers or (name, block) == place
    }
    if place not in views:
        raise BadInput("layer", f"{asked.name}: this model has none; choose another layer")
    view = views[place]
    # Equal capacities stay equal, whatever the last bit: the earlier word comes first.
    ranks = rank_tokens(view.capacity.round(DECIMALS), offsets)
    q = deletion_counts(np.array([len(seen)]), TOP_SHARE)[0]
    keep = output.keep_probability
    if keep is not None:
        keep = keep[0, output.positions.words[0]]
    probabilities = class_probabilities(output.logits[0].double().cpu().numpy())
    return Explanation(
        source=ModelSource(
            reference=reference,
            sha256=loaded.ref.sha256,
            epoch=loaded.epoch,
            preset=loaded.config.preset,
            dataset=loaded.corpus.dataset,
            corpus_fingerprint=loaded.corpus_fingerprint,
            max_len=loaded.max_len,
            blocks=loaded.blocks,
            vmask=loaded.config.shape.vmask,
            safr_study=safr_study.__version__,
            activation="ReLU" if loaded.encoder is None else loaded.encoder.activation_name,
        ),
        prediction=loaded.class_names[int(probabilities.argmax())],
        probabilities=tuple(zip(loaded.class_names, probabilities.tolist(), strict=True)),
        words=tuple(
            ExplainedWord(
                position=position,
                before=typed[ends[position] : word.start],
                text=typed[word.start : word.end],
                known=bool(known[position]),
                capacity=float(view.capacity[position]),
                rank=int(ranks[position]),
                top=bool(ranks[position] < q),
                keep_probability=None if keep is None else float(keep[position]),
            )
            for position, word in enumerate(seen)
        ),
        words_cut=int(read.full.sum()) - len(seen),
        after=typed[ends[-1] :],
        view=view,
        layers=tuple(views.values()) if all_layers else (),
        texts=None if isinstance(text, str) else text,
        second_from=None if isinstance(text, str) else int(read.kept[0]),
    )


def _placed(texts: Sequence[str], kept: Sequence[int], splitter: WordSplitter) -> list[Word]:
    """The words read of each text, with their places in the texts one below the other."""
    found: list[Word] = []
    start = 0
    for text, count in zip(texts, kept, strict=True):
        found += [
            Word(word.text, start + word.start, start + word.end)
            for word in splitter.placed(text)[:count]
        ]
        start += len(text) + 1
    return found


def _forward(loaded: LoadedModel, read: EncodedRows) -> SafrOutput:
    pad_to = loaded.max_len if loaded.config.preset == "reference" else None
    split = EncodedSplit(read.tokens, read.offsets, np.zeros(1, np.int64), second=read.second)
    ids = torch.from_numpy(batch_of(split, np.arange(1), pad_to).ids)
    device = next(loaded.model.parameters()).device
    with torch.inference_mode():
        output: SafrOutput = loaded.model.eval()(ids.to(device))
    if not output.logits.isfinite().all():
        raise _not_finite()
    return output


def _view(layer: str, block: int, rows: Tensor) -> LayerView:
    """One layer's numbers from its rows `[n, D]`."""
    if not rows.isfinite().all():
        raise _not_finite()
    mask = torch.ones(1, len(rows), dtype=torch.bool, device=rows.device)
    capacities = capacity(rows[None], mask)[0].cpu().numpy()
    exact = rows.double().cpu().numpy()
    dot = exact @ exact.T
    for array in (capacities, dot):
        array.setflags(write=False)
    return LayerView(layer=layer, block=block, capacity=capacities, dot=dot)


def _not_finite() -> BadInput:
    return BadInput(
        "model", "its numbers for this text are not finite, its training diverged; take another"
    )
