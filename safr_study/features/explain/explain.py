"""Explain what one trained model makes of one text, and write it down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import torch

from safr_study.checkpoint.model_files import LoadedModel, load_model
from safr_study.data import MAX_TEXT, Text, each_text
from safr_study.errors import BadInput
from safr_study.evaluation.explanation import explain_text
from safr_study.features.explain.page import explanation_page
from safr_study.features.study_base.results import check_file, check_replaced
from safr_study.features.study_base.stores import Stores, model_folder
from safr_study.figures.explanation import explanation_figure, explanation_svgs, layers_figure
from safr_study.records.explanation import Explanation
from safr_study.training import computing

_SUFFIXES = {"html": (".html", ".htm"), "png": (".png",), "svg": (".svg",)}


def load(reference: str, stores: Stores) -> LoadedModel:
    """A model by its folder or its name in the registry, on the CPU, in float64.

    Args:
        reference: as in `model_folder`.
        stores: where the registry is.

    Raises:
        BadInput: there is no such model.
        CorruptCheckpoint: the model's files are not whole.
    """
    with model_folder(reference, stores) as folder:
        return load_model(folder, device=torch.device("cpu"), dtype=torch.float64)


def explain(
    loaded: LoadedModel,
    text: Text,
    *,
    reference: str,
    layer: str | None = None,
    all_layers: bool = False,
) -> Explanation:
    """The prediction for a text or a pair, and its words' numbers, as `explain_text` gives them.

    Raises:
        BadInput: the model has no such layer, or the text is no text.
    """
    for one in each_text([text]):
        try:
            one.encode()
        except UnicodeEncodeError:
            raise BadInput("text", "is not valid UTF-8; save or type it in that encoding") from None
        if len(one) > MAX_TEXT:
            raise BadInput("text", f"has {len(one):,} characters; give {MAX_TEXT:,} or less")
    with computing(loaded.config.threads):
        return explain_text(loaded, text, reference=reference, layer=layer, all_layers=all_layers)


def check_files(files: Mapping[str, Path], *, layers: bool, force: bool) -> None:
    """See that the files can be written, before anything is computed.

    Args:
        files: by kind: ``html``, ``png``, ``svg``.
        layers: whether the layers are drawn next to the pictures.
        force: whether they may replace others.

    Raises:
        BadInput: a suffix is another, a folder is not there, or a file is.
    """
    for kind, path in files.items():
        suffixes = _SUFFIXES[kind]
        check_file(kind, path, suffixes, f"does not end in {suffixes[0]}; rename it")
        check_replaced(kind, path, force=force)
        if layers and kind != "html":
            check_replaced(kind, _of_layers(path), force=force)


def write_files(explanation: Explanation, files: Mapping[str, Path]) -> list[Path]:
    """Write the page and the pictures; those of the layers go to ``NAME-layers`` next to them.

    A text without words has a page, but no picture.

    Args:
        explanation: what is shown.
        files: by kind: ``html``, the page; ``png`` and ``svg``, Figures 2a to 2c.

    Returns:
        What was written.

    Raises:
        BadInput: a file cannot be written; it does not stay.
    """
    written: list[Path] = []

    def write(kind: str, path: Path, draw: Callable[[Explanation, Path], object]) -> None:
        try:
            draw(explanation, path)
        except OSError as error:
            with suppress(OSError):
                path.unlink()
            why = error.strerror or error
            sentence = f"{path} cannot be written ({why}); choose another place"
            raise BadInput(kind, sentence) from error
        written.append(path)

    for kind, path in files.items():
        if kind == "html":
            write(kind, path, _write_page)
        elif explanation.words:
            write(kind, path, explanation_figure)
            if explanation.layers:
                write(kind, _of_layers(path), layers_figure)
    return written


def _of_layers(path: Path) -> Path:
    return path.with_stem(f"{path.stem}-layers")


def _write_page(explanation: Explanation, path: Path) -> None:
    page = explanation_page(explanation, explanation_svgs(explanation))
    path.write_text(page, encoding="utf-8")
