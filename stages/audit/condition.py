"""`--where`: one condition on a relation, in SQL, evaluated by DuckDB on Arrow tables and on nothing else.

The text may come from somebody else's notes, so it is held to what it is for. It is parsed before anything runs, and
must be a single expression of columns, constants, operators and functions that always answer the same. A query, a
second statement, or a call such as `read_csv` never gets as far as being planned. Behind that, the database has no
files, no network, no extensions, and no way to switch them on.
"""

import json
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas import UserError
from stages.optional import require_audit

COLUMNS: dict[str, pa.DataType] = {
    "predicate": pa.string(),
    "score": pa.float64(),
    "probability": pa.float64(),
    "source": pa.string(),
    "state": pa.string(),
    "subject": pa.string(),
    "object": pa.string(),
    "text": pa.string(),
    "key": pa.string(),
    "dataset": pa.string(),
    "subject_width": pa.float64(),
    "subject_height": pa.float64(),
    "object_width": pa.float64(),
    "object_height": pa.float64(),
}
"""What a condition may speak of. `dataset` is the part of the key before its first dash; boxes are in pixels."""

# What an expression is parsed into. Not here: SUBQUERY, WINDOW, STAR, PARAMETER, LAMBDA and whatever comes to be.
_PARTS = {
    "BETWEEN",
    "CASE",
    "CAST",
    "COLLATE",
    "COLUMN_REF",
    "COMPARISON",
    "CONJUNCTION",
    "CONSTANT",
    "FUNCTION",
    "OPERATOR",
    "TYPE",
}
# Macros that are written in terms of what is allowed; others ask for the clock or the catalog.
_MACROS = {"if", "nullif", "split_part"}
_MOST_CHARACTERS, _MOST_SHOWN = 10_000, 200

_SETTINGS = (
    "SET threads = 1",  # files are what is read side by side
    "SET memory_limit = '512MB'",
    "SET temp_directory = ''",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET python_enable_replacements = false",  # else a name may mean a variable of ours
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


class Condition:
    """A condition that relations are chosen by. Its `rows` may be called by several threads at once."""

    def __init__(self, text: str) -> None:
        """
        Raises:
            UserError: if it is no condition, speaks of something else than `COLUMNS`, or DuckDB is not installed.
        """
        require_audit("audit sample --where", "duckdb")
        self.text = text
        self._threads = threading.local()
        self.columns = self._checked()
        """Names that it speaks of."""

    def rows(self, table: pa.Table) -> NDArray[np.int64]:
        """Where in `table` the condition holds, ascending; where it is unknown (a null) it does not.

        Args:
            table: has at least the columns that the condition speaks of.

        Raises:
            UserError: if it cannot be evaluated, as when a text is no number.
        """
        import duckdb

        connection = self._connection()
        numbered = table.append_column("relation", pa.array(np.arange(table.num_rows)))
        connection.register("relations", numbered)
        try:
            # The text was found to be an expression and nothing behind it, so this is a condition and nothing else.
            query = f"SELECT relation FROM relations WHERE\n{self.text}\n"  # noqa: S608
            found = connection.execute(query).fetchnumpy()
        except duckdb.Error as error:
            raise self._refused(_first_line(error)) from error
        finally:
            connection.unregister("relations")
        return np.sort(np.asarray(found["relation"], dtype=np.int64))

    def _checked(self) -> frozenset[str]:
        import duckdb

        if "\0" in self.text or len(self.text) > _MOST_CHARACTERS:
            raise self._refused(f"give at most {_MOST_CHARACTERS} characters, none of them the character 0")
        try:
            columns = self._parsed()
            connection = self._connection()
            empty = pa.schema(list(COLUMNS.items())).empty_table()
            connection.register("relations", empty)
            result = connection.execute(f"SELECT\n{self.text}\nFROM relations")
            kind = str(result.description[0][1])
            result.fetchall()
            connection.unregister("relations")
        except duckdb.Error as error:
            raise self._refused(_first_line(error)) from error
        if kind.upper() not in ("BOOLEAN", "BOOL"):
            raise self._refused(f"it is of type {kind}, and no condition")
        return columns

    def _parsed(self) -> frozenset[str]:
        """The columns of the expression that the text is.

        Raises:
            UserError: if it is none, or has parts that a condition may not have.
        """
        connection = self._connection()
        tree, plain = (_tree(connection, text) for text in (self.text, "true"))
        if tree["error"]:
            raise self._refused(str(tree["error_message"]).splitlines()[0])
        [*statements] = tree["statements"]
        chosen = statements[0]["node"].get("select_list", [])
        # But for the one expression, it must be what is around "true": nothing joined, limited, grouped or behind it.
        around = [{**statements[0], "node": {**statements[0]["node"], "select_list": []}}, *statements[1:]]
        bare = [{**plain["statements"][0], "node": {**plain["statements"][0]["node"], "select_list": []}}]
        if len(chosen) != 1 or _placeless(around) != _placeless(bare) or chosen[0]["alias"]:
            raise self._refused("it is more than one condition")
        columns, functions = set(), set()
        for part in _parts(chosen[0]):
            if part["class"] not in _PARTS:
                raise self._refused(f"{part['class'].lower()} has no place in a condition on one relation")
            if part["class"] == "COLUMN_REF":
                columns.add(".".join(part["column_names"]).lower())
            if part["class"] == "FUNCTION":
                functions.add(part["function_name"].lower())
        unknown = sorted(columns - COLUMNS.keys())
        if unknown:
            raise self._refused(f"there is no column {unknown[0]!r}; texts stand in single quotes")
        fickle = sorted(functions & _unfit_functions() - _MACROS)
        if fickle:
            raise self._refused(f"{fickle[0]}() does not follow from one relation alone, or not always alike")
        return frozenset(columns)

    def _connection(self) -> Any:
        if not hasattr(self._threads, "connection"):
            self._threads.connection = _connect()
        return self._threads.connection

    def _refused(self, why: str) -> UserError:
        text = self.text if len(self.text) <= _MOST_SHOWN else self.text[:_MOST_SHOWN] + "..."
        return UserError(
            f"where {text!r}: {why.rstrip('.')}. Give one condition on {', '.join(COLUMNS)}, such as "
            f"\"predicate = 'ride' and score < 0.4\""
        )


def _connect() -> Any:
    import duckdb

    connection = duckdb.connect(":memory:")
    for setting in _SETTINGS:
        connection.execute(setting)
    return connection


def _tree(connection: Any, text: str) -> Any:
    """What DuckDB parses `text` into, as an expression of a query; planned or run is nothing."""
    query = f"SELECT\n{text}\nFROM relations"
    return json.loads(connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()[0][0])


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Every part of an expression that has a class."""
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "class" in part:
                yield part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _placeless(tree: Any) -> Any:
    """Without where in the text its parts stand."""
    if isinstance(tree, dict):
        return {name: _placeless(part) for name, part in tree.items() if not name.startswith("query_location")}
    return [_placeless(part) for part in tree] if isinstance(tree, list) else tree


@cache
def _unfit_functions() -> frozenset[str]:
    """Functions of DuckDB that take more than the values of a row (aggregates), or do not always answer alike."""
    found = _connect().execute(
        "SELECT DISTINCT lower(function_name) FROM duckdb_functions() "
        "WHERE function_type <> 'scalar' OR stability IS DISTINCT FROM 'CONSISTENT'"
    )
    return frozenset(name for (name,) in found.fetchall())


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
