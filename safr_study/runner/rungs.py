"""The texts on which a trial is measured at a rung."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safr_study.data import EncodedCorpus, EncodedSplit, epochs_of_pass
from safr_study.settings import Wanted

if TYPE_CHECKING:
    from safr_study.runner.task import RunTask

SHARE = 0.1
"""Share of the training up to the first rung that measuring there may cost."""
LEAST = 400
"""Dev texts that are measured whatever they cost."""
_STEP = 3.0
"""Passes that a training step is worth: backward takes about two."""


def rung_sample(corpus: EncodedCorpus, task: RunTask, want: Wanted) -> EncodedSplit:
    """The dev texts of every rung: all, or a fixed part where the task says so or all are dear.

    The more texts, the better a rung's order foretells that of the end. All trials of a study
    have the same ones.
    """
    from safr_study.evaluation.deletion import sample_texts

    texts = task.rung_texts
    if texts is None:
        texts = affordable_texts(
            corpus.dev.examples,
            float(corpus.dev.lengths.sum()),
            float(corpus.train.lengths.sum())
            * min(task.rungs, default=1)
            / epochs_of_pass(corpus.train.examples, task.train.epoch_texts),
            want.passes(task.evaluation.draws),
        )
    return sample_texts(corpus.dev, texts, seed=task.evaluation.seed)


def affordable_texts(texts: int, tokens: float, trained: float, count: float) -> int:
    """How many texts may be measured: `SHARE` of the training's cost, `LEAST` at least.

    Args:
        texts: of dev.
        tokens: of dev.
        trained: tokens that are trained on before the first rung.
        count: passes over the texts that measuring takes.
    """
    affordable = SHARE * _STEP * trained / (count * max(1.0, tokens))
    return min(texts, max(LEAST, int(texts * affordable)))
