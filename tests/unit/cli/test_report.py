"""``report`` and ``compare`` as a user calls them, on studies in ledgers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from html_page import ReadPage
from reported_study import FRONT, VALUES, varied_study

from safr_study.home import Home, open_home

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Studies s and t over the same data and objectives, u over other objectives."""
    home = open_home(tmp_path_factory.mktemp("cli") / "home")
    varied_study(home)
    varied_study(home, "t", seed=3)
    other = [{"name": "accuracy"}, {"name": "contrast@30"}]
    varied_study(home, "u", objectives=other)
    return home


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(made: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFR_STUDY_HOME", str(made.root))
    monkeypatch.chdir(tmp_path)


def test_a_report_is_made_also_where_the_data_and_the_models_are_gone(
    run: Run, tmp_path: Path
) -> None:
    code, out, err = run("report", "s", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    page = (tmp_path / "s-report.html").read_bytes()
    assert told["written"] == "s-report.html"
    assert told["bytes"] == len(page)
    assert set(told["front"]) == FRONT
    assert told["trials"] == 11
    (missing,) = told["missing"]
    assert "data have changed" in missing
    assert missing in ReadPage(page.decode()).text
    assert [path.name for path in tmp_path.iterdir()] == ["s-report.html"]


def test_a_quick_report_says_where_it_is_and_how_it_is_made_again(run: Run, tmp_path: Path) -> None:
    code, out, err = run("report", "s", "--quick", "--with", "t", "--out", "r.html")
    assert (code, err) == (0, "")
    assert out.startswith("wrote r.html (")
    page = ReadPage((tmp_path / "r.html").read_text("utf-8"))
    assert page.data["report_command"] == "safr-study report s --out r.html --with t --quick"
    assert [one["study"] for one in page.data["comparison"]["studies"]] == ["s", "t"]
    assert "fronts" in page.charts
    assert page.data["examples"]["texts"] == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["report", "none"], "error: study: 'none' is unknown here"),
        (["report", "s", "--quick", "--causes"], "error: causes: needs the models, which --quick"),
        (["report", "s", "--out", "r.txt"], "error: out: r.txt is no page; end it in .html"),
        (["report", "s", "--out", "no/r.html"], "error: out: no is no folder; make it first"),
        (["report", "s", "--quick", "--with", "u"], "error: study: 'u' has the objectives"),
        (["compare", "s"], "error: study: a comparison needs two studies"),
        (["compare", "s", "s"], "error: study: 's' is given twice"),
        (["compare", "s", "u"], "error: study: 'u' has the objectives accuracy, contrast@30"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    run: Run, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(sentence)
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_compare_shows_writes_and_tells_the_same(run: Run, tmp_path: Path) -> None:
    code, out, err = run("compare", "s", "t", "--out", "figures")
    assert code == 0
    names = [f"compare-s-t.{kind}" for kind in ("png", "svg", "csv")]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(names)
    assert all(name in err for name in names)
    told = json.loads(run("compare", "s", "t", "--json")[1])
    for study in told["studies"]:
        assert f"{study['hypervolume']:.1f}" in out
        assert set(study["joint"]) == set(study["front"]) == FRONT
        assert study["exclusive"] == 0
    assert [one["setting"] for one in told["differences"]] == ["seed"]
    rows = (tmp_path / "figures" / names[2]).read_text("utf-8").splitlines()
    assert len(rows) == 1 + 2 * len(VALUES)


def test_the_tables_of_compare_fit_80_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from safr_study.cli import output

    monkeypatch.setattr(output, "_width", lambda _: 80)
    code, out, _ = run("compare", "s", "t")
    assert code == 0
    tables, _, sentences = out.partition("All hypervolumes")
    assert max(map(len, tables.splitlines())) <= 80
    assert "…" not in out
    assert "imp=" in tables
    assert "one reference point" in sentences
