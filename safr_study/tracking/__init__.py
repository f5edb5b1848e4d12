"""MLflow: runs while a study runs, the registry of its front, the page to look at them."""

# First: it sets what MLflow reads while it is imported.
import safr_study.tracking._environment  # noqa: F401, I001

from safr_study.tracking.confirm_runs import register_confirmed as register_confirmed
from safr_study.tracking.confirm_runs import track_confirmation as track_confirmation
from safr_study.tracking.pull import find_model as find_model
from safr_study.tracking.pull import pull as pull
from safr_study.tracking.registry import ROLES as ROLES
from safr_study.tracking.registry import list_models as list_models
from safr_study.tracking.registry import model_name as model_name
from safr_study.tracking.registry import register_front as register_front
from safr_study.tracking.registry import role_holders as role_holders
from safr_study.tracking.runs import close_open_runs as close_open_runs
from safr_study.tracking.runs import experiment_name as experiment_name
from safr_study.tracking.store import Store as Store
from safr_study.tracking.store import open_store as open_store
from safr_study.tracking.store import store_exists as store_exists
from safr_study.tracking.study_runs import StudyEnd as StudyEnd
from safr_study.tracking.study_runs import TrackedStudy as TrackedStudy
from safr_study.tracking.ui import UiServer as UiServer
from safr_study.tracking.ui import experiment_pages as experiment_pages
from safr_study.tracking.ui import experiment_url as experiment_url
from safr_study.tracking.ui import serve_ui as serve_ui
from safr_study.tracking.writer import StudyWriter as StudyWriter
