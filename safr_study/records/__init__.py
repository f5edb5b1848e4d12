"""Facts, once they are facts: frozen records of what was trained, measured and ranked.

Accuracies and everything derived from them are in percentage points.
"""

from safr_study.records.plain import from_plain as from_plain
from safr_study.records.plain import picked as picked
from safr_study.records.plain import to_plain as to_plain
from safr_study.records.run import CheckpointRef as CheckpointRef
from safr_study.records.run import EpochReport as EpochReport
from safr_study.records.run import LossTerms as LossTerms
from safr_study.records.run import Replicate as Replicate
from safr_study.records.scores import Confusion as Confusion
from safr_study.records.scores import LayerMeasures as LayerMeasures
from safr_study.records.scores import Measure as Measure
from safr_study.records.scores import Scores as Scores
from safr_study.records.study import Provenance as Provenance
from safr_study.records.study import RankedTrial as RankedTrial
from safr_study.records.study import RegisteredModel as RegisteredModel
from safr_study.records.study import StudyObserver as StudyObserver
from safr_study.records.study import StudyResult as StudyResult
from safr_study.records.study import TrialRecord as TrialRecord
from safr_study.records.study import TrialState as TrialState
