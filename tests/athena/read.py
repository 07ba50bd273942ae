"""Asks template.yaml's saved queries of records on disk, by a second reader: duckdb, which speaks nearly Athena's SQL.

    read.py FOLDER      FOLDER has day=…/team=…/*.jsonl.gz; prints a JSON list with the rows of each query

Needs duckdb (PyPI).
"""

import json
import pathlib
import re
import sys

import duckdb

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def main():
    folder = pathlib.Path(sys.argv[1])
    template = (ROOT / "template.yaml").read_text()
    queries = re.findall(r"QueryString: \|\n((?: {8}.*\n)+)", template)
    queries = [it for it in queries if "FROM records" in it]
    if not queries:
        sys.exit("template.yaml has no query of records")
    # As Athena has it: the day is a text of the folder's name.
    records = f"read_json_auto('{folder}/*/*/*.jsonl.gz', hive_partitioning = true, hive_types = {{'day': VARCHAR}})"
    connection = duckdb.connect()
    print(json.dumps([rows(connection, it.replace("FROM records", f"FROM {records}")) for it in queries], default=str))


def rows(connection, query):
    found = connection.execute(query)
    names = [it[0] for it in found.description]
    return [dict(zip(names, row)) for row in found.fetchall()]


if __name__ == "__main__":
    main()
