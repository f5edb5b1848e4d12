"""Names that a study gets when it is given none."""

from __future__ import annotations

from safr_study.data import slugify
from safr_study.settings import StudySpec


def default_study_name(spec: StudySpec) -> str:
    """A name from the data set and the settings: the same command finds its study again."""
    return f"{slugify(spec.corpus.dataset)[:48]}-{spec.identity()[:8]}"
