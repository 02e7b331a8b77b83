"""Prompts are files: front matter, then Jinja blocks, each rendered on its own so that it is hashed and sent once.

    ---
    name: mine
    version: 1
    for: judge
    ---
    {% block system %} … {% endblock %}      shared by all pairs
    {% block query %} … {% endblock %}       shared by the pairs of one query, like the examples after it
    {% block example %} … {% endblock %}
    {% block document %} … {% endblock %}    the pair's own
    {% block ask %} … {% endblock %}         where the verdict is asked for
    {% block again %} … {% endblock %}       said once more when the answer could not be read

A prompt `for: group` is about several documents of a query at once: its block `number` stands before each of them, and there,
in `ask` and in `again` it may say `count`; one `for: order` likewise. One `for: rewrite` or `for: verdict` has only `system` and
`ask`. What stands first is common to the most requests, so that providers can reuse it. Shipped prompts are versioned and never
edited in place: `pointwise@1`. Templates run in Jinja's sandbox, and an unknown variable is an error. `| fenced` makes text of a
query or document unable to close its fence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.wire import digest_bytes

PACKAGES = ("judges", "rewriters", "retrievers", "bench/smmile")
SHIPPED = tuple(Path(__file__).parents[1] / package / "prompts" for package in PACKAGES)
BLOCKS: Mapping[str, tuple[str, ...]] = {
    "judge": ("system", "query", "document", "ask", "again"),
    "group": ("system", "query", "number", "document", "ask", "again"),
    "guide": ("system", "query", "ask", "again"),
    "describe": ("system", "ask"),
    "rewrite": ("system", "ask"),
    "verdict": ("system", "ask"),
    "order": ("system", "query", "number", "document", "ask", "again"),
}
_FENCE = re.compile(r"<(?=/?\s*(?:query|document|case|example)\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt file, ready to be rendered block by block; `digest` is that of the whole file."""

    name: str
    digest: str
    source: str
    meta: Mapping[str, Any]
    blocks: Mapping[str, Any] = field(repr=False)

    def render(self, block: str, **values: Any) -> str:
        """One block as text, blank lines at its ends removed; InputError names the file for an unknown variable."""
        import jinja2
        from jinja2.runtime import new_context

        template = self.blocks["template"]
        try:
            context = new_context(template.environment, template.name, {}, values, shared=True)  # our blocks use no globals
            text: str = "".join(template.blocks[block](context)).strip("\n")
        except (jinja2.TemplateError, TypeError) as error:
            raise InputError(f"prompt {self.name}, block {block}: {error}") from None
        return text

    def has(self, block: str) -> bool:
        return block in self.blocks["template"].blocks


def fenced(text: object) -> str:
    """Text that cannot close the fence it stands in: `</document>` becomes `‹/document>`."""
    return _FENCE.sub("‹", str(text))


def shipped_prompts() -> list[str]:
    """Names of the prompts that come with qrelkit, with their versions."""
    return sorted(path.stem for folder in SHIPPED for path in folder.glob("*.jinja"))


def read_prompt(name: str, purpose: str = "judge") -> Prompt:
    """A shipped prompt (`pointwise@1`; without a version the newest) or a user's own file.

    Raises UnknownName for a name that is neither, InputError for a file without the blocks its purpose needs.
    """
    path = Path(name)
    if not path.suffix or not path.is_file():
        path = _shipped(name)
    try:
        source = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: a prompt must be UTF-8 text") from None
    prompt = _compile(source, path.stem)
    if (meant := prompt.meta.get("for", purpose)) != purpose:
        raise InputError(f"prompt {prompt.name} is for {meant!r}, not for {purpose!r}")
    missing = [block for block in BLOCKS[purpose] if not prompt.has(block)]
    if missing:
        block = f"{{% block {missing[0]} %}} … {{% endblock %}}"
        raise InputError(f"prompt {path}: a prompt for {purpose!r} needs {block}")
    return prompt


def _shipped(name: str) -> Path:
    known = shipped_prompts()
    same = [k for k in known if k == name or k.split("@")[0] == name]
    if not same:
        raise UnknownName("prompt (neither shipped nor a file)", name, known)
    newest = max(same, key=lambda k: int(k.split("@")[1]))
    return next(path for folder in SHIPPED for path in folder.glob(f"{newest}.jinja"))


@lru_cache(maxsize=32)
def _compile(source: str, name: str) -> Prompt:
    import jinja2
    import yaml
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    meta: Mapping[str, Any] = {}
    body = source.replace("\r\n", "\n")
    if body.startswith("---\n"):
        head, found, rest = body[4:].partition("\n---\n")
        if not found:
            raise InputError(f"prompt {name}: the front matter opened by '---' is not closed by another '---'")
        try:
            meta, body = yaml.safe_load(head) or {}, rest
        except yaml.YAMLError as error:
            raise InputError(f"prompt {name}: front matter is not YAML: {error}") from None
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False, autoescape=False
    )
    environment.filters["fenced"] = fenced
    try:
        template = environment.from_string(body)
    except jinja2.TemplateSyntaxError as error:
        raise InputError(f"prompt {name}, line {error.lineno} after the front matter: {error.message}") from None
    return Prompt(name, digest_bytes(source.encode()), source, meta, {"template": template})
