"""Facts, once they are facts: frozen records of what was trained, measured and ranked.

Accuracies and everything derived from them are in percentage points.
"""

from safr_study.records.plain import (
    to_plain,
)
from safr_study.records.scores import (
    Agreement,
    ControlScores,
    CurveScores,
    DeletionScores,
    LayerMeasures,
    Scores,
    scores_from_plain,
)
from safr_study.records.study import (
    Provenance,
    RankedTrial,
    RegisteredModel,
    Replicate,
    StudyObserver,
    StudyResult,
    TrialRecord,
    TrialState,
    Value,
)
from safr_study.records.training import (
    CheckpointRef,
    EpochReport,
    LossTerms,
    epoch_from_plain,
)

__all__ = [
    "Agreement",
    "CheckpointRef",
    "ControlScores",
    "CurveScores",
    "DeletionScores",
    "EpochReport",
    "LayerMeasures",
    "LossTerms",
    "Provenance",
    "RankedTrial",
    "RegisteredModel",
    "Replicate",
    "Scores",
    "StudyObserver",
    "StudyResult",
    "TrialRecord",
    "TrialState",
    "Value",
    "epoch_from_plain",
    "scores_from_plain",
    "to_plain",
]
