"""A whole study, as the user asked for it: its texts, its measures, its scheduler, its room."""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from safr_study.errors import BadInput
from safr_study.settings.base import Settings, fingerprint_of
from safr_study.settings.layers import CapacityLayer
from safr_study.settings.objectives import Objective
from safr_study.settings.space import SearchSpace
from safr_study.settings.training import TrainConfig

PAD, UNK, SEP = 0, 1, 2
"""Ids of a position without a word, of a word outside the vocabulary, and in pairs of texts of what
stands between the two; elsewhere the last is the first word."""
TokenizerName = Literal["whitespace", "words", "characters"]
DeletionMode = Literal["remove", "unk", "attn", "gate"]
Side = Literal["first", "second"]
"""One of the two texts of a pair."""
Sides = Literal["both", "first", "second"]
"""Those of a pair whose words are deleted."""
SchedulerName = Literal["mo-asha", "freeze-thaw", "none"]
SamplerName = Literal["tpe", "nsga2", "gp", "qmc", "random", "grid"]
STUDY_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class CorpusSpec(Settings):
    """A data set by name or path, and everything that changes what the model sees of it."""

    later: ClassVar[frozenset[str]] = frozenset(
        {"tokenizer", "lowercase", "encoder", "allow_small", "allow_duplicates"}
        | {"group_column", "second_column"}
    )

    dataset: str = Field(min_length=1, max_length=4096)
    """``planted[:variant]``, a name of ``data.catalogue.KNOWN``, a hub id, or a path."""
    text_column: str | None = None
    """Column of the texts; ``None``: the only usual name that the file has."""
    second_column: str | None = None
    """Column of the second text of each pair, ``text_column`` being that of the first; ``None``:
    single texts, unless the data set is known by name as one of pairs."""
    label_column: str | None = None
    """Column of the labels; ``None``: the only usual name that the file has."""
    group_column: str | None = None
    """Column of which texts that belong together share a value; ``None``: there are no groups, but
    ``pair`` for ``imdb-cad``."""
    tokenizer: TokenizerName = "whitespace"
    """What a word is: what stands between white space, or with punctuation split off (``words``,
    the default of the commands for data of the user's own), or each sign too of a script that
    puts no blanks between words, as Japanese and Thai (``characters``)."""
    lowercase: bool = False
    """Whether case is ignored."""
    encoder: str | None = Field(default=None, min_length=1, max_length=4096)
    """Folder or hub id of a pretrained encoder, whose tokenizer cuts each word into pieces;
    ``None``: the model is trained from scratch, over the words of the training texts."""
    max_len: int | None = Field(default=None, ge=1, le=4096)
    """Words kept of each text, with an encoder its pieces; ``None``: 256 for ``imdb``, 512 for
    ``movies``, 128 for all others. Of a pair the words of both and what separates them: the longer
    text is cut first."""
    min_count: int = Field(default=2, ge=1)
    """A word enters the vocabulary when the training texts have it this often."""
    train_limit: int | None = Field(default=None, ge=2)
    """Most training texts, drawn by a seeded stratified sample."""
    dev_limit: int | None = Field(default=None, ge=2)
    """Most dev texts, drawn by a seeded stratified sample."""
    test_limit: int | None = Field(default=None, ge=2)
    """Most test texts, drawn by a seeded stratified sample."""
    split_seed: int = Field(default=0, ge=0)
    """Seed of splits and limits: apart from the study's, so that studies share their dev set."""
    allow_small: bool = False
    """Whether a study may begin with few texts of a class, or few dev texts."""
    allow_duplicates: bool = False
    """Whether a study may begin where many texts of dev or test are in train too."""

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        if self.second_column is not None and self.text_column is None:
            raise ValueError("a second text column needs a first; give --text-column twice")
        if self.second_column is not None and self.second_column == self.text_column:
            raise ValueError(
                f"{self.second_column!r} is given as both text columns; name two different ones"
            )
        return self

    @model_validator(mode="after")
    def _check_encoder(self) -> Self:
        if self.encoder is not None and (self.tokenizer != "whitespace" or self.lowercase):
            raise ValueError(
                "an encoder's tokenizer cuts words and minds case as it was trained to; leave "
                "--tokenizer and --lowercase out"
            )
        return self


class EvaluationConfig(Settings):
    """Settings of the deletion evaluation."""

    later: ClassVar[frozenset[str]] = frozenset(
        {"delete", "cause_texts", "naopc_texts", "naopc_words"}
    )

    draws: int = Field(default=10, ge=1)
    """B: random deletions per text."""
    capacity_layer: CapacityLayer = "ffn1_pre_relu"
    """Layer whose rows are the tokens' capacity vectors: before or after the activation, in the
    last block or in that of a number from 1 (``ffn1_pre_relu:1``)."""
    batch_size: int = Field(default=128, ge=1)
    """Texts per evaluation batch: fixed by the settings, so that numbers repeat exactly."""
    seed: int = Field(default=0, ge=0)
    """Seed of the random deletions; shared by all the models of a study."""
    mode: DeletionMode = "remove"
    """What deleting a token means: ``remove`` (the rest closes ranks), ``unk`` (the unknown word in
    its place), ``attn`` (dropped from attention and pooling, positions kept) or ``gate`` (VMASK's
    gate set to 0)."""
    delete: Sides = "both"
    """Words of which texts of a pair are deleted; of one, the share k is of its words alone."""
    recompute: bool = False
    """Rank anew after every deleted token, instead of once on the full text."""
    sample_texts: int = Field(default=500, ge=1)
    """Fixed texts of the split for leave-one-out."""
    sample_tokens: int = Field(default=5_000, ge=1)
    """Tokens of the fixed texts of the superposition measures, about so many."""
    cause_texts: int = Field(default=1_000, ge=2)
    """Fixed texts of the split in which neurons are taken away: all, where it has fewer."""
    naopc_texts: int = Field(default=50, ge=1)
    """Fixed texts of the split whose best and worst order is looked for."""
    naopc_words: int = Field(default=16, ge=2, le=62)
    """Words of the longest of these: a text of n takes up to 2^10 predictions, or about 5 n^2."""

    @property
    def deletion(self) -> str:
        """What deleting means, in words: ``remove``, ``unk of the second text``."""
        return self.mode if self.delete == "both" else f"{self.mode} of the {self.delete} text"


class SchedulerConfig(Settings):
    """What happens to trials at rungs: MO-ASHA (multi-objective asynchronous successive halving)
    stops those that others beat; freeze-thaw pauses all and continues what promises most.

    Rungs lie at ``first_rung * reduction^i`` epochs, below the most epochs that a trial may take.
    """

    name: SchedulerName = "mo-asha"
    """``none``: every trial runs to its end. ``freeze-thaw`` also chooses the settings, in the
    place of the sampler; of what follows it has the rungs alone."""
    first_rung: int = Field(default=2, ge=1)
    """Epochs that no trial is denied."""
    reduction: float = Field(default=3.0, ge=1.1)
    """eta: about one trial in so many goes on at each rung. Close to 1 nobody would be stopped."""
    min_peers: int = Field(default=4, ge=1)
    """Other trials that a rung must have seen before anybody is stopped there."""
    margin: float = Field(default=2.0, ge=0.0)
    """Noise: worse means worse by more than this in every objective. Percentage points; percent of
    the finite range seen at the rung for objectives of another unit."""
    run_on: float = Field(default=0.05, ge=0.0, le=1.0)
    """Share of the trials to be stopped that run on to the end, so that what stopping costs is
    measured."""
    texts: int = Field(default=400, ge=1)
    """Texts of the fixed dev subsample on which studies of an earlier version measure the
    objectives at a rung; others take all of dev, as far as that is cheap."""

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Epochs after which trials are compared, whole and ascending, all below ``epochs``."""
        found: list[int] = []
        level: float = self.first_rung
        while self.name != "none" and level < epochs and round(level) < epochs:
            if not found or round(level) > found[-1]:
                found.append(round(level))
            level *= self.reduction
        return tuple(found)


class Resources(Settings):
    """What one trial takes, and how many run at once."""

    cpus_per_trial: float = Field(default=1.0, gt=0.0)
    """Cores; fractions share one."""
    gpus_per_trial: float | None = Field(default=None, ge=0.0)
    """GPUs; fractions share one, each trial with that fraction of its memory. ``None``: a share of
    one where the cluster has GPUs, else none."""
    max_concurrent: int | None = Field(default=None, ge=1)
    """Trials at once; ``None``: as many as the cluster has room for."""


class StudySpec(Settings):
    """What to search, over which data, measured how."""

    name: str = Field(pattern=STUDY_NAME_PATTERN)
    corpus: CorpusSpec
    space: SearchSpace
    objectives: tuple[Objective, ...] = (Objective(name="accuracy"), Objective(name="srs@30"))
    """Measured on dev, each in its own direction; at least two."""
    trials: int = Field(default=24, ge=1, le=1_000_000)
    """Trials to finish, baselines included; a trial stopped early counts, a failed one does not."""
    sampler: SamplerName = "tpe"
    scheduler: SchedulerConfig = SchedulerConfig()
    seeds_per_trial: int = Field(default=1, ge=1, le=1_000)
    """R: trainings of each trial that is not stopped, with seeds of their own; its objectives are
    their means."""
    warm_start: str | None = Field(default=None, pattern=STUDY_NAME_PATTERN)
    """Study whose complete trials the sampler knows from the start; they are no trials of this."""
    time_budget: float | None = Field(default=None, gt=0.0)
    """Seconds of wall time of one run of the study; then what is unfinished waits for the next."""
    epoch_budget: int | None = Field(default=None, ge=1)
    """Epochs of training over all trials; no trial begins beyond it."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the sampler, and of the training of every trial: trials differ by their settings
    alone."""
    system_metrics: bool = False
    """Whether trials tell what each epoch takes of its machine."""
    train: TrainConfig = TrainConfig()
    """What all trials share."""
    evaluation: EvaluationConfig = EvaluationConfig()
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _check_objectives(self) -> Self:
        names = [objective.name for objective in self.objectives]
        if len({(o.metric, o.k, o.layer) for o in self.objectives}) < len(names):
            raise ValueError(f"objectives {names} repeat a name; give each once")
        if len(names) < 2:
            raise ValueError("a front needs two objectives or more, for example accuracy, srs@30")
        return self

    def settings_that_change_numbers(self) -> dict[str, object]:
        """All but names, texts, budgets, permissions and resources: those may change."""
        whole = ("name", "trials", "resources", "system_metrics", "time_budget", "epoch_budget")
        left_out: dict[str, Any] = {
            **dict.fromkeys(whole, True),
            "corpus": {"allow_small", "allow_duplicates"},
            "space": {"name", "description"},
        }
        return self.model_dump(mode="json", exclude=left_out)

    def identity(self) -> str:
        """Fingerprint of the settings that change a number: two studies with the same are one."""
        return fingerprint_of(self.settings_that_change_numbers())


def parse_duration(text: str) -> float:
    """Seconds of ``90s``, ``15m``, ``2h``, ``1.5d`` or a plain number of seconds.

    Raises:
        BadInput: anything else.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip().lower())
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not 0 < seconds < math.inf:
        raise BadInput("time-budget", f"{text!r} is no time; write for example 90s, 15m, 2h or 1d")
    return seconds
