from __future__ import annotations

import io
import json
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from registered import registered_home
from tiny_model import save_tiny_model

from safr_study.checkpoint.model_files import load_model
from safr_study.cli.app import main
from safr_study.data import encode_texts
from safr_study.evaluation.capacity import capacity

TEXT = "the film was good , and the bad film was unseen"
ANSI = re.compile(r"\x1b\[([0-9;]*)m")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``safr-study explain`` in this process: exit code, output, errors."""

    def called(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["safr-study", "explain", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return called


@pytest.fixture
def on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run it on a terminal of 80 columns, and return what it shows."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def called(*arguments: str, **environment: str) -> str:
        terminal = Terminal()
        for name, value in {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "COLUMNS": "80",
            **environment,
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "stdout", terminal)
        assert run(*arguments)[0] == 0
        return terminal.getvalue()

    return called


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(save_tiny_model(tmp_path / "model"))


def test_the_json_holds_the_capacities_of_the_evaluation(run: Run, model: str) -> None:
    code, out, _ = run(model, TEXT, "--json")
    assert code == 0
    found = json.loads(out)
    loaded = load_model(Path(model))
    tokens, *_ = encode_texts([TEXT], loaded.vocabulary, loaded.max_len)
    with torch.inference_mode():
        rows = loaded.model(torch.from_numpy(tokens.astype(np.int64))[None]).ffn1_pre_relu[-1]
    expected = capacity(rows, torch.ones(rows.shape[:2], dtype=torch.bool))[0]
    shown = [word["capacity"] for word in found["words"]]
    np.testing.assert_allclose(shown, expected.numpy(), rtol=1e-6)
    assert [word["text"] for word in found["words"]] == TEXT.split()
    assert found["layer"] == "ffn1_pre"
    assert len(found["pairs"]["interference"]) == 11
    assert found["layers"] == []


def test_the_layer_and_all_layers_can_be_asked_for(run: Run, tmp_path: Path) -> None:
    model = str(save_tiny_model(tmp_path / "deep", layers=3))
    found = json.loads(run(model, TEXT, "--json", "--layers", "--layer", "block")[1])
    assert (found["layer"], found["block"]) == ("block", 2)
    assert len(found["layers"]) == 2 + 3 * 5
    first = json.loads(run(model, TEXT, "--json", "--layer", "block:1")[1])
    assert (first["layer"], first["block"]) == ("block", 0)
    (whole,) = (v for v in found["layers"] if (v["layer"], v["block"]) == ("block", 0))
    assert [word["capacity"] for word in first["words"]] == whole["capacity"]


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        ("ffn1_pre:4", "layer: there is no block 4: the model has 3 blocks; give one of 1-3"),
        ("ffn1_per", "is no layer; give one of embedding, .*; did you mean ffn1_pre"),
        ("ffn1_pre:0", "'ffn1_pre:0' is no layer"),
        ("embedding:1", "embedding lies before the blocks; give it without a block"),
    ],
)
def test_a_layer_that_is_not_there_is_a_sentence(
    run: Run, tmp_path: Path, layer: str, sentence: str
) -> None:
    model = str(save_tiny_model(tmp_path / "deep", layers=3))
    code, _, err = run(model, TEXT, "--layer", layer)
    assert code == 2
    assert re.search(sentence, err.replace("\n", " "))


def test_a_pipe_gets_plain_text_with_the_top_words_starred(run: Run, model: str) -> None:
    code, out, err = run(model, TEXT)
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    words = json.loads(run(model, TEXT, "--json")[1])["words"]
    line = " ".join(f"*{w['text']}*" if w["top"] else w["text"] for w in words)
    assert line in out
    assert "*: the top 30 %" in out
    assert max(map(len, out.splitlines())) <= 110
    best = min(words, key=lambda word: word["rank"])
    row = next(line for line in out.splitlines() if line.strip().startswith("1 "))
    assert row.split()[1] == best["text"]
    assert "█" * 20 in row
    assert f"{best['capacity']:.3f}" in row
    assert f"{best['keep_probability']:.3f}" in row
    assert "1 word is not in the model's vocabulary" in out
    assert "unknown" in out


def test_a_terminal_gets_tints_and_underlines(
    on_a_terminal: Callable[..., str], model: str
) -> None:
    shown = on_a_terminal(model, TEXT)
    plain = ANSI.sub("", shown)
    assert TEXT in plain
    assert max(map(len, plain.splitlines())) <= 80
    codes = set(ANSI.findall(shown))
    tints = {code for code in codes if ";48;2;" in code}
    assert len(tints) >= 4
    underlined = [
        text
        for code, text in re.findall(r"\x1b\[([0-9;]*)m([^\x1b]+)\x1b\[0m", shown)
        if code.startswith("1;4;")
    ]
    assert len(underlined) == 3


def test_no_color_leaves_the_underlines(on_a_terminal: Callable[..., str], model: str) -> None:
    shown = on_a_terminal(model, TEXT, NO_COLOR="1")
    codes = ANSI.findall(shown)
    assert "1;4" in codes
    assert not any(code.startswith(("38", "48")) or ";48;" in code for code in codes)
    assert "bold and underlined: the top 30 %" in ANSI.sub("", shown)


def test_a_dumb_terminal_gets_stars(on_a_terminal: Callable[..., str], model: str) -> None:
    shown = on_a_terminal(model, TEXT, TERM="dumb", COLORTERM="")
    assert "\x1b" not in shown
    assert shown.count("*") >= 6


def test_it_writes_page_and_pictures(run: Run, model: str, tmp_path: Path) -> None:
    files = ("--html", "page.html", "--png", "page.png", "--svg", "page.svg")
    code, out, err = run(model, TEXT, *files, "--layers", "--json")
    assert code == 0
    assert json.loads(out)["prediction"] in ("bad", "fair", "good")
    written = ["page.html", "page.png", "page-layers.png", "page.svg", "page-layers.svg"]
    assert err.split() == [word for name in written for word in ("wrote", name)]
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "page-layers.png").read_bytes().startswith(b"\x89PNG")
    for name in ("page.svg", "page-layers.svg"):
        ET.fromstring((tmp_path / name).read_text(encoding="utf-8"))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "unseen" in page


def test_standard_input_is_read(run: Run, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def given(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    given(b"\xef\xbb\xbfgood\r\nfilm\n")
    found = json.loads(run(model, "-", "--json")[1])
    assert [(word["text"], word["known"]) for word in found["words"]] == [
        ("good", True),
        ("film", True),
    ]
    given(b"caf\xe9")
    code, out, err = run(model, "-")
    assert (code, out) == (2, "")
    assert err == "error: text: standard input is not UTF-8; convert it first\n"


def test_an_empty_text_has_a_prediction_and_no_picture(
    run: Run, model: str, tmp_path: Path
) -> None:
    code, out, err = run(model, "  ", "--png", "page.png", "--html", "page.html")
    assert code == 0
    assert out.startswith("prediction: ")
    assert "note: The text has no word: the bias of the classifier alone decides." in out
    assert "no picture was drawn: the text has no word" in err
    assert not (tmp_path / "page.png").exists()
    assert "<svg" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_long_text_stays_readable(run: Run, tmp_path: Path) -> None:
    model = str(save_tiny_model(tmp_path / "long", max_len=400))
    text = " ".join(f"word{n}" for n in range(300))
    code, out, _ = run(model, text, "--top", "3", "--svg", "page.svg")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 110
    assert "word299" in out
    assert "The 3 of 300 words with the highest capacity" in out
    assert "No word is in the model's vocabulary" in out
    drawn = (tmp_path / "page.svg").read_text(encoding="utf-8")
    assert drawn.count('<g id="node-word-') == 40
    code, out, _ = run(str(save_tiny_model(tmp_path / "model")), text, "--top", "0")
    assert "Only the first 16 of 300 words were read" in out
    assert "█" not in out


def test_markup_of_the_terminal_is_text(run: Run, model: str) -> None:
    text = "[bold]good[/bold] :smile: [link=x]y \x1b[31mred 😀 שלום $5"
    code, out, _ = run(model, text)
    assert code == 0
    assert "\x1b" not in out
    for word in ("[bold]good[/bold]", ":smile:", "[link=x]y", "␛[31mred", "😀", "שלום", "$5"):
        assert word in out


def test_without_vmask_there_is_no_column_for_it(run: Run, tmp_path: Path) -> None:
    model = str(save_tiny_model(tmp_path / "plain", vmask=False))
    code, out, _ = run(model, TEXT)
    assert code == 0
    assert "keep " not in out
    assert "note: The model has no VMASK" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "x"], "model: 'nowhere' is no folder"),
        (["{model}", "x", "--png", "page.jpg"], "png: page.jpg does not end in .png"),
        (["{model}", "x", "--svg", "page.png"], "svg: page.png does not end in .svg"),
        (["{model}", "x", "--html", "no/page.html"], "html: no is no folder"),
        (["{model}", "x", "--layer", "ffn3"], "layer: 'ffn3' is no layer"),
        (["{model}", "x", "--top", "-1"], "--top"),
        (["{model}", "\udcff"], "is not UTF-8"),
        (["{model}"], "TEXT"),
    ],
)
def test_bad_input_is_one_sentence(run: Run, model: str, arguments: list[str], said: str) -> None:
    code, out, err = run(*(argument.format(model=model) for argument in arguments))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_its_help_shows_examples(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "safr-study explain model" in out


@pytest.mark.parametrize("more", [(), ("--json",), ("--png", "a.png")])
def test_an_output_that_is_not_utf_8_takes_whatever_letters_there_are(
    run: Run, model: str, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding="ascii"))
    assert run(model, "a café 电影", *more)[0] == 0
    sys.stdout.flush()
    out = content.getvalue().decode("ascii")
    if "--json" in more:
        assert json.loads(out)["text"] == "a café 电影"
    else:
        assert "*a* caf? ??" in out
        assert "capacity" in out


def test_letters_without_a_font_are_said_once(run: Run, model: str, tmp_path: Path) -> None:
    code, _, error = run(model, "a \ue0b9 film", "--png", "a.png")
    assert code == 0
    (line,) = [line for line in error.splitlines() if line.startswith("warning: ")]
    assert line.startswith("warning: a.png has boxes in the place of ")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_folder_with_the_signs_of_a_registry_is_a_folder(run: Run, tmp_path: Path) -> None:
    for name in ("out@1", "safr-x@knee", "a/1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_tiny_model(tmp_path / name)
        code, out, error = run(name, "a film")
        assert (code, error) == (0, "")
        assert f"model {name}, " in out


def test_a_version_is_named_as_pull_takes_it(run: Run, tmp_path: Path) -> None:
    home = ("--home", str(registered_home(tmp_path).root))
    found = [
        json.loads(run(f"{scheme}safr-planted{which}", "a film", "--json", *home)[1])
        for scheme in ("models:/", "")
        for which in ("/1", "@knee")
    ]
    assert len({one["model"]["sha256"] for one in found}) == 1
    code, _, error = run("safr-planted/9", "a film", *home)
    assert (code, error.count("\n")) == (2, 1)
    assert "safr-planted has no '/9'; there is" in error
