"""What a user may ask for: frozen settings, checked once, at the edge."""

from safr_study.settings.base import Settings, fingerprint_of
from safr_study.settings.constraints import Constraint
from safr_study.settings.corpus import CorpusSpec
from safr_study.settings.evaluation import (
    CURVE_SHARES,
    LAYERS,
    CapacityLayer,
    DeletionMode,
    EvaluationConfig,
    Ranking,
)
from safr_study.settings.metrics import (
    AT_K,
    CONTROLS,
    OF_LAYER,
    OF_MODEL,
    POINTS,
    Metric,
    Wanted,
    everything,
    find_metric,
    wanted,
)
from safr_study.settings.model import ModelShape, Penalties, Preset
from safr_study.settings.objective import Objective
from safr_study.settings.parameters import (
    SWITCH_SUFFIX,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Value,
    exists,
)
from safr_study.settings.scheduler import SchedulerConfig, SchedulerName
from safr_study.settings.space import Baseline, SearchSpace, trial_config
from safr_study.settings.study import STUDY_NAME_PATTERN, Resources, SamplerName, StudySpec
from safr_study.settings.training import TrainConfig

__all__ = [
    "AT_K",
    "CONTROLS",
    "CURVE_SHARES",
    "LAYERS",
    "OF_LAYER",
    "OF_MODEL",
    "POINTS",
    "STUDY_NAME_PATTERN",
    "SWITCH_SUFFIX",
    "Baseline",
    "CapacityLayer",
    "CategoricalParameter",
    "Constraint",
    "CorpusSpec",
    "DeletionMode",
    "EvaluationConfig",
    "FloatParameter",
    "IntParameter",
    "Metric",
    "ModelShape",
    "Objective",
    "Parameter",
    "Penalties",
    "Preset",
    "Ranking",
    "Resources",
    "SamplerName",
    "SchedulerConfig",
    "SchedulerName",
    "SearchSpace",
    "Settings",
    "StudySpec",
    "TrainConfig",
    "Value",
    "Wanted",
    "everything",
    "exists",
    "find_metric",
    "fingerprint_of",
    "trial_config",
    "wanted",
]
