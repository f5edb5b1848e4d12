"""Whether a study may begin with data of the user's own, and what is said with its plan."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from stored_study import FACTS, study_spec

from safr_study.cli.app import main
from safr_study.cli.progress import plan_lines
from safr_study.data import encoded_corpus
from safr_study.errors import BadInput
from safr_study.features.search.plan import LONG, StudyPlan, plan_study
from safr_study.features.study_base.stores import Stores, open_stores
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import open_storage
from safr_study.settings import CorpusSpec

WARNING = (
    "the dev split has 8 texts, so the standard error of accuracy is up to 17.68 points, more "
    "than 5; give 100 or more (without a dev split a fifth of train is taken)"
)


@pytest.fixture
def data(tmp_path: Path) -> CorpusSpec:
    """A file with 40 texts."""
    path = tmp_path / "x.csv"
    path.write_text("text,label\n" + "".join(f"some words {n},{n % 2}\n" for n in range(40)))
    return CorpusSpec(dataset=str(path))


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return open_stores(tmp_path / "home")


def planned(data: CorpusSpec, stores: Stores, *, fresh: bool = False) -> StudyPlan:
    return plan_study(study_spec(corpus=data), stores, cpus=1.0, gpus=0.0, fresh=fresh)


def test_a_small_study_begins_with_the_permission_and_its_warning(
    data: CorpusSpec, stores: Stores
) -> None:
    with pytest.raises(BadInput, match=r"^dataset: the dev split has 8 texts, .* --allow-small$"):
        planned(data, stores)
    plan = planned(data.model_copy(update={"allow_small": True}), stores)
    assert plan.warnings == (WARNING,)
    assert f"warning: {WARNING}" in plan_lines(plan)


def test_a_study_that_has_begun_goes_on_without_the_permission(
    data: CorpusSpec, stores: Stores
) -> None:
    # As one does that was begun before there were permissions.
    storage = open_storage(stores.home, None, "s", create=True)
    assert storage is not None
    fingerprint = encoded_corpus(data).fingerprint
    facts = replace(FACTS, corpus_fingerprint=fingerprint)
    Ledger.create(storage, study_spec(corpus=data), facts)
    assert planned(data, stores).warnings == (WARNING,)
    assert planned(data.model_copy(update={"allow_small": True}), stores).done == 0
    with pytest.raises(BadInput, match="--allow-small"):
        planned(data, stores, fresh=True)


def test_the_command_line_takes_the_permissions_and_a_prefetch_warns(
    data: CorpusSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def shown(*words: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["safr-study", *words, "--home", str(tmp_path / "home")])
        with pytest.raises(SystemExit) as ended:
            main()
        found = capsys.readouterr()
        assert not ended.value.code, found.err
        return found.out, " ".join(found.err.split())

    asked = ("search", "--dataset", data.dataset, "--allow-small", "--allow-duplicates")
    document = json.loads(shown(*asked, "--dry-run", "--json")[0])
    assert document["warnings"] == [WARNING]
    assert WARNING in " ".join(shown(*asked, "--dry-run")[0].split())
    out, err = shown("datasets", "prefetch", data.dataset)
    assert "32 train / 8 dev" in out
    assert WARNING in err


def test_a_long_study_says_what_would_make_it_shorter(stores: Stores) -> None:
    planted = CorpusSpec(dataset="planted")
    short = plan_study(study_spec(corpus=planted, trials=1), stores, cpus=1.0, gpus=0.0)
    assert short.cost.seconds < LONG
    assert (short.cheaper, short.cost.measured) == ((), False)
    long = plan_study(study_spec(corpus=planted, trials=2_000), stores, cpus=1.0, gpus=0.0)
    assert long.cost.seconds > LONG
    assert long.cost.measured
    options = dict(long.cheaper)
    assert {"--epochs 8", "--trials 12"} <= set(options)
    assert all(seconds < long.cost.seconds for seconds in options.values())
    line = plan_lines(long)[-1]
    assert line.startswith("shorter, without early stopping: --epochs 8 (about ")
    assert line.endswith("or --time-budget 8h")
    on_gpus = plan_study(study_spec(corpus=planted, trials=2_000), stores, cpus=1.0, gpus=1.0)
    assert not on_gpus.cost.measured
