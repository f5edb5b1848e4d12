"""A dry run's trials are those that the study begins with."""

from __future__ import annotations

from pathlib import Path

import pytest

from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger, StudyFacts
from safr_study.ledger.preview import first_trials
from safr_study.ledger.storage import open_storage
from safr_study.settings import CorpusSpec, SamplerName, StudySpec
from safr_study.settings.space_files import find_space

FACTS = StudyFacts("f" * 64, "planted", (50.0, 0.0), {})


def study(sampler: SamplerName, trials: int = 24) -> StudySpec:
    return StudySpec(
        name="s",
        corpus=CorpusSpec(dataset="planted"),
        space=find_space("lambda"),
        sampler=sampler,
        trials=trials,
        seed=3,
    )


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random", "grid"])
def test_they_are_those_of_the_study(tmp_path: Path, sampler: SamplerName) -> None:
    spec = study(sampler)
    storage = open_storage(open_home(tmp_path), None, "s", create=True)
    assert storage is not None
    ledger = Ledger.create(storage, spec, FACTS)
    begun = [ledger.ask(spec) for _ in range(6)]
    shown = first_trials(spec, FACTS, 6)
    assert [trial.parameters for trial in shown] == [trial.parameters for trial in begun if trial]
    assert shown[0].baseline == "no-vmask"
    assert len({str(trial.parameters) for trial in shown}) == 6


def test_there_are_no_more_than_the_study_has() -> None:
    assert len(first_trials(study("random", trials=3), FACTS, 8)) == 3
