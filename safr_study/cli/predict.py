"""``predict`` and ``serve``: one model at work on a file, or behind HTTP."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safr_study.cli import options, output
from safr_study.cli.options import option
from safr_study.cli.progress import Reporter
from safr_study.errors import StudyInterrupted
from safr_study.features.study_base.stores import check_model, open_stores
from safr_study.text import duration, plural

if TYPE_CHECKING:
    from safr_study.features.predict.predict import Predicted


def predict(
    model: options.Model,
    file: Annotated[
        str,
        typer.Argument(
            help="CSV, TSV, JSON, JSON lines or Parquet; - reads one text a line.", metavar="FILE"
        ),
    ],
    out: Annotated[Path, option("Write the rows to FILE.csv, .jsonl or .parquet.")],
    text_column: options.TextColumn = None,
    words: Annotated[
        int, option("Top words of each text, with their capacity; 0: none.", min=0)
    ] = 5,
    force: Annotated[bool, option("Replace the file of --out.", "--force")] = False,
    json: options.Json = False,
    home: options.Home = None,
    tracking_uri: options.Tracking = None,
    storage: options.Storage = None,
) -> None:
    """Predict every text of a file: label, probabilities, top words with their capacity.

    One row for each, in the order of the file, whatever its size. The numbers are those that
    explain, serve and Python give for the text alone, to the last digit shown.

    Examples:

      safr-study predict model reviews.csv --text-column review --out predictions.csv

      safr-study predict models:/safr-sst2@knee texts.parquet --out predictions.parquet --words 0

      cat texts.txt | safr-study predict model - --out predictions.jsonl
    """
    stores = open_stores(home, tracking_uri=tracking_uri, storage=storage, reads=True)
    check_model(model, stores)
    try:
        with Reporter(output.err()) as progress:
            progress.doing(f"loading {model}")
            from safr_study.features.predict.predict import predict_file

            found = predict_file(
                model,
                file,
                out,
                stores,
                text_columns=text_column,
                words=words,
                force=force,
                on_chunk=lambda so_far: progress.doing(_progress(so_far), lines=True),
            )
    except KeyboardInterrupt:
        raise StudyInterrupted(
            "interrupted: nothing was written; the same command begins again"
        ) from None
    if json:
        output.print_json(found)
    else:
        output.say(*_sentences(found))
    output.wrote([out])


def serve(
    model: options.Model,
    port: Annotated[int, option("Port on 127.0.0.1.", min=1)] = 5001,
    json: options.Json = False,
    home: options.Home = None,
    tracking_uri: options.Tracking = None,
    storage: options.Storage = None,
) -> None:
    """Answer over HTTP, on this machine alone, with MLflow's scoring server; Ctrl-C ends it.

    When it answers, the line that asks it is shown.

    Examples:

      safr-study serve model

      safr-study serve models:/safr-sst2@knee --port 5002
    """
    stores = open_stores(home, tracking_uri=tracking_uri, storage=storage, reads=True)
    check_model(model, stores)
    output.hint(f"starting a server with {model}")
    from safr_study.features.serve import serve as run

    def ready(url: str, request: str) -> None:
        if json:
            output.print_json({"model": model, "url": url, "ping": f"{url}/ping", "ask": request})
        else:
            output.say(request)
        sys.stdout.flush()
        output.hint(f"{model} is at {url} (Ctrl-C ends it)")

    # Ctrl-C is how it is meant to end.
    with contextlib.suppress(KeyboardInterrupt):
        run(model, stores, port, ready)


def _progress(found: Predicted) -> str:
    speed = found.rows / max(found.seconds, 1e-9)
    return f"{found.rows:,} rows predicted, {speed:,.0f} a second"


def _sentences(found: Predicted) -> list[str]:
    # A name of digits would look like a number.
    classes = ", ".join(f"{count:,} of class {name!r}" for name, count in found.labels.items())
    notes = [f"{found.unknown_percent:.1f} % of the words are unknown to the model"]
    if found.empty:
        notes.append(f"{plural(found.empty, 'text')} without a word")
    if found.cut:
        notes.append(f"{plural(found.cut, 'text')} cut to {found.max_len} words")
    return [
        f"{plural(found.rows, 'row')} in {duration(found.seconds)}: {classes}",
        "; ".join(notes),
    ]
