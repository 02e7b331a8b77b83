"""Two configurations of a PostgreSQL full-text search: must all words of a query occur, or any of them?

python engines_postgres.py DATABASE COLLECTION [COLLECTION …]

DATABASE is an empty one that the texts are loaded into (postgresql://USER@HOST/NAME). That is this script's doing: qrelkit itself
only ever asks an engine.
"""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg

import qrelkit as qk
from qrelkit.retrievers.engines.config import engine_config
from qrelkit.retrievers.engines.engine import Engine
from qrelkit.retrievers.engines.grid import points

SEARCH = """
SELECT id, ts_rank(words, q, 1) AS score
FROM docs, (SELECT replace(plainto_tsquery('english', :query)::text, '&', :operator)::tsquery AS q) AS asked
WHERE collection = :collection AND words @@ q
ORDER BY score DESC, id DESC
LIMIT :depth
"""


def load_texts(database: str, collection: qk.Collection) -> None:
    """The documents of a collection, with their words as PostgreSQL's English configuration makes them."""
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS docs (collection text, id text, words tsvector)")
        cursor.execute("CREATE TEMPORARY TABLE incoming (id text, text text) ON COMMIT DROP")
        with cursor.copy("COPY incoming FROM STDIN") as rows:
            for ids, texts in collection.texts():
                for row in zip(ids, texts, strict=True):
                    rows.write_row(row)
        cursor.execute("INSERT INTO docs SELECT %s, id, to_tsvector('english', text) FROM incoming", (collection.name,))
        cursor.execute("CREATE INDEX IF NOT EXISTS docs_words ON docs USING gin (words)")
        cursor.execute("ANALYZE docs")


def engines(database: str, collection: qk.Collection) -> list[Engine]:
    """What an engine's YAML file would say: a grid of two."""
    grid = [{"tag": "all", "operator": "&"}, {"tag": "any", "operator": "|"}]
    value = {"kind": "postgres", "database": database, "template": SEARCH, "tag": "{tag}-words"}
    config = engine_config({**value, "grid": [{**point, "collection": collection.name} for point in grid]})
    return [Engine(config, variables, tag=tag) for tag, variables in points(config)]


def main(database: str, *folders: str) -> None:
    for folder in folders:
        collection, human = qk.load(folder), qk.read_qrels(Path(folder) / "qrels.txt")
        load_texts(database, collection)
        runs = [qk.retrieve(collection, engine, depth=100) for engine in engines(database, collection)]
        nothing = ", ".join(f"{len(run.notes['without_hits'])} with {run.tag}" for run in runs)
        print(f"{collection.name}: {qk.pool(runs, depth=10)}; queries that found nothing: {nothing}")
        print(qk.evaluate(["nDCG@10", "R@100"], runs, human))
        row = qk.compare("nDCG@10", runs, [human]).json()["pairs"][0]
        print(f"{row['a']} − {row['b']} = {row['diff']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}], p {row['p_rand']:.3g}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
