from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from safr_study.cluster.gpu_pilot import (
    MARGIN,
    STEP,
    gpu_share,
    heaviest,
    heaviest_texts,
    measure_peak,
    rehearse,
)
from safr_study.cluster.slots import NodeCapacity
from safr_study.data import encoded_corpus
from safr_study.settings import CorpusSpec, SearchSpace, StudySpec
from safr_study.settings.space_files import find_space

GIB = 2**30
MANY_CPUS = [NodeCapacity(1000.0, 1.0)]


def spec_over(space: SearchSpace, **corpus: object) -> StudySpec:
    return StudySpec(name="s", corpus=CorpusSpec(dataset="planted", **corpus), space=space)


@pytest.mark.parametrize(
    ("used", "share"),
    [(0.1, 0.05), (0.8, 0.05), (1, 0.1), (4, 0.25), (7.99, 0.5), (8.1, 0.55), (40, 1.0)],
)
def test_the_share_is_the_peak_with_a_margin_in_steps(used: float, share: float) -> None:
    assert gpu_share(used / 20, MANY_CPUS, 1.0) == share


def test_a_gpu_that_has_more_room_than_cpus_have_trials_is_not_left_idle() -> None:
    small = 1 / 800
    assert gpu_share(small, [NodeCapacity(4.0, 1.0)], 1.0) == 0.25
    assert gpu_share(small, [NodeCapacity(16.0, 4.0)], 2.0) == 0.5
    # The node with the most CPUs for each GPU decides; one without GPUs has no say.
    assert gpu_share(small, [NodeCapacity(4.0, 1.0), NodeCapacity(64.0, 0.0)], 1.0) == 0.25


@given(
    used=st.integers(1, 100 * GIB),
    total=st.integers(8 * GIB, 200 * GIB),
    cpus=st.integers(1, 200),
    gpus=st.integers(1, 8),
)
def test_the_trials_on_one_gpu_fit_into_it(used: int, total: int, cpus: int, gpus: int) -> None:
    share = gpu_share(used / total, [NodeCapacity(float(cpus), float(gpus))], 1.0)
    assert STEP <= share <= 1.0
    at_once = int(1 / share + 1e-9)
    assert at_once == 1 or at_once * used * MARGIN <= total * (1 + 1e-6)


def test_the_heaviest_trial_is_as_large_as_the_space_allows() -> None:
    space = SearchSpace.parse(
        {
            "name": "wide",
            "parameters": {
                "layers": {"type": "int", "low": 1, "high": 3},
                "embed_dim": {"type": "categorical", "choices": [64, 128, 96]},
                "ffn_dim": {"type": "int", "low": 32, "high": 512},
                "batch_size": {"type": "categorical", "choices": [8, 256, 32]},
            },
        }
    )
    found = heaviest(spec_over(space))
    shape = found.shape
    assert (shape.layers, shape.embed_dim, shape.ffn_dim, found.batch_size) == (3, 128, 512, 256)


def test_a_space_without_sizes_is_as_heavy_as_any_of_its_trials() -> None:
    spec = spec_over(find_space("lambda"))
    assert heaviest(spec).shape == spec.train.shape


def test_the_longest_texts_are_taken_and_rehearsed() -> None:
    spec = spec_over(find_space("smoke"), train_limit=200, dev_limit=100)
    corpus = encoded_corpus(spec.corpus)
    longest = heaviest_texts(corpus.train, 10)
    assert longest.examples == 10
    assert longest.lengths.min() >= sorted(corpus.train.lengths)[-10]
    rehearse(spec, corpus, torch.device("cpu"))
    if not torch.cuda.is_available():
        assert measure_peak(spec, corpus) is None
