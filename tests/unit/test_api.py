from __future__ import annotations

import inspect
import subprocess
import sys
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from html_page import ReadPage
from registered import registered_home
from stored_study import ask, begin, complete, finished_study, study_spec

import safr_study as ss
from safr_study.api import Study
from safr_study.cli.app import app
from safr_study.features.explain import explain as explaining
from safr_study.features.study_base.stores import open_stores
from safr_study.home import Home, open_home
from safr_study.render.format import TINT_COLOURS

HEAVY = ("torch", "ray", "mlflow", "optuna", "datasets", "pandas", "matplotlib", "rich", "numpy")
VALUES = {0: (80.0, 5.0), 1: (60.0, 2.0), 2: (70.0, 15.0)}


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A study of three complete trials, of which 0 and 2 are on the front, and a running one."""
    home = open_home(tmp_path_factory.mktemp("studied") / "home")
    ledger = finished_study(home, study_spec("s", trials=4), VALUES)
    ask(ledger)
    return home


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return registered_home(tmp_path_factory.mktemp("registered"))


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, safr_study as ss\n"
        "assert 'search' in dir(ss) and ss.__version__ and issubclass(ss.BadInput, ss.SafrError)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_lazy_name_is_there_and_typed() -> None:
    stub = Path(ss.__file__).with_suffix(".pyi").read_text("utf-8")
    for name in ss.__all__:
        assert getattr(ss, name) is not None
        assert f" as {name}\n" in stub or f"{name}: str" in stub
    assert stub.count(" as ") == len(ss.__all__) - 1
    with pytest.raises(AttributeError, match="serach"):
        ss.serach  # noqa: B018


def test_only_the_public_names_are_offered() -> None:
    assert set(dir(ss)) == set(ss.__all__)


METHODS = {"confirm": Study.confirm, "report": Study.report, "promote": Study.promote,
           "stop": Study.stop, "compare": ss.compare, "export": Study.export,
           "import": ss.import_study}  # fmt: skip
NOT_IN_PYTHON = {"json", "dry_run", "ray", "address", "home", "storage", "tracking_uri", "quiet"}
"""Options that say how the terminal shows it, or what a study object knows already."""


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_the_names_and_defaults_of_the_command(name: str) -> None:
    from typer.main import get_command

    options = get_command(app).commands[name].params  # type: ignore[attr-defined]
    asked = {one.name: one.default for one in options if one.name not in {"study", "studies"}}
    given = inspect.signature(METHODS[name]).parameters
    ours = {
        key: one.default
        for key, one in given.items()
        if key not in {"self", "names"} | NOT_IN_PYTHON
    }
    assert set(ours) == set(asked) - NOT_IN_PYTHON - {"help"}
    for key, default in ours.items():
        if default is not inspect.Parameter.empty and default != ():
            assert asked[key] == default, key


def test_objects_show_themselves_in_a_line(studied: Home, registered: Home) -> None:
    study = ss.open_study("s", home=studied.root)
    assert repr(study) == "Study('s', planted, 4 trials, front 2, compromise 2)"
    assert repr(study.front) == "Front('s', 2 trials)"
    model = study.model(1)
    assert repr(model) == "Model('s#1', texts, 12 words, classes bad, fair, good)"
    assert repr(model.explain("good film")).startswith(
        f"Explained('{model.explain('good film').prediction}'"
    )
    html = model._repr_html_()
    assert "s#1" in html
    assert "planted" in html


def test_studies_are_compared_and_written_as_the_command_does(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    for name, values in (("a", VALUES), ("b", {0: (85.0, 1.0)})):
        finished_study(home, study_spec(name, trials=3), values)
    table = ss.compare("a", "b", home=home.root, out=tmp_path / "out")
    joint = table[table["on_joint_front"].astype(bool)]
    assert {(row.study, row.trial) for row in joint.itertuples()} == {("a", 0), ("a", 2), ("b", 0)}
    assert any(path.suffix == ".png" for path in (tmp_path / "out").iterdir())
    with pytest.raises(ss.BadInput, match="needs two studies or more"):
        ss.compare("a", home=home.root)
    page = ss.open_study("a", home=home.root).report(tmp_path / "a.html", quick=True)
    assert ReadPage(page.read_text("utf-8")).data["result"]["study"] == "a"
    with pytest.raises(ss.BadInput, match="seeds: an interval needs at least 2 seeds, not 1"):
        ss.open_study("a", home=home.root).confirm(1)
    assert ss.open_study("a", home=home.root).status().complete == 3
    with pytest.raises(ss.BadInput, match="is not running: there is nothing to stop"):
        ss.open_study("a", home=home.root).stop()


def test_a_study_is_a_ranking_a_front_and_a_history(studied: Home, tmp_path: Path) -> None:
    study = ss.open_study("s", home=studied.root)
    ranking = study.pareto()
    assert list(ranking["trial"]) == [0, 2, 1]
    assert list(ranking["front"]) == [0, 0, 1]
    assert list(ranking["accuracy"]) == [80.0, 70.0, 60.0]
    assert list(study.front.table["trial"]) == [0, 2]
    assert len(study.front) == 2
    assert list(study.trials()["state"]) == ["complete", "complete", "complete", "running"]
    # Against (50, 0): 30 x 5 and 20 x 10 more.
    assert study.hypervolume == study.history()["hypervolume"].iloc[-1] == 350.0
    written = study.write(tmp_path / "out")
    assert {path.suffix for path in written} == {".png", ".svg", ".csv"}
    listed = ss.studies(home=studied.root)
    assert listed[["name", "complete", "unfinished"]].to_numpy().tolist() == [["s", 3, 1]]


def test_a_study_that_went_on_is_seen_after_a_refresh(tmp_path: Path) -> None:
    ledger = begin(open_home(tmp_path), study_spec("s"))
    (number,) = ask(ledger)
    study = ss.open_study("s", home=tmp_path)
    complete(ledger, number, (80.0, 5.0))
    assert study.pareto().empty
    assert list(study.refresh().pareto()["trial"]) == [number]
    assert "No trial is complete yet" in study.front._repr_html_()


def test_a_notebook_shows_the_front_and_the_numbers(studied: Home) -> None:
    study = ss.open_study("s", home=studied.root)
    page = study._repr_html_()
    assert study.front._repr_html_() in page
    assert page.count("<tr") == 1 + 2
    assert 'src="data:image/svg+xml;base64,' in page
    assert "Hypervolume 350.0" in page
    for outside in ("http://", "https://", "<script", "<link"):
        assert outside not in page


def test_a_model_explains_and_predicts_as_the_command_line_does(registered: Home) -> None:
    model = ss.load("models:/safr-planted@knee", home=registered.root)
    text = "the film was <good> and bad"
    explained = model.explain(text)
    reference = "models:/safr-planted@knee"
    loaded = explaining.load(reference, open_stores(registered.root))
    expected = explaining.explain(loaded, text, reference=reference)
    assert explained.prediction == expected.prediction
    assert list(explained.words["capacity"]) == [word.capacity for word in expected.words]
    assert list(explained.words["word"]) == text.split()
    assert sum(explained.probabilities.values()) == pytest.approx(1.0)
    several = model.predict([text, ""])
    assert several["label"][0] == explained.prediction
    by_class = [several[f"p({name})"][0] for name in model.class_names]
    assert by_class == list(explained.probabilities.values())
    assert model.predict([]).empty
    # Negative control: another layer, other numbers.
    other = model.explain(text, layer="embedding").words
    assert list(other["capacity"]) != list(explained.words["capacity"])


def test_a_notebook_shows_an_explanation_word_by_word(registered: Home) -> None:
    page = ss.load("models:/safr-planted@knee", home=registered.root).explain(
        "good <b> film"
    )._repr_html_()  # fmt: skip
    assert page.count("background:#") == 3
    assert page.count("<strong ") == 1
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "1 word is not in the model's vocabulary" in unescape(page)


def test_the_tints_are_those_of_the_pages() -> None:
    style = (Path(ss.__file__).parent / "render" / "assets" / "base.css").read_text("utf-8")
    for step, (paper, ink) in enumerate(TINT_COLOURS[1:], start=1):
        assert f".t{step} {{ background: {paper}; color: {ink}; }}" in style
    # The lightest one is that of the dark page.
    assert f"--zero: {TINT_COLOURS[0][0]}; --zero-ink: {TINT_COLOURS[0][1]};" in style


def test_an_explanation_is_written_as_a_page_and_a_picture(
    registered: Home, tmp_path: Path
) -> None:
    model = ss.load(registered.root.parent / "c" / "0")
    explained = model.explain("the film was good")
    assert explained.write(tmp_path / "page.html") == [tmp_path / "page.html"]
    assert explained.write(tmp_path / "words.svg") == [tmp_path / "words.svg"]
    with pytest.raises(ss.BadInput, match=r"\.html"):
        explained.write(tmp_path / "words.pdf")


def test_models_are_listed_with_a_reference_that_loads(registered: Home) -> None:
    listed = ss.models(home=registered.root)
    assert list(listed["trial"]) == ["1", "0"]
    for reference in listed["reference"]:
        ss.load(reference, home=registered.root)
    assert "knee" in listed["aliases"][1].split(", ")


BAD = {
    "an unknown study": lambda home: ss.open_study("nothing", home=home),
    "an unknown model": lambda home: ss.load("models:/safr-nothing@knee", home=home),
    "a model that is no folder": lambda home: ss.load("nowhere", home=home),
    "an unknown space": lambda home: ss.search("planted", space="lamda", home=home),
    "no trials": lambda home: ss.search("planted", trials=0, home=home),
    "a time that is none": lambda home: ss.search("planted", time_budget="soon", home=home),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_are_the_packages_own(name: str, registered: Home) -> None:
    with pytest.raises(ss.SafrError) as caught:
        BAD[name](registered.root)
    assert ": " in str(caught.value)


def test_a_single_text_is_no_list_and_a_list_no_text(registered: Home) -> None:
    model = ss.load("models:/safr-planted@knee", home=registered.root)
    with pytest.raises(ss.BadInput, match="list of texts"):
        model.predict("good")
    with pytest.raises(ss.BadInput, match="one text"):
        model.explain(pd.Series(["good"]))  # type: ignore[arg-type]


def test_a_server_that_does_not_answer_is_said_to_be_one() -> None:
    with pytest.raises(ss.ServiceUnreachable, match="nothing answers"):
        ss.models(tracking_uri="http://127.0.0.1:9")
