"""Explain what one trained model makes of one text, and write it down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from safr_study.checkpoint.model_files import LoadedModel, load_model
from safr_study.data import MAX_TEXT
from safr_study.errors import BadInput
from safr_study.evaluation.explanation import explain_text
from safr_study.features.explain.page import explanation_page
from safr_study.features.study_base.stores import Stores, model_folder
from safr_study.figures.explanation import explanation_figure, explanation_svgs, layers_figure
from safr_study.records.explanation import Explanation
from safr_study.training import computing

_SUFFIXES = {"html": (".html", ".htm"), "png": (".png",), "svg": (".svg",)}


def explain(
    reference: str,
    text: str,
    stores: Stores,
    *,
    layer: str | None = None,
    all_layers: bool = False,
) -> Explanation:
    """The prediction for a text, and its words' numbers; on the CPU.

    Args:
        reference: a model's folder, or ``NAME@alias`` or ``models:/NAME@alias`` in the registry.
        text: may be empty.
        stores: where the registry is.
        layer: one of ``settings.LAYERS``, of the last block; ``None``: the model's own setting.
        all_layers: whether to measure the others too.

    Raises:
        BadInput: there is no such model or layer, or the text is no text.
        CorruptCheckpoint: the model's files are not whole.
    """
    return explain_loaded(
        load(reference, stores), text, reference=reference, layer=layer, all_layers=all_layers
    )


def load(reference: str, stores: Stores) -> LoadedModel:
    """A model by its folder or its name in the registry, on the CPU.

    Raises:
        BadInput: there is no such model.
        CorruptCheckpoint: the model's files are not whole.
    """
    with model_folder(reference, stores) as folder:
        return load_model(folder, device=torch.device("cpu"))


def explain_loaded(
    loaded: LoadedModel,
    text: str,
    *,
    reference: str,
    layer: str | None = None,
    all_layers: bool = False,
) -> Explanation:
    """Explain a text as `explain` does, with a model that is loaded already."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInput("text", "is not valid UTF-8; save or type it in that encoding") from None
    if len(text) > MAX_TEXT:
        raise BadInput("text", f"has {len(text):,} characters; give {MAX_TEXT:,} or less")
    with computing(loaded.config.threads):
        return explain_text(loaded, text, reference=reference, layer=layer, all_layers=all_layers)


def check_files(
    *, html: Path | None = None, png: Path | None = None, svg: Path | None = None
) -> None:
    """See that the files can be written, before anything is computed.

    Raises:
        BadInput: a suffix is another, or a folder is not there.
    """
    for kind, path in (("html", html), ("png", png), ("svg", svg)):
        if path is None:
            continue
        if path.suffix.lower() not in _SUFFIXES[kind]:
            raise BadInput(kind, f"{path.name} does not end in {_SUFFIXES[kind][0]}; rename it")
        if not path.absolute().parent.is_dir():
            raise BadInput(kind, f"{path.parent} is no folder; make it first")


def write_files(
    explanation: Explanation,
    *,
    html: Path | None = None,
    png: Path | None = None,
    svg: Path | None = None,
) -> list[Path]:
    """Write the page and the pictures; those of the layers go to ``NAME-layers`` next to them.

    A text without words has a page, but no picture.

    Args:
        explanation: what is shown.
        html: the page.
        png: Figures 2a to 2c.
        svg: the same.

    Returns:
        What was written.

    Raises:
        BadInput: a file cannot be written.
    """
    written: list[Path] = []
    if html is not None:
        page = explanation_page(explanation, explanation_svgs(explanation))
        with _whole("html", html):
            html.write_text(page, encoding="utf-8")
        written.append(html)
    if not explanation.words:
        return written
    for kind, path in (("png", png), ("svg", svg)):
        if path is not None:
            with _whole(kind, path):
                explanation_figure(explanation, path)
            written.append(path)
            if explanation.layers:
                layers = path.with_stem(f"{path.stem}-layers")
                with _whole(kind, layers):
                    layers_figure(explanation, layers)
                written.append(layers)
    return written


@contextmanager
def _whole(kind: str, path: Path) -> Iterator[None]:
    """A file that cannot be written to its end does not stay."""
    try:
        yield
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        why = error.strerror or error
        raise BadInput(kind, f"{path} cannot be written ({why}); choose another place") from error
