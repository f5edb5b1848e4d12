"""A whole study, as the user asked for it."""

from __future__ import annotations

import math
import re
from typing import Literal, Self

from pydantic import Field, model_validator

from safr_study.errors import BadInput
from safr_study.settings.base import Settings, fingerprint_of
from safr_study.settings.corpus import CorpusSpec
from safr_study.settings.evaluation import EvaluationConfig
from safr_study.settings.objective import Objective
from safr_study.settings.scheduler import SchedulerConfig
from safr_study.settings.space import SearchSpace
from safr_study.settings.training import TrainConfig

SamplerName = Literal["tpe", "nsga2", "gp", "qmc", "random", "grid"]
STUDY_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


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
        """All but names, texts, budgets and resources: those may change."""
        return self.model_dump(
            mode="json",
            exclude={
                "name": True,
                "trials": True,
                "resources": True,
                "system_metrics": True,
                "time_budget": True,
                "epoch_budget": True,
                "space": {"name", "description"},
            },
        )

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
