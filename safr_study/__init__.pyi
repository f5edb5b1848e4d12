# What type checkers and editors see of the lazy names in __init__.py.
from safr_study.api import Explained as Explained
from safr_study.api import Front as Front
from safr_study.api import Model as Model
from safr_study.api import Study as Study
from safr_study.api import compare as compare
from safr_study.api import import_study as import_study
from safr_study.api import load as load
from safr_study.api import models as models
from safr_study.api import open_study as open_study
from safr_study.api import search as search
from safr_study.api import studies as studies
from safr_study.errors import BadInput as BadInput
from safr_study.errors import BadInputs as BadInputs
from safr_study.errors import CorruptCheckpoint as CorruptCheckpoint
from safr_study.errors import SafrError as SafrError
from safr_study.errors import ServiceUnreachable as ServiceUnreachable
from safr_study.errors import StudyIncomplete as StudyIncomplete
from safr_study.errors import StudyInterrupted as StudyInterrupted

__version__: str
