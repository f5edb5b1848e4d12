"""Tiny random encoders of each family, made and saved by ``transformers``, the tests' oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer, WordPieceTrainer

FAMILIES = ("bert", "distilbert", "roberta", "electra")
TEXTS = (
    "A gripping, funny film.",
    "superpositioned neurons aren't monosemantic",
    "",
    "Ünïcode «quotes» and 3.5 stars!",
    "a",
)
SIZES: dict[str, Any] = {
    "hidden_size": 12,
    "intermediate_size": 20,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "max_position_embeddings": 64,
    "hidden_act": "gelu",
}


def tiny_tokenizer(family: str) -> Tokenizer:
    """A tokenizer of the family's kind, trained on the texts above."""
    if family == "roberta":
        made = Tokenizer(models.BPE(unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        made.train_from_iterator(
            TEXTS,
            BpeTrainer(
                vocab_size=300,
                special_tokens=special,
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                show_progress=False,
            ),
        )
        made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        return made
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = WordPieceTrainer(vocab_size=60, special_tokens=special, show_progress=False)
    made.train_from_iterator(TEXTS, trainer)
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def tiny_encoder(family: str, folder: Path, **more: Any) -> Path:
    """The folder of a random encoder with all its files; its weights are far from zero."""
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer(family)
    tokenizer.save(str(folder / "tokenizer.json"))
    sizes = {**SIZES, "vocab_size": tokenizer.get_vocab_size(), **more}
    if family == "electra":
        sizes["embedding_size"] = 8
    if family == "distilbert":
        sizes["activation"] = sizes.pop("hidden_act")
        sizes["hidden_dim"] = sizes.pop("intermediate_size")
    sizes["pad_token_id"] = tokenizer.token_to_id("<pad>" if family == "roberta" else "[PAD]")
    config = transformers.AutoConfig.for_model(family, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModel.from_config(config, attn_implementation="eager")
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    model.save_pretrained(folder)
    return folder


def oracle(folder: Path) -> tuple[Any, Any]:
    """The library's own model, in float64 without dropout, and its own tokenizer."""
    import transformers

    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        pad_token="<pad>" if (folder.name == "roberta") else "[PAD]",
    )
    if folder.name == "roberta":
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return model.double().eval(), tokenizer
