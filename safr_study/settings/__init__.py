"""What a user may ask for: frozen settings, checked once, at the edge."""

from safr_study.settings.base import Settings, fingerprint_of
from safr_study.settings.corpus import CorpusSpec
from safr_study.settings.evaluation import (
    CURVE_SHARES,
    LAYERS,
    CapacityLayer,
    DeletionMode,
    EvaluationConfig,
    Objective,
    Ranking,
)
from safr_study.settings.model import ModelShape, Penalties, Preset
from safr_study.settings.space import (
    SWITCH_SUFFIX,
    Baseline,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    SearchSpace,
    Value,
    trial_config,
)
from safr_study.settings.study import STUDY_NAME_PATTERN, Resources, SamplerName, StudySpec
from safr_study.settings.training import TrainConfig

__all__ = [
    "CURVE_SHARES",
    "LAYERS",
    "STUDY_NAME_PATTERN",
    "SWITCH_SUFFIX",
    "Baseline",
    "CapacityLayer",
    "CategoricalParameter",
    "CorpusSpec",
    "DeletionMode",
    "EvaluationConfig",
    "FloatParameter",
    "IntParameter",
    "ModelShape",
    "Objective",
    "Parameter",
    "Penalties",
    "Preset",
    "Ranking",
    "Resources",
    "SamplerName",
    "SearchSpace",
    "Settings",
    "StudySpec",
    "TrainConfig",
    "Value",
    "fingerprint_of",
    "trial_config",
]
