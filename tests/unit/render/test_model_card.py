from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from run_results import run_result
from synthetic_study import complete_trial
from tiny_model import save_tiny_model

from safr_study.checkpoint.model_files import LoadedModel, load_model
from safr_study.records import Replicate, TrialRecord
from safr_study.render.model_card import ModelCard, shortened
from safr_study.settings import Objective
from safr_study.uncertainty.confirmation import ConfirmedTrial, Estimate
from safr_study.uncertainty.intervals import Interval

OBJECTIVES = (Objective(name="accuracy"), Objective(name="srs@30"))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(save_tiny_model(tmp_path_factory.mktemp("card") / "model"))


def test_it_has_numbers_with_intervals_limits_data_and_the_citation(loaded: LoadedModel) -> None:
    card = ModelCard("safr-planted", "s1", complete_trial(4, 80.504, 12.25), OBJECTIVES).markdown(
        loaded
    )
    headings = [line for line in card.splitlines() if line.startswith("#")]
    assert headings == [
        "# safr-planted: imp=0.0167",
        *(f"## {name}" for name in ("Use", "Numbers", "Limits", "Data", "Training")),
        "## How to cite",
    ]
    # 80.504 -+ 1.96 * 2.125 and 12.25 -+ 1.96 * 1.75
    assert "| accuracy | 80.50 | 76.34 to 84.67 | points | higher |" in card
    assert "| SRS(30) | 12.25 | 8.82 to 15.68 | points | higher |" in card
    assert "too good" in card
    for fact in ("200 dev texts", "51.50 %", "`planted`", loaded.ref.sha256, "0" * 64):
        assert fact in card
    assert "arxiv.org/abs/2501.16374" in card
    assert "bad, fair, good" in card


def plain_card(loaded: LoadedModel, trial: TrialRecord | None = None) -> str:
    trial = trial or complete_trial(4, 80.504, 12.25)
    return ModelCard("safr-planted", "s1", trial, OBJECTIVES).markdown(loaded)


def interval(mean: float, low: float, high: float) -> Interval:
    return Interval(mean, low, high, "student-t", ())


def test_a_confirmed_model_shows_the_means_over_new_seeds_first(loaded: LoadedModel) -> None:
    trial = complete_trial(4, 80.504, 12.25)
    runs = tuple(run_result(Replicate(seed, (79.0, 11.0))) for seed in range(5))
    dev = (Estimate(79.0, interval(79.0, 77.5, 80.5)), Estimate(11.0))
    test = (Estimate(None), Estimate(11.0, interval(11.0, 9.0, 13.0)))
    confirmed = ConfirmedTrial(trial, runs, True, dev, test)
    card = ModelCard("safr-planted", "s1", trial, OBJECTIVES, confirmed).markdown(loaded)
    assert "Means over 5 seeds that the search did not use" in card
    assert "| SRS(30) | test | 11.00 | 9.00 to 13.00 | points |" in card
    assert card.index("77.50 to 80.50") < card.index("76.34 to 84.67")
    assert "too good" not in card


def test_seeds_of_the_search_give_an_interval_over_them(loaded: LoadedModel) -> None:
    trial = complete_trial(4, 80.0, 10.0)
    trial = replace(trial, replicates=(Replicate(0, (79.0, 9.0)), Replicate(1, (81.0, 11.0))))
    card = plain_card(loaded, trial)
    # t(0.975, 1) * sqrt(2) / sqrt(2) = 12.7062
    assert "| accuracy | dev | 80.00 | 67.29 to 92.71 | points |" in card


def test_a_collapsed_model_is_said_to_be_one(loaded: LoadedModel) -> None:
    card = ModelCard(
        "m", "s1", complete_trial(4, 80.5, 12.25, saturated=True), OBJECTIVES
    ).markdown(loaded)
    assert "- Saturated" in card
    assert "SRS(30) (saturated)" in card


def test_it_is_cut_at_a_section_and_says_where_the_rest_is(loaded: LoadedModel) -> None:
    card = ModelCard("safr-planted", "s1", complete_trial(4, 80.504, 12.25), OBJECTIVES).markdown(
        loaded
    )
    assert shortened(card, len(card)) == card
    cut = shortened(card, len(card) - 1)
    assert len(cut) <= len(card) - 1
    assert card.startswith(cut[: cut.index("\nThe whole card is README.md")])
    assert "## How to cite" not in cut
    assert len(shortened(card, 120)) <= 120


def test_its_table_is_the_reading_of_a_file(tmp_path: Path) -> None:
    """A card needs nothing but the checkpoint and the trial."""
    folder = save_tiny_model(tmp_path / "model", vmask=False, preset="reference", layers=2)
    trial = complete_trial(0, 80.5, 12.25, baseline="no-vmask")
    card = ModelCard("m", "s1", trial, OBJECTIVES).markdown(load_model(folder))
    assert card.startswith("# m: no-vmask\n")
    assert "2 Transformer blocks, without a VMASK word mask" in card
    assert "Preset `reference`" in card


HOSTILE = (
    "<img src=x onerror=alert(1)>", "[a](javascript:alert(1))", "a|b*c*d", "&lt;b&gt;", "`x`",
    "~~gone~~", "![a](http://x.example/a.png)",
)  # fmt: skip


def test_labels_and_names_of_others_are_text_and_no_markup(loaded: LoadedModel) -> None:
    corpus = loaded.corpus.model_copy(update={"dataset": "my `data`/<b>.csv"})
    hostile = loaded.model_copy(update={"class_names": HOSTILE, "corpus": corpus})
    trial = replace(complete_trial(4, 80.5, 12.25), parameters={"a`b": "<i>x</i>"})
    kinds, text = read_as_markdown(plain_card(hostile, trial))
    assert kinds.isdisjoint({"html_block", "html_inline", "link_open", "image", "em_open"}), kinds
    assert [
        name for name in (*HOSTILE, corpus.dataset, "a`b", "<i>x</i>") if name not in text
    ] == []
    # The control: the words themselves would be markup.
    kinds, _ = read_as_markdown(" ".join(HOSTILE))
    assert kinds >= {"html_inline", "image", "em_open"}


def read_as_markdown(page: str) -> tuple[set[str], str]:
    """What is in a page, and its text, as a reader of Markdown shows it."""
    lines = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(page)
    tokens = [token for line in lines for token in (line, *(line.children or ()))]
    texts = [one.content for one in tokens if one.type in ("text", "code_inline", "text_special")]
    return {token.type for token in tokens}, "".join(texts)
