"""A trained model as an object, and what it makes of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from safr_study.api.texts import listed_texts
from safr_study.checkpoint.model_files import LoadedModel
from safr_study.data import CHUNK_ROWS, SplitName, Text, each_text
from safr_study.errors import BadInput
from safr_study.evaluation.text_prediction import predict_texts
from safr_study.features.evaluate import evaluate as run_evaluation
from safr_study.features.explain import explain as explaining
from safr_study.features.study_base.stores import Stores
from safr_study.records.explanation import Explanation
from safr_study.records.metric_values import metrics_table
from safr_study.render.html import explanation_html
from safr_study.settings import CapacityLayer, CorpusSpec
from safr_study.training import computing

if TYPE_CHECKING:
    from datasets import Dataset

_SHOWN = {"accuracy", "srs@30"}
"""Metrics that a model's cell in a notebook has."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Explained:
    """What a model makes of one text."""

    record: Explanation
    """All of it: matrices between the words and the other layers too."""

    @property
    def prediction(self) -> str:
        """The class."""
        return self.record.prediction

    @property
    def probabilities(self) -> dict[str, float]:
        """Probability of each class."""
        return dict(self.record.probabilities)

    @property
    def words(self) -> pd.DataFrame:
        """The words in the order of the text.

        Columns: ``word``, ``capacity`` (in [0, 1]), ``rank`` (0 = the highest), ``top`` (of the
        30 % that SRS(30) deletes), ``keep_probability`` (missing without VMASK) and ``known``.
        """
        rows = [
            (word.text, word.capacity, word.rank, word.top, word.keep_probability, word.known)
            for word in self.record.words
        ]
        columns = ["word", "capacity", "rank", "top", "keep_probability", "known"]
        return pd.DataFrame(rows, columns=columns)

    def write(self, path: str | Path) -> list[Path]:
        """Write a page (.html) or a picture (.png, .svg); what was written.

        Raises:
            BadInput: another suffix, or the folder is not there.
        """
        path = Path(path)
        kind = path.suffix.lower().removeprefix(".")
        if kind not in ("html", "png", "svg"):
            raise BadInput("path", f"{path.name} ends in none of .html, .png and .svg")
        explaining.check_files({kind: path}, layers=True, force=True)
        return explaining.write_files(self.record, {kind: path})

    def __repr__(self) -> str:
        shares = ", ".join(f"{name} {share:.3f}" for name, share in self.probabilities.items())
        return f"Explained({self.prediction!r}, {shares})"

    def _repr_html_(self) -> str:
        return explanation_html(self.record)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Model:
    """A trained model, on the CPU."""

    reference: str
    """Reference that it was asked for by: a folder, or a name in the registry."""
    loaded: LoadedModel
    """Weights, words, settings."""
    stores: Stores

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names by label."""
        return self.loaded.class_names

    def __repr__(self) -> str:
        loaded = self.loaded
        kind = "pairs of texts" if loaded.pairs else "texts"
        words = f"{loaded.words_known:,} words"
        return f"Model({self.reference!r}, {kind}, {words}, classes {', '.join(self.class_names)})"

    def _repr_html_(self) -> str:
        loaded = self.loaded
        scores = loaded.scores
        facts = [
            ("reference", self.reference),
            ("data", loaded.corpus.dataset),
            ("classes", ", ".join(self.class_names)),
            ("words", f"{loaded.words_known:,}"),
            ("epoch", str(loaded.epoch)),
            *(
                (f"dev {name}", f"{scores.value(name):.2f}")
                for name in _SHOWN
                if scores is not None and scores.has(name)
            ),
        ]
        return str(pd.DataFrame(facts).to_html(header=False, index=False))

    def explain(self, text: Text, *, layer: str | None = None, layers: bool = False) -> Explained:
        """Prediction and capacity per word of one text, or of one pair.

        Args:
            text: cut into words as the model's own data; for a model of pairs a tuple of two.
            layer: where capacity is measured, for example ``ffn1_pre`` or, of the first block,
                ``ffn1_pre:1``; ``None``: as in the model's study.
            layers: measure every layer too.

        Raises:
            BadInput: no text, or the model has no such layer.
        """
        given = each_text([text]) if isinstance(text, (str, tuple)) else [text]
        if not all(isinstance(one, str) for one in given) or len(given) > 2:
            raise BadInput("text", f"one text is explained, not a {type(text).__name__}")
        found = explaining.explain(
            self.loaded, text, reference=self.reference, layer=layer, all_layers=layers
        )
        return Explained(found)

    def predict(
        self, texts: Sequence[Text] | pd.Series | pd.DataFrame | Dataset, *,
        text_column: str | Sequence[str] | None = None, words: int = 0,
    ) -> pd.DataFrame:  # fmt: skip
        """Predictions of several texts, each as alone, computed in batches.

        Columns: ``text`` (of pairs ``first`` and ``second``), ``label``, ``probability``,
        ``p(CLASS)`` for each class, and ``words``, if asked for: pairs of a top word and its
        capacity, the highest first. The index is that of a Series or DataFrame.

        Args:
            texts: strings, pairs of them for a model of pairs, or a table; a missing one is an
                empty text.
            text_column: of a table, two for pairs; ``None``: that of the model's training data, or
                a usual name.
            words: words of each text with the highest capacity, at most; never more than the
                30 % that SRS(30) deletes.

        Raises:
            BadInput: one text instead of a list of them, a value that is no text, or no column.
        """
        found, index = listed_texts(texts, text_column, self.loaded.corpus)
        chunks = [found[start : start + CHUNK_ROWS] for start in range(0, len(found), CHUNK_ROWS)]
        with computing(self.loaded.config.threads):
            parts = [predict_texts(self.loaded, chunk, words=words) for chunk in chunks]
        names = [f"p({name})" for name in self.class_names]
        shares = np.concatenate([np.zeros((0, len(names))), *(p.probabilities for p in parts)])
        columns = ("first", "second") if self.loaded.pairs else ("text",)
        split = zip(*(each_text([one]) for one in found), strict=True) if found else [[]] * 2
        table = pd.DataFrame(
            {
                **dict(zip(columns, map(list, split), strict=False)),
                "label": [label for part in parts for label in part.labels],
                "probability": shares.max(axis=1) if len(shares) else [],
                **dict(zip(names, shares.T, strict=True)),
            },
            index=index,
        )
        if words:
            listed = [list(pairs) for part in parts for pairs in part.words]
            table["words"] = pd.Series(listed, index=table.index, dtype=object)
        return table

    def evaluate(
        self,
        split: SplitName = "dev",
        *,
        dataset: str | None = None,
        capacity_layer: CapacityLayer | None = None,
        quick: bool = False,
    ) -> pd.DataFrame:
        """Every metric on a split, one row each with unit and direction.

        Args:
            split: ``dev`` or ``test``.
            dataset: ``None``: that of its training.
            capacity_layer: ``ffn1_pre_relu`` or ``ffn1_post_relu``, with ``:N`` of block N from 1;
                ``None``: as in the model's study.
            quick: without leave-one-out, the other rankings and the layers.

        Raises:
            BadInput: there is no such data, split or block, its classes are others, or the
                reference leads to another model than when it was loaded.
        """
        spec = None if dataset is None else CorpusSpec.parse({"dataset": dataset})
        found = run_evaluation(
            self.reference,
            spec,
            self.stores,
            split=split,
            capacity_layer=capacity_layer,
            quick=quick,
        )
        if found.sha256 != self.loaded.ref.sha256:
            raise BadInput("model", f"{self.reference} is another one by now; load it again")
        return metrics_table(found.scores)


def opened(reference: str, where: Stores) -> Model:
    """The model of a folder or of a name in the registry."""
    return Model(reference, explaining.load(reference, where), where)
