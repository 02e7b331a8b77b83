"""The table of known encoders: what it says, and how a name, a task and the user's own statements come together."""

from __future__ import annotations

from pathlib import Path

import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.models.encoders import encoder
from qrelkit.models.encoders_table import Recipe, recipe_of, recipes

R2MED = [
    "contriever", "medcpt", "inst-l", "inst-xl", "bmr-410m", "bmr-2b", "bmr-7b", "bge", "e5", "sfr", "grit", "nv",
    "openai", "voyage",
]  # fmt: skip
CMIRB = [
    "bge-zh", "peg", "mcontriever", "m3e", "text2vec", "me5", "gte-zh", "piccolo", "ada-002",
]  # fmt: skip
TASKS = [
    "Biology", "Bioinformatics", "Medical-Sciences", "MedXpertQA-Exam", "MedQA-Diag", "PMC-Treatment",
    "PMC-Clinical", "IIYi-Clinical",
]  # fmt: skip


def test_both_benchmarks_are_whole() -> None:
    table = recipes()
    assert [key for key, row in table.items() if row.source == "r2med"] == R2MED  # 15 retrievers, the fifteenth is BM25
    assert [key for key, row in table.items() if row.source == "cmirb"] == CMIRB  # 10, the tenth is BM25
    assert len({row.model for row in table.values()}) == len(table)
    for row in table.values():
        for task in TASKS:
            whole = row.for_task(f"r2med/{task}")
            assert "{" not in f"{whole.query}{whole.document}"


# research/retrieval.md §1.5 and §2.2, which quote the published code
@pytest.mark.parametrize(
    ("key", "task", "query", "document"),
    [
        ("bge", "", "Represent this sentence for searching relevant passages: ", ""),
        ("bge-zh", "", "为这个句子生成表示以用于检索相关文章：", ""),
        ("me5", "", "query: ", "passage: "),
        ("piccolo", "", "查询: ", "结果: "),
        ("contriever", "", "", ""),
        (
            "e5",
            "r2med/PMC-Clinical",
            "Instruct: Given a Clinical Case, retrieve similar cases that help diagnose the case\nQuery: ",
            "",
        ),
        (
            "bmr-2b",
            "r2med/MedQA-Diag",
            "Given a Medical Exam, retrieve relevant passages that help answer the exam\nQuery: ",
            "Represent this passage\npassage: ",
        ),
        (
            "grit",
            "r2med/Biology",
            "<|user|>\nGiven a Biology post, retrieve relevant passages that help answer the post\n<|embed|>\n",
            "<|embed|>\n",
        ),
        (
            "inst-l",
            "r2med/Medical-Sciences",
            "Represent the Medical Science post for retrieving relevant paragraphs: ",
            "Represent the Medical Science paragraph for retrieval: ",
        ),
    ],
)
def test_prefixes_are_those_of_the_published_code(key: str, task: str, query: str, document: str) -> None:
    row = recipe_of(key).for_task(task)
    assert (row.prefix("query"), row.prefix("document")) == (query, document)


def test_a_rewrite_carries_the_instruction_only_where_the_authors_give_it() -> None:
    instructed = {key for key, row in recipes().items() if row.rewrite == "query"}
    assert instructed == {"inst-l", "inst-xl", "grit", "nv"}
    assert recipe_of("bge").prefix("rewrite") == ""
    grit = recipe_of("grit").for_task("r2med/Biology")
    assert grit.prefix("rewrite") == grit.prefix("query")


def test_lengths_differ_by_side_and_model() -> None:
    lengths = {key: (row.query_tokens, row.document_tokens) for key, row in recipes().items()}
    assert lengths["grit"] == (512, 2048)
    assert (lengths["bmr-410m"], lengths["bmr-2b"], lengths["bmr-7b"]) == ((512, 512), (1024, 1024), (2048, 2048))
    assert lengths["inst-l"] == (None, None)  # what the model takes


def test_the_old_names_of_the_tasks_say_the_same() -> None:
    for old, new in (("Stack-Medical", "Medical-Sciences"), ("PMCPatients", "PMC-Clinical"), ("PMC-Treat", "PMC-Treatment")):
        assert recipe_of("e5").for_task(f"r2med/{old}") == recipe_of("e5").for_task(f"r2med/{new}")


def test_a_model_is_known_by_key_hub_name_folder_and_behind_an_endpoint(tmp_path: Path) -> None:
    hub, folder = "BAAI/bge-large-en-v1.5", tmp_path / "bge-large-en-v1.5"
    folder.mkdir()
    names = ("bge", hub, f"{hub}@main", str(folder), f"openai:{hub}")
    assert {recipe_of(name).key for name in names} == {"bge"}
    assert recipe_of("someone/bge-large-en-v1.5").key == ""  # somebody else's
    assert recipe_of("mine", like="bge").query == recipe_of("bge").query
    assert recipe_of("mine", like="bge").model == "mine"


def test_no_instruction_is_known_and_unknown_is_not() -> None:
    assert recipe_of("contriever").query == ""
    assert recipe_of("someone/new-encoder") == Recipe(model="someone/new-encoder")
    assert recipe_of("someone/new-encoder").query is None


def test_what_needs_a_task_says_so_unless_the_prefix_is_stated() -> None:
    with pytest.raises(InputError, match="depends on the task: name one"):
        recipe_of("e5").for_task("")
    assert recipe_of("e5").stated(query="Query: ").for_task("").query == "Query: "
    with pytest.raises(UnknownName, match="r2med/Biology"):
        recipe_of("e5").for_task("r2med/Biologie")


def test_what_nobody_can_mean_is_said() -> None:
    with pytest.raises(UnknownName, match="pooling"):
        recipe_of("bge").stated(pooling="max")
    with pytest.raises(InputError, match="query_tokens must be at least 1"):
        recipe_of("bge").stated(query_tokens=0)
    with pytest.raises(UnknownName, match="unknown encoder 'bgee'"):
        recipe_of("mine", like="bgee")
    with pytest.raises(InputError, match="no folder of that name"):
        encoder("no-such-thing")
    with pytest.raises(InputError, match="trust-remote-code"):
        encoder("nv", task="r2med/Biology")
