"""``explain``: what one model makes of one text, word by word."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safr_study.cli import options, output
from safr_study.cli.options import option
from safr_study.cli.progress import Reporter
from safr_study.errors import BadInput
from safr_study.features.study_base.stores import check_model, open_stores
from safr_study.render.text_table import TextTable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from safr_study.records.explanation import ExplainedWord, Explanation


_BAR = 20
"""Characters of the longest bar."""
_MOST_CLASSES = 6


def explain(
    model: options.Model,
    text: Annotated[str, typer.Argument(help="The text; - reads standard input.", metavar="TEXT")],
    second: Annotated[
        str | None, typer.Argument(help="For a model of pairs the second text.", metavar="SECOND")
    ] = None,
    html: Annotated[Path | None, option("Write one self-contained page.", dir_okay=False)] = None,
    png: Annotated[
        Path | None, option("Draw capacities, graph and interference.", dir_okay=False)
    ] = None,
    svg: Annotated[Path | None, option("The same as SVG.", dir_okay=False)] = None,
    layers: Annotated[
        bool, option("Every layer too, in NAME-layers.png or .svg.", "--layers")
    ] = False,
    layer: Annotated[
        str | None,
        option(
            "Where capacity is measured: embedding, vmask, attention, ffn1_pre, ffn1_post, ffn2 or "
            "block, of the last block or of block N with :N; else as in the model's study.",
            metavar="LAYER[:N]",
        ),
    ] = None,
    force: Annotated[bool, option("Replace files that are there.", "--force")] = False,
    top: Annotated[int, option("Rows of the table of words.", min=0)] = 10,
    json: options.Json = False,
    home: options.Home = None,
    tracking_uri: options.Tracking = None,
    storage: options.Storage = None,
) -> None:
    """Show which words a model gives neurons of their own: prediction and capacity per word.

    Examples:

      safr-study explain model "a gripping , funny film"

      safr-study explain models:/safr-sst2@knee "so slow" --html page.html --layers

      safr-study explain s1#7 "so slow"

      safr-study explain model - --png figure.png < review.txt

      safr-study explain models:/safr-rte@knee "A man sleeps." "Nobody sleeps."
    """
    stores = open_stores(home, tracking_uri=tracking_uri, storage=storage, reads=True)
    check_model(model, stores)
    with Reporter(output.err()) as progress:
        progress.doing(f"loading {model}")
        from safr_study.features.explain import explain as explaining
        from safr_study.records.explanation import explanation_to_plain

        wanted = (("html", html), ("png", png), ("svg", svg))
        files = {kind: path for kind, path in wanted if path is not None}
        explaining.check_files(files, layers=layers, force=force)
        given = _standard_input() if text == "-" else text
        loaded = explaining.load(model, stores)
        asked = given if second is None else (given, second)
        found = explaining.explain(loaded, asked, reference=model, layer=layer, all_layers=layers)
        written = explaining.write_files(found, files)
    if json:
        output.print_json(explanation_to_plain(found))
    else:
        _show(found, top)
    output.wrote(written)
    if not found.words and (png or svg):
        output.err().print("no picture was drawn: the text has no word")


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput("text", "standard input is not UTF-8; convert it first") from None


def _show(found: Explanation, top: int) -> None:
    console = output.out()
    console.print(f"prediction: {found.prediction} (probability {found.probability:.4f})")
    best = sorted(found.probabilities, key=lambda pair: -pair[1])
    others = ", ".join(f"{name} {value:.4f}" for name, value in best[1:_MOST_CLASSES])
    if others:
        more = len(best) - _MOST_CLASSES
        console.print(f"other classes: {others}{f' and {more} more' if more > 0 else ''}")
    if found.words:
        console.print()
        console.print(_coloured(found, console))
        console.print()
        console.print(_legend(found, console))
    if found.words and top:
        output.show(_top_table(found, top))
        if found.texts is not None and found.pairs_of_words:
            output.show(_links_table(found, top))
    for note in found.notes:
        console.print(f"note: {note}")
    source = found.source
    console.print(
        f"model {source.reference}, weights {source.sha256[:12]}, preset {source.preset}, "
        f"trained on {source.dataset}"
    )


def _coloured(found: Explanation, console: Console) -> Text:
    """The text as typed, each word on its tint, the top ones marked without colour as well."""
    from rich.text import Text

    from safr_study.render.format import tint

    largest = max(word.capacity for word in found.words)
    marked = Text()
    for word in found.words:
        plain = word.top and console.color_system is None
        style = _style(tint(word.capacity, largest), word.top, console)
        marked.append(word.shown_before).append(f"*{word.shown}*" if plain else word.shown, style)
    return marked.append(found.shown_after)


def _style(step: int, top: bool, console: Console) -> str:
    from safr_study.render.format import TINT_COLOURS

    style = "bold underline" if top else ""
    # Eight colours are no scale.
    if console.color_system in (None, "standard"):
        return style or "none"
    paper, ink = TINT_COLOURS[step]
    return f"{style} {ink} on {paper}".strip()


def _legend(found: Explanation, console: Console) -> Text:
    from rich.text import Text

    from safr_study.render.format import TINTS

    largest = max(word.capacity for word in found.words)
    legend = Text(f"capacity at {found.layer_title}")
    if console.color_system not in (None, "standard") and not console.no_color:
        legend.append(": 0 ")
        for step in range(TINTS):
            legend.append("  ", style=_style(step, False, console))
        legend.append(f" {largest:.2f}")
    else:
        legend.append(f", up to {largest:.2f}")
    mark = "*" if console.color_system is None else "bold and underlined"
    legend.append(f"; {mark}: the top 30 %, which SRS(30) deletes")
    return legend


def _side(found: Explanation, word: ExplainedWord) -> str:
    return "second" if found.is_second(word) else "first"


def _links_table(found: Explanation, top: int) -> TextTable:
    """The strongest links between the words of either text of a pair."""
    cosine = found.view.cosine
    return TextTable(
        "Links between the texts, by |cosine|",
        ("first text", "second text", ">cosine"),
        [
            (found.words[i].shown, found.words[j].shown, f"{cosine[i, j]:.3f}")
            for i, j in found.strongest(top)
        ],
    )


def _top_table(found: Explanation, top: int) -> TextTable:
    words = sorted(found.words, key=lambda word: word.rank)[:top]
    largest = max(word.capacity for word in words)
    gate = found.source.vmask
    rows = [
        (
            str(word.rank + 1),
            word.shown,
            *([_side(found, word)] if found.texts is not None else []),
            "█" * round(_BAR * word.capacity / (largest or 1.0)),
            f"{word.capacity:.3f}",
            *([f"{word.keep_probability:.3f}"] if word.keep_probability is not None else []),
            "" if word.known else "unknown",
        )
        for word in words
    ]
    return TextTable(
        f"The {len(words)} of {len(found.words)} words with the highest capacity"
        if len(words) < len(found.words)
        else "Words by capacity",
        (
            *(">rank", "word", *(["text"] if found.texts is not None else []), "", ">capacity"),
            *([">keep"] if gate else []),
            "note",
        ),
        rows,
    )
