"""A home whose registry has small untrained models, as a study leaves it, without training."""

from __future__ import annotations

from pathlib import Path

from safr_study.home import Home, open_home


def registered_home(folder: Path, *, count: int = 2, uri: str | None = None) -> Home:
    """``safr-planted`` with so many versions, of which the first is the knee.

    Args:
        folder: of the home and, in ``c``, of the checkpoints by trial number.
        count: of trials, all on the front.
        uri: of another tracking store than the home's.
    """
    from synthetic_study import complete_trial, ranked_study, study_spec, writer_of

    from safr_study.tracking.registry import register_front
    from safr_study.tracking.store import open_store
    from safr_study.tracking.study_runs import StudyEnd

    home = open_home(folder / "home")
    store = open_store(home, uri)
    spec = study_spec()
    trials = [complete_trial(n, 80.0 - n, 10.0 + n, folder=folder / "c") for n in range(count)]
    result = ranked_study(spec, [trials], knee=0)
    writer = writer_of(store, spec)
    writer.start()
    assert writer.finish(StudyEnd(result)) is None
    register_front(store, result, uid="s1-1", spec=spec)
    return home
