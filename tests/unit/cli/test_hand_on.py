"""``export`` and ``import`` as a user calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from stored_study import FACTS, ask, complete, finished_study, study_spec

import safr_study as ss
from safr_study.cli import completion
from safr_study.data import encoded_corpus
from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import open_storage
from safr_study.settings import CorpusSpec

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_is_written_and_taken_in_and_both_are_said(run: Run, tmp_path: Path) -> None:
    finished_study(open_home(tmp_path / "a"), study_spec("s", trials=2), {0: (80.0, 9.0)})
    code, out, err = run("export", "s", "--home", "a")
    assert code == 0, err
    assert out.startswith("wrote s.zip (")
    assert "the ledger, 1 model, a page" in out
    assert "safr-study import s.zip" in err
    assert run("export", "s", "--home", "a")[0] == 2
    code, out, _ = run("export", "s", "--home", "a", "--force", "--json")
    told = json.loads(out)
    assert (told["study"], told["written"], told["models"]) == ("s", "s.zip", 1)
    assert told["bytes"] == (tmp_path / "s.zip").stat().st_size
    assert completion.complete_archive("s.") == ["s.zip"]
    # A server that is down: nothing is taken in.
    dead = ("--tracking-uri", "http://127.0.0.1:9")
    code, out, err = run("import", "s.zip", "--home", "b", *dead)
    assert (code, out) == (4, "")
    assert "nothing answers" in err
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["home.json"]
    code, out, err = run("import", "s.zip", "--home", "b", "--as", "../t")
    assert (code, out) == (2, "")
    assert "'../t' is no name of a study" in err
    code, out, err = run("import", "s.zip", "--home", "b", "--as", "t")
    assert code == 0, err
    assert "Study t is here: 1 trial, 1 model; in MLflow 2 runs, 0 registered versions." in out
    study = ss.open_study("t", home=tmp_path / "b")
    assert list(study.pareto()["trial"]) == [0]
    assert study.model(0).explain("good film").prediction
    # From Python it is the same file.
    assert study.export(tmp_path / "t.zip") == tmp_path / "t.zip"
    with pytest.raises(ss.BadInput, match="there is a study 't' already"):
        ss.import_study(tmp_path / "t.zip", home=tmp_path / "b")


def test_a_study_over_a_file_goes_on_where_the_file_is(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("ours", "theirs"):
        rows = "".join(f"some good words {n},{n % 2}\n" for n in range(900))
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "reviews.csv").write_text(f"text,label\n{rows}")
    path = str(tmp_path / "ours" / "reviews.csv")
    spec = study_spec("s", trials=2, corpus=CorpusSpec(dataset=path, allow_duplicates=True))
    fingerprint = encoded_corpus(spec.corpus).fingerprint
    facts = replace(FACTS, slug="reviews", corpus_fingerprint=fingerprint, corpus={"source": path})
    storage = open_storage(open_home(tmp_path / "a"), None, "s", create=True)
    assert storage is not None
    ledger = Ledger.create(storage, spec, facts)
    for number in ask(ledger, 2):
        complete(ledger, number, (80.0 - number, 9.0 + number))
    assert run("export", "s", "--home", "a", "--out", "x.zip", "--json")[0] == 0
    # Its models are nowhere, so its front cannot be registered; it is here all the same.
    code, _, err = run("import", "x.zip", "--home", "b")
    assert code == 4
    assert "study 's' is imported, but MLflow lacks something of it" in err
    assert "safr-study sync s" in err
    (tmp_path / "ours" / "reviews.csv").unlink()
    home = str(tmp_path / "b")
    code, _, err = run("confirm", "s", "--seeds", "2", "--dry-run", "--home", home)
    assert code == 2
    assert "there is no file or folder 'reviews.csv'" in err
    monkeypatch.chdir(tmp_path / "theirs")
    code, out, err = run("confirm", "s", "--seeds", "2", "--dry-run", "--json", "--home", home)
    assert code == 0, err
    assert len(json.loads(out)["missing"]) == 4
