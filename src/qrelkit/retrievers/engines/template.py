"""What an engine is asked, as Jinja templates in a sandbox.

    query       the query's text, with its rewrites joined as the rule for words says
    text, rewrites, query_id, columns     the query as it is
    depth       documents wanted; size, offset, page, cursor: of this page
    …           and the variables of the grid

In a template of JSON every text goes through `| tojson`: whatever else would be pasted is an error, as a query with a quote in
it would break the body, or change it. `| fts5` and `| lucene` take the syntax of these engines' query languages out of a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from qrelkit.core.errors import InputError
from qrelkit.core.records import Query

if TYPE_CHECKING:
    import jinja2

VARIABLES = ("query", "text", "rewrites", "query_id", "columns", "depth", "size", "offset", "page", "cursor")
_WORD = re.compile(r"\w+")
_SYNTAX = re.compile(r'([+\-=&|!(){}\[\]^"~*?:\\/])')
_OPERATOR = re.compile(r"\b(?=(?:AND|OR|NOT|TO)\b)")


def fts5(text: str, operator: str = "") -> str:
    """A query for SQLite's FTS5 in which every word of `text` is quoted; all must occur, or with "OR" any of them.

    Punctuation goes, which the tokenizer of FTS5 would drop anyway; a text without words matches nothing.
    """
    if operator not in ("", "AND", "OR"):
        raise InputError(f"fts5: the operator is AND or OR, not {operator!r}")
    return f" {operator} ".join(f'"{word}"' for word in _WORD.findall(text)) or '""'


def lucene(text: str) -> str:
    """`text` as plain words for Lucene's query parsers: operators are escaped; < and >, which cannot be, become blanks."""
    return _OPERATOR.sub(r"\\", _SYNTAX.sub(r"\\\1", re.sub("[<>]", " ", text)))


def words_of(query: Query) -> str:
    """What a text engine is asked: the query's text, joined with its rewrites by the rule for words.

    Raises InputError for a rule of term weights, which has no form as a text.
    """
    if query.combine is None or not query.rewrites:
        return query.text
    pieces = query.combine.words.pieces(query.text, query.rewrites)
    if any(piece.weight is not None for piece in pieces):
        raise InputError(
            f"the rule {query.combine.name!r} weights the terms of rewrites, and an engine is asked one text; "
            "use another rule, or `rewrites` in its template"
        )
    return " ".join(piece.text for piece in pieces)


def variables_of(query: Query, depth: int) -> dict[str, Any]:
    """What templates may say of a query."""
    return {
        "query": words_of(query),
        "text": query.text,
        "rewrites": list(query.rewrites),
        "query_id": query.query_id,
        "columns": dict(query.columns),
        "depth": depth,
        "size": depth,
        "offset": 0,
        "page": 1,
        "cursor": "",
    }


class Template:
    """A template that is there to be rendered; `where` names it in errors. Raises InputError for one that cannot be read."""

    def __init__(self, source: str, where: str, *, json: bool = False) -> None:
        import jinja2

        self.where = where
        try:
            self._template = environment(json).from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise InputError(f"{where}, line {error.lineno}: {error.message}") from None

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text; InputError for an unknown variable or what cannot be computed."""
        import jinja2

        try:
            return self._template.render(variables)
        except (jinja2.TemplateError, ArithmeticError, TypeError, ValueError) as error:
            raise InputError(f"{self.where}: {error}") from None


class Params:
    """Named values, those that are texts being templates: of an address, a form or an SQL statement."""

    def __init__(self, params: Mapping[str, Any], where: str) -> None:
        self._templates = {name: self._compiled(value, f"{where}: params.{name}") for name, value in params.items()}

    def render(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Every value, texts rendered, numbers as they are."""

        def one(value: Any) -> Any:
            if isinstance(value, list):
                return [one(inner) for inner in value]
            return value.render(variables) if isinstance(value, Template) else value

        return {name: one(value) for name, value in self._templates.items()}

    def _compiled(self, value: Any, where: str) -> Any:
        if isinstance(value, list):
            return [self._compiled(inner, where) for inner in value]
        return Template(value, where) if isinstance(value, str) else value


def as_pairs(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The parameters of an address or a form: a list is a parameter that comes several times."""
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        values: Sequence[Any] = value if isinstance(value, list) else [value]
        pairs += [(name, str(one).lower() if isinstance(one, bool) else str(one)) for one in values]
    return pairs


def condition(source: str, where: str) -> Callable[[Mapping[str, Any]], bool]:
    """A Jinja expression as a test of variables (`alpha + beta <= 1`)."""
    import jinja2

    try:
        compiled = environment(False).compile_expression(source, undefined_to_none=False)
    except jinja2.TemplateSyntaxError as error:
        raise InputError(f"{where}: {error.message}") from None

    def holds(variables: Mapping[str, Any]) -> bool:
        try:
            return bool(compiled(**variables))
        except (jinja2.TemplateError, ArithmeticError, TypeError) as error:
            raise InputError(f"{where}: {error}") from None

    return holds


@lru_cache(maxsize=2)
def environment(json: bool) -> jinja2.Environment:
    """The sandbox; for `json`, one that prints nothing which may not be JSON."""
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    made = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False, finalize=_json if json else None
    )
    made.filters |= {"fts5": fts5, "lucene": lucene}
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    return made


def _json(value: Any) -> Any:
    import jinja2
    from markupsafe import Markup

    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float | Markup | jinja2.Undefined):
        return value
    raise TypeError(f"{str(value)[:40]!r} would be pasted into JSON; write {{{{ … | tojson }}}}, without quotes around it")
