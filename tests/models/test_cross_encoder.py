"""Cross-encoders with random weights, beside what transformers computes from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qrelkit.core.doors import Reranker
from qrelkit.core.errors import InputError, Rejected
from qrelkit.core.records import Document, Query
from qrelkit.models.cross_encoder import RECIPES, CrossEncoder, recipe_of

QUERY = Query(query_id="q", text="red summer dress")
DOCUMENTS = [Document(doc_id=str(i), text=t) for i, t in enumerate(["red dress", "blue boots " * 40, "a", "dress red summer"])]


def tiny(folder: Path, labels: int) -> Path:
    """A BERT of two layers that classifies pairs."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "blue", "summer", "dress", "boots", "a", "query", "document", ":"]
    plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=64
    )
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, num_labels=labels, initializer_range=0.5,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("models") / "tiny-reranker", 1)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("models") / "monobert-large-msmarco", 2)


def by_transformers(folder: Path, column: int, query: str, texts: list[str], max_length: int) -> list[float]:
    """The logits, one pair at a time."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    out = []
    with torch.inference_mode():
        for text in texts:
            cut: Any = {"truncation": "longest_first", "max_length": max_length}
            out.append(float(model(**tokenizer(query, text, return_tensors="pt", **cut)).logits[0, column]))
    return out


def test_scores_are_the_models_own_logits(one: Path) -> None:
    model = CrossEncoder(str(one), max_length=32, batch_size=3)
    assert isinstance(model, Reranker)
    expected = by_transformers(one, 0, QUERY.text, [d.text for d in DOCUMENTS], 32)
    assert model.scores(QUERY, DOCUMENTS) == pytest.approx(expected, abs=1e-5)
    assert model.scores(QUERY, []) == []


def test_a_folder_that_is_called_like_monobert_has_its_second_logit(two: Path) -> None:
    model = CrossEncoder(str(two))
    assert model.recipe == RECIPES["monobert"]
    expected = by_transformers(two, 1, QUERY.text, [d.text for d in DOCUMENTS], 64)
    assert CrossEncoder(str(two), max_length=64).scores(QUERY, DOCUMENTS) == pytest.approx(expected, abs=1e-5)


def test_prefixes_stand_before_query_and_document(one: Path) -> None:
    from dataclasses import replace

    recipe = replace(RECIPES["rankllama"], max_length=32, dtype="auto")
    expected = by_transformers(one, 0, "query: red summer dress", [f"document: {d.text}" for d in DOCUMENTS], 32)
    assert CrossEncoder(str(one), recipe=recipe).scores(QUERY, DOCUMENTS) == pytest.approx(expected, abs=1e-5)


def test_which_number_is_the_score_must_be_said_and_must_be_there(one: Path, two: Path) -> None:
    from qrelkit.models.cross_encoder import Recipe

    with pytest.raises(InputError, match=r"gives 2 numbers for a pair; say which is the score: logit 0 to 1"):
        CrossEncoder(str(two), recipe=Recipe(max_length=32)).scores(QUERY, DOCUMENTS)
    with pytest.raises(InputError, match="logit 1 was asked for"):
        CrossEncoder(str(one), max_length=32, logit=1).scores(QUERY, DOCUMENTS)


def test_settings_name_the_weights_by_content_and_are_known_before_loading(one: Path, two: Path) -> None:
    model = CrossEncoder(str(one))
    assert model.name.startswith("tiny-reranker@")
    assert model.settings["model"] == model.name
    assert model.settings["logit"] is None
    assert CrossEncoder(str(two)).settings["max_length"] == 512


def test_the_three_rerankers_of_r2med_are_known_by_name_by_id_and_by_folder() -> None:
    for name, recipe in RECIPES.items():
        assert recipe_of(name) == recipe_of(recipe.hub) == recipe_of(f"models/{Path(recipe.hub).name}") == recipe
    assert CrossEncoder("rankllama").name == "castorini/rankllama-v1-7b-lora-passage"
    assert recipe_of("cross-encoder/ms-marco-MiniLM-L6-v2").max_length is None


def test_what_is_no_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder of that name"):
        CrossEncoder("models/nowhere/at/all")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(Rejected, match="cannot be loaded") as raised:
        CrossEncoder(str(tmp_path)).scores(QUERY, DOCUMENTS)
    assert raised.value.fatal
