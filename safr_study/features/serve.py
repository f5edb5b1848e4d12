"""Serve one model over HTTP on this machine alone."""

from __future__ import annotations

from collections.abc import Callable

from safr_study.checkpoint.manifest import read_facts
from safr_study.errors import ServiceUnreachable
from safr_study.features.study_base.stores import Stores, model_folder
from safr_study.tracking.model_server import request_line, serve_model


def serve(reference: str, stores: Stores, port: int, ready: Callable[[str, str], None]) -> None:
    """Serve a model on 127.0.0.1 until it is interrupted.

    Args:
        reference: a model's folder, or ``NAME@alias`` or ``models:/NAME@alias`` in the registry.
        stores: where the registry is.
        port: on the loopback interface.
        ready: called with the address once it answers, and a line for the shell that asks it.

    Raises:
        BadInput: there is no such model, or the port is taken.
        CorruptCheckpoint: the model's files are not whole.
        ServiceUnreachable: the server did not come up, or ended by itself.
    """
    with model_folder(reference, stores) as folder, serve_model(folder, port) as server:
        ready(server.url, request_line(server.url, pairs=read_facts(folder).pairs))
        code = server.process.wait()
    raise ServiceUnreachable(f"serve: the server ended by itself with code {code}; start it again")
