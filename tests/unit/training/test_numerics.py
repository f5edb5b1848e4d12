from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import torch

from safr_study.training import computing, limit_gpu_memory, pick_device


def denormals_vanish() -> bool:
    return not (torch.full((4,), 1e-30) * torch.full((4,), 1e-12)).any()


def test_computing_sets_and_restores() -> None:
    def state() -> tuple[int, bool, bool, bool]:
        return (
            torch.get_num_threads(),
            denormals_vanish(),
            torch.are_deterministic_algorithms_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        )

    before = state()
    assert not before[1]
    with computing(2):
        assert state() == (2, True, True, False)
        with computing(1):
            assert state() == (1, True, True, False)
        assert state() == (2, True, True, False)
    assert state() == before
    with pytest.raises(KeyError), computing(1):
        raise KeyError
    assert state() == before


def test_denormals_vanish_in_the_thread_that_computes() -> None:
    found: list[bool] = []

    def work() -> None:
        with computing(1):
            found.append(denormals_vanish())
        found.append(denormals_vanish())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True, False]


def test_without_a_share_of_a_gpu_it_is_the_cpu() -> None:
    assert pick_device(0) == torch.device("cpu")


@pytest.mark.parametrize("available", [True, False])
def test_a_share_of_a_gpu_is_used_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, available: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert pick_device(0.5).type == ("cuda" if available else "cpu")


def test_memory_is_limited_on_a_gpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[float, int]] = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(
        torch.cuda,
        "set_per_process_memory_fraction",
        lambda share, index: calls.append((share, index)),
    )
    limit_gpu_memory(torch.device("cpu"), 0.5)
    limit_gpu_memory(torch.device("cuda"), 1.0)
    assert calls == []
    limit_gpu_memory(torch.device("cuda"), 0.25)
    limit_gpu_memory(torch.device("cuda", 1), 0.25)
    # torch refuses a device without a number here; tests/gpu shows it on a GPU.
    assert calls == [(0.25, 3), (0.25, 1)]


TRAINING = """
import sys, tempfile, torch
from pathlib import Path
from safr_study.data import encoded_corpus
from safr_study.evaluation.scoring import evaluate_model
from safr_study.settings import CorpusSpec, EvaluationConfig, TrainConfig, wanted
from safr_study.checkpoint.model_files import load_model, save_model
from safr_study.training import computing, fit
spec = CorpusSpec(dataset="planted", train_limit=64, dev_limit=32)
corpus, cpu = encoded_corpus(spec), torch.device("cpu")
config, measuring = TrainConfig(epochs=1), EvaluationConfig(draws=1)
with tempfile.TemporaryDirectory() as name:
    state, kept = Path(name) / "state", Path(name) / "model"
    fit(config, corpus, device=cpu, resume_from=state)
    more = config.model_copy(update={"epochs": 2})
    model = fit(more, corpus, device=cpu, resume_from=state).model
    with computing(1):
        scores = evaluate_model(model, corpus.dev, split_name="dev", config=measuring,
            want=wanted(("accuracy", "srs@30")), preset="masked", device=cpu).scores
    save_model(kept, model, config=more, corpus=corpus, spec=spec, evaluation=measuring,
        scores=scores, epoch=2)
    load_model(kept)
names = ("torch._dynamo", "torch._inductor", "sympy")
print([name for name in names if name in sys.modules])
torch.optim.Adam(model.parameters())
print([name for name in names if name in sys.modules])
"""


def test_a_trial_does_not_import_the_compiler_which_takes_a_second_of_every_process() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", TRAINING], capture_output=True, text=True, check=True
    )
    without, with_torchs_own = done.stdout.splitlines()
    assert without == "[]"
    # The control: afterwards torch does as it always did.
    assert "torch._dynamo" in with_torchs_own
