"""Layers by name, and blocks by number."""

from __future__ import annotations

import pytest

from safr_study.errors import BadInput
from safr_study.settings import LAYERS, EvaluationConfig, ModelShape, TrainConfig, layer_place


def test_a_layer_s_block_is_the_last_or_that_of_its_number() -> None:
    for name in LAYERS[2:]:
        assert [layer_place(name).index(blocks) for blocks in (1, 2, 7)] == [0, 1, 6]
        assert [layer_place(f"{name}:2").index(blocks) for blocks in (2, 7)] == [1, 1]
    assert [layer_place(name).index(3) for name in LAYERS[:2]] == [0, 0]
    assert layer_place("ffn1_post_relu:1") == layer_place("ffn1_post:1")


@pytest.mark.parametrize(
    "text", ["", "ffn1", "ffn1_pre:", "ffn1_pre:00", "ffn1_pre:-1", "block:1:2"]
)
def test_what_is_no_layer_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"^layer: .* is no layer; give one of embedding"):
        layer_place(text)


def test_new_settings_are_written_only_where_they_are_set() -> None:
    assert not {"pooling", "word_vector"} & set(ModelShape().model_dump())
    assert "train_encoder" not in TrainConfig().model_dump()
    assert EvaluationConfig().model_dump()["capacity_layer"] == "ffn1_pre_relu"
    shape = ModelShape(pooling="cls", word_vector="first")
    config = TrainConfig(shape=shape, train_encoder="head")
    assert TrainConfig.model_validate(config.model_dump(mode="json")) == config
