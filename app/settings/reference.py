"""The reference of every variable, made from the models: ``ka env``."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticUndefined

from app.settings import AREAS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from app.settings.area import Area

#: Columns of a line on a terminal.
WIDTH = 100


@dataclass(frozen=True)
class Variable:
    """What there is to know about one variable. ``default`` is None where there is none."""

    name: str
    area: str
    required: bool
    secret: bool
    default: str | None
    accepts: str
    description: str


def variables() -> Iterator[Variable]:
    """Every variable, area by area."""
    for area in AREAS:
        for name, field, text in area.variables():
            yield Variable(
                name=name,
                area=_title(area),
                required=field.is_required(),
                secret=text.secret,
                default=_default(field),
                accepts=text.accepts,
                description=field.description or "",
            )


def reference(style: str) -> str:
    """All of it as ``table``, ``markdown``, ``dotenv`` or ``json``."""
    return {"table": _table, "markdown": _markdown, "dotenv": _dotenv, "json": _json}[style]()


def _title(area: type[Area]) -> str:
    return (area.__doc__ or "").splitlines()[0].rstrip(".")


def _default(field: FieldInfo) -> str | None:
    value = field.default
    return None if value is None or value is PydanticUndefined or value == () else _as_typed(value)


def _as_typed(value: Any) -> str:
    """A default as an operator would type it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ",".join(_range(*item) for item in value)
    return str(value)


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _remark(variable: Variable) -> str:
    if variable.required:
        return "required"
    return "not set" if variable.default is None else variable.default


def _table() -> str:
    lines = []
    for variable in variables():
        lines.append(f"{variable.name}  ({_remark(variable)})")
        lines += textwrap.wrap(f"{variable.accepts}", WIDTH - 4, initial_indent="    ", subsequent_indent="    ")
        lines += textwrap.wrap(variable.description, WIDTH - 4, initial_indent="    ", subsequent_indent="    ")
        lines.append("")
    lines += textwrap.wrap(BESIDES, WIDTH)
    return "\n".join(lines) + "\n"


def _markdown() -> str:
    lines = ["| variable | accepts | default | meaning |", "|---|---|---|---|"]
    for variable in variables():
        default = "**required**" if variable.required else f"`{variable.default}`" if variable.default else "–"
        lines.append(f"| `{variable.name}` | {variable.accepts} | {default} | {variable.description} |")
    lines += ["", BESIDES]
    return "\n".join(lines) + "\n"


def _dotenv() -> str:
    lines = ["# Every variable of docker-keepalived. Made by: ka env --format dotenv"]
    lines += textwrap.wrap(BESIDES, WIDTH, initial_indent="# ", subsequent_indent="# ")
    for variable in variables():
        lines.append("")
        lines += textwrap.wrap(
            f"{variable.description} ({variable.accepts})", WIDTH, initial_indent="# ", subsequent_indent="# "
        )
        value = EXAMPLES.get(variable.name, variable.default or "")
        lines.append(f"{'' if variable.required else '#'}{variable.name}={value}")
    return "\n".join(lines) + "\n"


def _json() -> str:
    return json.dumps([asdict(variable) for variable in variables()], indent=2, ensure_ascii=False) + "\n"


#: What no single variable's line can say.
BESIDES = (
    "Every KA_X can also be given as KA_X_FILE, the path of a file that holds the value. Lists split on commas and "
    "white space. KA_INSTANCES__NAME__X says KA_X for one more VRRP instance, called NAME: what an instance does not "
    "say itself it takes from the plain variables, its VIPs and routes apart."
)

#: What stands in .env.example for what has no default.
EXAMPLES = {
    "KA_TRACK_IFACE": "eth0",
    "KA_INCLUDE": "203.0.113.10/24",
    "KA_PRIORITY": "254",
    "KA_VRID": "51",
    "KA_ENABLE_CHECK": "http://127.0.0.1:8080/health",
}
