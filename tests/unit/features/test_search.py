"""What a search does before it trains anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stored_study import ask, complete, study_spec
from tiny_model import save_tiny_model

from safr_study.cli.progress import Reporter
from safr_study.data import encoded_corpus
from safr_study.features.search import search as search_module
from safr_study.features.search.plan import study_facts
from safr_study.features.search.search import search
from safr_study.features.study_base.stores import Stores
from safr_study.home import Home, open_home
from safr_study.ledger.driver_lock import Lease, driver_lock
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import open_storage
from safr_study.settings import CorpusSpec


def test_a_study_that_another_driver_ends_while_this_one_prepares_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home(tmp_path)
    data = CorpusSpec(dataset="planted", train_limit=300, dev_limit=200)
    spec = study_spec(corpus=data, trials=2)

    @contextmanager
    def behind_another_driver(home: Home, name: str, url: str | None) -> Iterator[Lease]:
        with driver_lock(home, name, url):
            storage = open_storage(home, url, name, create=True)
            assert storage is not None
            facts = study_facts(spec, encoded_corpus(data, home.corpora))
            ledger = Ledger.create(storage, spec, facts)
            for number in ask(ledger, spec.trials):
                folder = home.checkpoints(ledger.uid) / f"{number:05d}" / "model"
                model = save_tiny_model(folder, seed=number)
                complete(ledger, number, (70.0 + number, 10.0 - number), model=model)
        with driver_lock(home, name, url) as lease:
            yield lease

    monkeypatch.setattr(search_module, "driver_lock", behind_another_driver)
    outcome = search(spec, Stores(home), progress=Reporter(None))
    assert len(outcome.result.trials) == spec.trials
    assert sorted(one.trial.number for one in outcome.result.front) == [0, 1]
