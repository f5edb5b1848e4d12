"""The running state of a training: everything that the next epoch depends on, on disk.

An epoch's state is two files, the weights and then the JSON that names their checksum: with the
JSON in place the state is whole. The two newest are kept, so that a damaged one can be passed over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from safr_study.checkpoint.manifest import file_sha256
from safr_study.records import EpochReport, from_plain, to_plain

_SCHEMA = 1
_MODEL, _ADAM, _BEST = "model.", "adam.", "best."
_WEIGHTS = ".safetensors"


@dataclass(frozen=True, slots=True)
class StoredBest:
    """The best epoch's state of a model, in the file of a running state.

    It is read when it is needed: in memory it would be one more model next to each training.
    """

    _weights: Path
    _prefix: str

    def load(self) -> dict[str, Tensor]:
        """The tensors by the model's names.

        Raises:
            OSError: the file is gone.
            SafetensorError: it is damaged.
        """
        with safe_open(self._weights, framework="pt") as file:
            return {
                key.removeprefix(self._prefix): file.get_tensor(key)
                for key in file.keys()  # noqa: SIM118 (it is no mapping)
                if key.startswith(self._prefix)
            }


def write_running(
    folder: Path,
    fingerprint: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    reports: tuple[EpochReport, ...],
    *,
    keeps_best: bool,
    best: StoredBest | None,
) -> StoredBest | None:
    """Write the state after its last epoch, and remove all but the one before it.

    Args:
        folder: made if it is missing; holds running states only.
        fingerprint: of everything that decides the numbers.
        model: whose state it is.
        optimizer: Adam.
        reports: all the epochs so far, at least one.
        keeps_best: whether the best epoch's state is wanted, be it the last or an earlier one.
        best: of the state before; not read where the last epoch is the best.

    Returns:
        The best epoch's state in what was written; ``None`` where none is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    epoch = reports[-1].epoch
    weights, facts = _files(folder, epoch)
    temporary = folder / "writing"
    best_is_last = keeps_best and reports[-1].best
    tensors = _tensors(model, optimizer)
    if keeps_best and not best_is_last and best is not None:
        tensors |= {_BEST + name: value for name, value in best.load().items()}
    save_file(tensors, temporary)
    plain = {
        "schema": _SCHEMA,
        "fingerprint": fingerprint,
        "weights_sha256": file_sha256(temporary),
        "reports": to_plain(reports),
        "best_is_last": best_is_last,
    }
    temporary.replace(weights)
    temporary.write_text(json.dumps(plain, allow_nan=False), encoding="utf-8")
    temporary.replace(facts)
    kept = {*_files(folder, epoch), *_files(folder, epoch - 1)}
    for path in folder.glob("epoch-*"):
        if path not in kept:
            path.unlink()
    return _best(weights, tensors, last=best_is_last)


def read_running(
    folder: Path, fingerprint: str, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[tuple[EpochReport, ...], StoredBest | None]:
    """Put model and optimiser into the newest whole state of this fingerprint.

    Returns:
        All the epochs so far, and the best one's state where one is kept; no epochs (and nothing
        changed) where there is no state.
    """
    for facts in sorted(folder.glob("epoch-*.json"), reverse=True):
        try:
            plain, tensors = _read(facts, fingerprint)
            reports = tuple(from_plain(EpochReport, report) for report in plain["reports"])
            best_is_last = bool(plain["best_is_last"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
            continue  # damaged, or of another configuration: the one before may serve
        model.load_state_dict(_part(tensors, _MODEL))
        _restore(optimizer, _part(tensors, _ADAM))
        return reports, _best(facts.with_suffix(_WEIGHTS), tensors, last=best_is_last)
    return (), None


def _files(folder: Path, epoch: int) -> tuple[Path, Path]:
    facts = folder / f"epoch-{epoch:06d}.json"
    return facts.with_suffix(_WEIGHTS), facts


def _best(weights: Path, tensors: Mapping[str, Tensor], *, last: bool) -> StoredBest | None:
    prefix = _MODEL if last else _BEST
    return StoredBest(weights, prefix) if any(key.startswith(prefix) for key in tensors) else None


def _tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    tensors = {_MODEL + name: value for name, value in model.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"{_ADAM}{index}.{name}": value for name, value in moments.items()}
    return tensors


def _read(facts: Path, fingerprint: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    plain = json.loads(facts.read_text(encoding="utf-8"))
    weights = facts.with_suffix(_WEIGHTS)
    if plain["schema"] != _SCHEMA or plain["fingerprint"] != fingerprint:
        raise ValueError("of another configuration")
    if plain["weights_sha256"] != file_sha256(weights):
        raise ValueError("damaged")
    return plain, load_file(weights)


def _restore(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        # A copy, as a tensor from a file need not be aligned as one of torch's own.
        moments.setdefault(int(index), {})[name] = value.clone()
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }
