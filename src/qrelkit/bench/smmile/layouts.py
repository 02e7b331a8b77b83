"""How a problem is laid out as messages, as data: who says the demonstrations' answers, what stands before what, system text.

The published harness laid problems out differently for each model, without saying so; its layouts are presets here, in roles
and order. All words are ours: system texts of the presets say what the published ones were for, not what they said. `plain` is
our own layout, the same for every model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.yaml_files import read_mapping

ASSISTANT = "You are an assistant to physicians. Answer questions about medical images, briefly and exactly."
EXPERT = "You are a medical expert. Answer questions about medical images."


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """`answers`: who says a demonstration's answer (`text`: the demonstrations are one text in the query's own turn, without
    their images). `images`: where an image stands of its question. `system`: the system text, none where empty.
    `after_answer` follows every demonstrated answer. Multiple choice: `option` is the form of a line, `shuffled` whether lines
    are shown in an order drawn per problem, `options_with_examples` whether demonstrations in a text repeat them.
    """

    name: str
    answers: Literal["assistant", "system", "text"] = "assistant"
    images: Literal["before", "after"] = "before"
    system: str = ""
    after_answer: str = ""
    option: str = "{letter}. {text}"
    shuffled: bool = True
    options_with_examples: bool = False

    def json(self) -> dict[str, Any]:
        return asdict(self)


PLAIN = Layout(name="plain", system="Answer the question about the image. Where examples come first, answer in their form.")
LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        PLAIN,
        Layout(name="gpt-4o", answers="system", images="after", system=ASSISTANT),
        Layout(name="claude", images="after", system=ASSISTANT),
        Layout(name="qwen"),  # its chat template adds a system line of its own
        Layout(name="llava"),
        Layout(name="llama", after_answer="\n"),
        Layout(name="medgemma", images="after", system=EXPERT),
        Layout(name="medvlm", answers="text", option="{letter}) {text}", shuffled=False, options_with_examples=True),
    )
}
CHOICES = {"answers": ("assistant", "system", "text"), "images": ("before", "after")}


def layout_of(name: str) -> Layout:
    """A preset, or the layout in a YAML file. Raises UnknownName for what is neither, InputError for a field it cannot have."""
    if name in LAYOUTS:
        return LAYOUTS[name]
    path = Path(name)
    if not path.is_file():
        raise UnknownName("layout (neither a preset nor a file)", name, LAYOUTS)
    return _read(path)


def _read(path: Path) -> Layout:
    said = {"name": path.stem, **read_mapping(path, such_as="answers: assistant")}
    kinds = {field.name: type(getattr(PLAIN, field.name)) for field in fields(Layout)}
    for name, value in said.items():
        if name not in kinds:
            raise UnknownName(f"field of a layout ({path})", str(name), kinds)
        if not isinstance(value, kinds[name]):
            raise InputError(f"{path}: {name}: must be a {kinds[name].__name__}, found {value!r}")
        if value not in CHOICES.get(name, (value,)):
            raise UnknownName(f"value of {name} ({path})", str(value), CHOICES[name])
    layout = Layout(**said)
    if "{letter}" not in layout.option or "{text}" not in layout.option:
        raise InputError(f"{path}: option: must hold {{letter}} and {{text}}, found {layout.option!r}")
    return layout
