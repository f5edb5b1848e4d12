"""The ``safr-study`` command: its sub-commands, and how every error becomes one sentence."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

import safr_study
from safr_study.cli import (
    browse,
    clean,
    confirm,
    doctor,
    evaluate,
    explain,
    hand_on,
    models,
    output,
    predict,
    reproduce,
    results,
    search,
    status,
    submit,
)
from safr_study.errors import BadInput, BadInputs, SafrError, StudyInterrupted, one_line
from safr_study.loopback import spare_loopback
from safr_study.redaction import redacted
from safr_study.text import first_line

app = typer.Typer(
    name="safr-study",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("search")(search.search)
app.command("pareto")(results.pareto)
app.command("report")(results.report)
app.command("compare")(results.compare)
app.command("list")(status.list_studies)
app.command("submit", context_settings=submit.PASS_THROUGH)(submit.submit)
app.command("status")(status.status)
app.command("stop")(status.stop)
app.command("sync")(models.sync)
app.command("clean")(clean.clean)
app.command("export")(hand_on.export)
app.command("import")(hand_on.import_study)
app.command("confirm")(confirm.confirm)
app.command("models")(models.list_models)
app.command("promote")(models.promote)
app.command("pull")(models.pull)
app.command("evaluate")(evaluate.evaluate)
app.command("explain")(explain.explain)
app.command("predict")(predict.predict)
app.command("serve")(predict.serve)
app.command("reproduce")(reproduce.reproduce)
app.command("datasets")(browse.datasets)
app.command("spaces")(browse.spaces)
app.command("metrics")(browse.metrics)
app.command("doctor")(doctor.doctor)
app.command("ui")(browse.ui)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"safr-study {safr_study.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress and no hints, whatever the command.")
    ] = False,
) -> None:
    """Find settings of SAFR text classifiers that are accurate and interpretable at once.

    [bold]First steps[/bold]

      safr-study search --dataset planted --space smoke --trials 6 --epochs 4

      safr-study search --dataset imdb

    Exit codes: 0 done; 2 wrong use or bad input; 3 fewer good trials than asked; 4 a service could
    not be reached; 130 interrupted (the same command goes on).
    """
    del version
    if quiet:
        output.silence()


def main() -> None:
    """Run the command line and exit with its code; no traceback reaches a user."""
    # A terminated study ends as by Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    output.forgiving()
    spare_loopback()
    try:
        _check_words(sys.argv[1:])
        with output.notices():
            code = app(standalone_mode=False)
        if code == StudyInterrupted.exit_code:
            # Typer turns Ctrl-C into this code.
            raise KeyboardInterrupt
    except SafrError as error:
        for fault in error.faults if isinstance(error, BadInputs) else (error,):
            _complain(str(fault))
        code = error.exit_code
    except typer.TyperException as error:
        text = error.format_message().replace("Value error, ", "")
        if text:
            _complain(f"command line: {text}{_of_a_dash(text, sys.argv[1:])}")
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted; the same command goes on with what is unfinished")
        code = StudyInterrupted.exit_code
    except BrokenPipeError:
        # The reader of our output went away (``| head``): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        # A full disk or a missing right, wherever it struck.
        _complain(f"{error.filename or 'file system'}: {error.strerror or error}; free or fix it")
        code = 2
    except Exception as error:
        code = _report(error)
    sys.exit(code if isinstance(code, int) else 0)


def _report(error: Exception) -> int:
    """Keep the trace of a fault of ours in a file, and say so."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="safr-study-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(redacted(traceback.format_exc()))
    _complain(
        f"safr-study itself failed ({type(error).__name__}: {first_line(error)}); please "
        f"report it with {file.name}"
    )
    return 1


def _of_a_dash(problem: str, words: Sequence[str]) -> str:
    """The end of a sentence about an unknown option that seems to be a text."""
    texts = (word for word in words if word[:1] == "-" and (" " in word or word[1:2].isdigit()))
    text = next(texts, None)
    if text is None or "--" in words or not problem.startswith("No such option"):
        return ""
    return f"; a text that begins with - comes after --, as in: -- {shlex.quote(text)}"


def _check_words(words: Sequence[str]) -> None:
    """Names go into ledgers, runs and tables, which are UTF-8."""
    for word in words:
        if not word.isascii() and word != word.encode(errors="replace").decode():
            raise BadInput("command line", f"{word!r} is not UTF-8; rename it, or convert the text")


def _complain(sentence: str) -> None:
    typer.echo(f"error: {one_line(redacted(sentence))}", err=True)
