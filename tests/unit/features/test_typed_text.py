"""A text as people type it, by every way that leads to a model: no word of it is unknown."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_model import save_tiny_model

import safr_study as ss
from safr_study.data import WordSplitter
from safr_study.features.predict.predict import predict_file
from safr_study.features.study_base.stores import open_stores
from safr_study.settings import CorpusSpec
from safr_study.tracking.served import ServedModel

WORDS = ("a", "gripping", ",", "funny", "film", ".", '"', "(", ")", "👍🏽", "фильм", "电", "影")
TYPED = (
    "A gripping, funny film.",
    "“A  GRIPPING”,\n Funny FILM.",
    "(a film)\t👍🏽 Фильм, ФИЛЬМ 电影.",
)
SPEC = CorpusSpec(dataset="x.csv", tokenizer="words", lowercase=True)


class _Shown(HTMLParser):
    """What a browser shows of the one paragraph that keeps white space."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        words = (given.get("class") or "").split()
        if tag == "p" and ("text" in words or "pre-wrap" in (given.get("style") or "")):
            self._inside = True
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside &= tag != "p"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1] += data


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("typed") / "model"
    return save_tiny_model(folder, spec=SPEC, words=("<pad>", "<unk>", *WORDS), max_len=32)


def test_no_way_to_a_model_finds_an_unknown_word(model: Path, tmp_path: Path) -> None:
    opened = ss.load(model)
    served = ServedModel()
    served.load_context(SimpleNamespace(artifacts={"checkpoint": str(model)}))  # type: ignore[arg-type]
    for text, answer in zip(TYPED, served.predict(list(TYPED)), strict=True):
        explained = opened.explain(text)
        expected = WordSplitter.of(SPEC).words(text)
        assert set(expected) <= set(WORDS)
        assert len(explained.words) == len(answer.words) == len(expected)
        assert explained.words["known"].all()
        assert all(word.known for word in answer.words)
        assert "".join(explained.words["word"]) == "".join(text.split())
        assert answer.probabilities == explained.probabilities
    rows = "".join(json.dumps({"text": text}) + "\n" for text in TYPED)
    (tmp_path / "t.jsonl").write_text(rows, "utf-8")
    stores = open_stores(tmp_path / "home")
    found = predict_file(str(model), str(tmp_path / "t.jsonl"), tmp_path / "o.csv", stores)
    assert (found.rows, found.unknown_percent) == (len(TYPED), 0.0)
    # Negative control: a word that the model lacks is counted.
    assert not opened.explain("A gripping zebra.").words["known"].all()


def test_a_page_and_a_notebook_show_the_text_as_typed(model: Path, tmp_path: Path) -> None:
    opened = ss.load(model)
    for place, text in enumerate(TYPED):
        explained = opened.explain(text)
        (page,) = explained.write(tmp_path / f"{place}.html")
        assert _Shown(page.read_text("utf-8")).found == [text]
        assert _Shown(explained._repr_html_()).found == [text]


def test_nothing_that_is_drawn_parts_a_word_from_its_comma(model: Path) -> None:
    """A tint with room at its sides looks like a space that nobody typed."""
    assets = resources.files("safr_study.render") / "assets"
    rules = "".join((assets / f"{name}.css").read_text("utf-8") for name in ("base", "study"))
    found = re.findall(r"([^{}]*\.w) *\{([^}]*)\}", rules)
    assert len(found) >= 3
    for selector, style in found:
        if ".legend" not in selector:
            assert not re.search(r"margin|padding-|padding: *\S+ +(?!0)", style), selector
    cell = ss.load(model).explain(TYPED[0])._repr_html_()
    assert not re.search(r"margin|padding-|padding: *[\d.]+em +(?!0)", cell)
