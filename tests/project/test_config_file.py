"""qrelkit.yaml: what is wrong is named with its place and the near keys; `init` writes one that can be read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cli.calling import call
from qrelkit.core.errors import InputError
from qrelkit.project.config import Config, checked, read_config
from qrelkit.project.project import Project
from verbs.tiny import write_config, write_tiny

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_tiny(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("colection: shop\n", "unknown key 'colection'; did you mean 'collection'"),
        ("judge: {modle: lexical}\n", "unknown key 'judge.modle'; did you mean 'judge.model'"),
        ("judge: {sampling: {temprature: 0}}\n", "did you mean 'judge.sampling.temperature'"),
        ("judge: {examples: {m: 3}}\n", "judge.examples"),
        ("models: {'openai:x': {url: y}}\n", "openai:x"),
        ("depth: 0\n", "depth: "),
        ("depth: many\n", "depth: "),
        ("budget_usd: 0\n", "budget_usd: "),
        ("judge: lexical\n", "judge: "),
        ("runs: words.trec\n", "runs: "),
        ("- a list\n", "must be a mapping of keys"),
        ("just words\n", "must be a mapping of keys"),
        ("collection: [\n", "qrelkit.yaml:2: cannot be read as YAML"),
        ("collection: shop\n  runs: []\n", "qrelkit.yaml:2: cannot be read as YAML"),
        ("\tcollection: shop\n", "qrelkit.yaml:1: cannot be read as YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "qrelkit.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_config(file)
    assert complaint in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "qrelkit.yaml"
    file.write_bytes("collection: sch\xf6n".encode("latin-1"))
    with pytest.raises(InputError, match=r"qrelkit\.yaml: cannot be read as YAML"):
        read_config(file)
    with pytest.raises(InputError, match="`qrelkit init` writes one"):
        read_config(tmp_path / "other.yaml")


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    (tmp_path / "qrelkit.yaml").write_text("# nothing yet\n", encoding="utf-8")
    assert read_config(tmp_path / "qrelkit.yaml") == Config()


def test_a_configuration_cannot_be_changed_behind_its_back() -> None:
    with pytest.raises(Exception, match="frozen"):
        checked({}, "here").depth = 3  # type: ignore[misc]


# --set and options


def test_arguments_come_before_the_file(shop: Path, capsys: Capture) -> None:
    assert call(capsys, "pool", "--json").json["depth"] == 4
    assert call(capsys, "pool", "--json", "--set", "depth=2").json["depth"] == 2
    assert call(capsys, "pool", "--json", "--set", "depth=2", "--depth", 1).json["depth"] == 1


def test_set_reads_yaml(shop: Path, capsys: Capture) -> None:
    found = call(capsys, "pool", "--json", "--set", "runs=[runs/words.trec]").json
    assert found["runs"] == 1
    assert "--set needs KEY=VALUE" in call(capsys, "pool", "--set", "depth").error
    assert "depth" in call(capsys, "pool", "--set", "depth.x=1").error


def test_paths_are_relative_to_the_file(shop: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop.parent)
    assert call(capsys, "pool", "--project", shop, "--json").json["pairs"] == 15
    assert call(capsys, "pool", "--project", shop / "qrelkit.yaml", "--json").json["pairs"] == 15


def test_a_pattern_that_matches_nothing(shop: Path, capsys: Capture) -> None:
    assert "nothing matches 'runs/*.txt'" in call(capsys, "pool", "--set", "runs=[runs/*.txt]").error


def test_runs_and_qrels_of_a_project_may_be_tables(shop: Path, capsys: Capture) -> None:
    (shop / "dense.csv").write_text("query_id,doc_id,score\nq1,p10,3\nq1,p01,2\n", encoding="utf-8")
    (shop / "ann.csv").write_text("query_id,doc_id,grade\nq1,p01,2\n", encoding="utf-8")
    write_config(shop, runs=["runs/*.trec", "dense.csv"], qrels={"ann": "ann.csv"})
    assert call(capsys, "pool", "--json").json["runs"] == 3
    with Project.open() as project:
        assert [run.tag for run in project.runs()] == ["sight", "words", "dense"]
        assert len(project.human()["ann"]) == 1


def test_named_qrels_stand_for_those_beside_the_collection(shop: Path) -> None:
    (shop / "ann.qrels").write_text("q1 0 p01 2\n", encoding="utf-8")
    write_config(shop, qrels={"ann": "ann.qrels"})
    with Project.open() as project:
        assert list(project.human()) == ["ann"]
    write_config(shop)
    with Project.open() as project:
        assert list(project.human()) == ["qrels"]


def test_a_collection_may_be_a_table_with_a_column_map(shop: Path, capsys: Capture) -> None:
    (shop / "products.csv").write_text("sku,name\np01,Red dress\np04,Black boots\n", encoding="utf-8")
    (shop / "topics.tsv").write_text("q1\tred dress\nq2\tboots\n", encoding="utf-8")
    (shop / "one.trec").write_text("q1 Q0 p01 1 2 one\nq2 Q0 p04 1 2 one\n", encoding="utf-8")
    columns = {"doc_id": "sku", "text": "name"}
    spec = {"documents": "products.csv", "queries": "topics.tsv", "columns": columns}
    write_config(shop, collection=spec, runs=["one.trec"])
    assert call(capsys, "judge", "--json").json["outcomes"] == {"graded": 2}


# init


def test_init_writes_a_file_that_works(shop: Path, capsys: Capture) -> None:
    (shop / "qrelkit.yaml").unlink()
    found = call(capsys, "init", "--collection", "shop", "--runs", "runs/*.trec", "--qrels", "shop/qrels.txt")
    assert (found.code, found.out) == (0, "")
    assert "wrote qrelkit.yaml" in found.err
    value = yaml.safe_load((shop / "qrelkit.yaml").read_text(encoding="utf-8"))
    assert (value["collection"], value["qrels"]) == ("shop", {"human": "shop/qrels.txt"})
    assert call(capsys, "doctor").code == 0
    assert call(capsys, "run").code == 0


def test_init_never_overwrites(shop: Path, capsys: Capture) -> None:
    before = (shop / "qrelkit.yaml").read_bytes()
    assert "exists already" in call(capsys, "init", "--collection", "shop").error
    assert (shop / "qrelkit.yaml").read_bytes() == before
    assert call(capsys, "init", "other", "--collection", "../shop").code == 0
    assert (shop / "other" / "qrelkit.yaml").exists()


@pytest.mark.parametrize("name", ["a: b", "it's", 'say "x"', "päth", "#x", "- y", "{z}"])
def test_init_quotes_what_yaml_would_misread(tmp_path: Path, capsys: Capture, name: str) -> None:
    folder = tmp_path / name
    assert call(capsys, "init", folder, "--collection", name, "--model", "openai:gpt-4o-mini").code == 0
    assert read_config(folder / "qrelkit.yaml").collection == name
    assert read_config(folder / "qrelkit.yaml").judge.model == "openai:gpt-4o-mini"


def test_init_takes_several_runs(tmp_path: Path, capsys: Capture) -> None:
    assert call(capsys, "init", tmp_path, "--runs", "a.trec", "--runs", "b.trec", "--scale", "binary").code == 0
    config = read_config(tmp_path / "qrelkit.yaml")
    assert (config.runs, config.scale) == (["a.trec", "b.trec"], "binary")
    assert "did you mean" in call(capsys, "init", tmp_path / "x", "--scale", "binry").error
    assert not (tmp_path / "x").exists()


# doctor and show


def test_doctor_asks_nobody_and_says_what_is_wrong(shop: Path, capsys: Capture) -> None:
    found = call(capsys, "doctor", "--json")
    assert (found.code, all(check["sound"] for check in found.json)) == (0, True)
    write_config(shop, collection="nowhere", judge={"model": "openai:gpt-4o-mini"})
    found = call(capsys, "doctor", "--json")
    assert found.code == 1
    wrong = {check["what"]: check["found"] for check in found.json if not check["sound"]}
    assert "no such file or folder" in wrong["collection"]
    assert "set OPENAI_API_KEY" in wrong["models"]


def test_doctor_finds_a_changed_reply(shop: Path, capsys: Capture) -> None:
    import sqlite3

    (shop / "answers.yaml").write_text('- say: {reasoning: "so", verdict: irrelevant}\n', encoding="utf-8")
    call(capsys, "judge", "--model", "scripted:answers.yaml")
    assert call(capsys, "doctor").code == 0
    with sqlite3.connect(shop / ".qrelkit" / "store.db") as connection:
        connection.execute("update parts set body = x'00' where id = (select min(id) from parts)")
    connection.close()
    found = call(capsys, "doctor", "--json")
    assert found.code == 1
    assert [check["what"] for check in found.json if not check["sound"]] == ["store"]


def test_show_project_counts_everything(shop: Path, capsys: Capture) -> None:
    before = call(capsys, "show", "project", "--json").json
    assert before["judgments"] == []
    call(capsys, "judge")
    after = call(capsys, "show", "project", "--json").json
    assert after["judgments"] == ["lexical graded 15"]
    assert after["spent_usd"] == 0


@pytest.mark.parametrize("prompt", ["pointwise", "pointwise@1", "guide", "describe", "binary-case"])
def test_show_prompt_prints_the_file(capsys: Capture, prompt: str) -> None:
    assert call(capsys, "show", "prompt", prompt).out.startswith("---\nname: " + prompt.partition("@")[0])
    assert "pointwise@1" in call(capsys, "show", "prompt").out


def test_show_scale_lists_them_all(capsys: Capture) -> None:
    assert "product-3" in call(capsys, "show", "scale").out
    assert call(capsys, "show", "scale", "trec-0-3").rows[1][:2] == ["0", "irrelevant"]
