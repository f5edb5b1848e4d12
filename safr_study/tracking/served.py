"""A registered model as MLflow loads and serves it: texts in, predictions with capacities out."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from mlflow.exceptions import MlflowException
from pydantic import BaseModel, Field

from safr_study.checkpoint.model_files import LoadedModel, load_model
from safr_study.checkpoint.pickles import refuse_pickles
from safr_study.data import Text
from safr_study.errors import SafrError
from safr_study.evaluation.explanation import explain_text
from safr_study.records.explanation import Explanation
from safr_study.tracking.registered_files import check_registered
from safr_study.training import computing

with warnings.catch_warnings():
    # https://github.com/mlflow/mlflow/blob/v3.17.2/mlflow/types/responses.py infers a schema for
    # its own agents while it is imported.
    warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType")
    from mlflow.pyfunc import PythonModel, PythonModelContext

ARTIFACT = "checkpoint"
"""Name of the checkpoint among a logged model's artifacts."""


class PredictedWord(BaseModel):
    """One word of a text, in the order of the text."""

    word: str
    capacity: float = Field(ge=0.0, le=1.0)
    """Capacity C_i in the model's own layer."""
    rank: int = Field(ge=0)
    """0 = the highest capacity of the text."""
    top: bool
    """Whether it is one of the 30 % with the highest capacity, which SRS(30) deletes."""
    keep_probability: float | None = None
    """VMASK's soft gate; null without VMASK."""
    known: bool
    """Whether it is in the model's vocabulary."""


class Prediction(BaseModel):
    """A model's answer to one text."""

    label: str
    probability: float
    """Probability of the label."""
    probabilities: dict[str, float]
    """Probability by class; they sum to 1."""
    words: list[PredictedWord]
    """Words that the model read, as typed; of a pair those of the first text, then the others."""
    words_cut: int
    """Words beyond the model's maximum length, which it did not read."""


class Pair(BaseModel):
    """The two texts that a model of pairs answers to."""

    first: str
    second: str


class _Served(PythonModel):  # type: ignore[misc]  # MLflow has no types
    """The object that the code of a logged model hands to MLflow.

    Every text is run in a batch of its own, as `safr-study explain` does: the answer for a text
    does not depend on the others of a request.
    """

    def __init__(self) -> None:
        self._loaded: LoadedModel | None = None

    def load_context(self, context: PythonModelContext) -> None:
        """Read the checkpoint of a logged model, its checksums verified.

        Raises:
            CorruptCheckpoint: a file is missing, damaged or another than the registry knows, or a
                pickle lies anywhere in the model.
        """
        checkpoint = Path(context.artifacts[ARTIFACT])
        # MODEL/artifacts/checkpoint; while a model is made, its checkpoint lies alone.
        whole = checkpoint.parents[1]
        logged = (whole / "MLmodel").is_file()
        refuse_pickles(whole if logged else checkpoint)
        if logged:
            check_registered(whole)
        self._loaded = load_model(checkpoint, device=torch.device("cpu"), dtype=torch.float64)

    def answers(self, texts: Iterable[Text]) -> list[Prediction]:
        """The prediction for each text or pair; an empty text has no words.

        Raises:
            MlflowException: one cannot be predicted, in a sentence; over HTTP status 400.
        """
        assert self._loaded is not None
        try:
            with computing(self._loaded.config.threads):
                return [
                    as_prediction(explain_text(self._loaded, text, reference="served"))
                    for text in texts
                ]
        except SafrError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


class ServedModel(_Served):
    """A model of single texts."""

    def predict(self, model_input: list[str]) -> list[Prediction]:
        """The prediction for each text, as of ``answers``; MLflow's signature is of the types."""
        return self.answers(model_input)


class ServedPairs(_Served):
    """A model of pairs of texts."""

    def predict(self, model_input: list[Pair]) -> list[Prediction]:
        """The prediction for each pair, as of ``answers``; MLflow's signature is of the types."""
        return self.answers((pair.first, pair.second) for pair in model_input)


def as_prediction(explanation: Explanation) -> Prediction:
    """An explanation as it is served."""
    fields = PredictedWord.model_fields
    words: list[Any] = [
        PredictedWord(word=word.text, **{f: getattr(word, f) for f in fields if f != "word"})
        for word in explanation.words
    ]
    return Prediction(
        label=explanation.prediction,
        probability=explanation.probability,
        probabilities=dict(explanation.probabilities),
        words=words,
        words_cut=explanation.words_cut,
    )
