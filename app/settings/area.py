"""The base of every settings model: one area of what the operator asked for, read from ``KA_*`` variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

from pydantic import ValidationError
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from app.contract.environ import PREFIX
from app.contract.errors import Problem
from app.settings.text import Text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pydantic.fields import FieldInfo
    from pydantic_settings import PydanticBaseSettingsSource


class NotUsableError(AttributeError):
    """A setting that is itself wrong was asked for; a rule that needs it has nothing to say yet."""


class _Environment(EnvSettingsSource):
    """Reads the cleaned environment that the area is made with, not the process's own."""

    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        # pydantic-settings folds the case of the names it looks for; which case is right was settled before.
        return {name.lower(): text for name, text in self._environ.items()}


class Area(BaseSettings):
    """A frozen part of the settings. Make one with :meth:`read`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", enable_decoding=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic-settings'
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # What the constructor was given is the environment to read, no setting.
        return (_Environment(settings_cls, init_settings()["environ"]),)

    def __getattr__(self, name: str) -> Any:
        # Only called for what is not there: a setting that :meth:`read` left out because it is wrong.
        raise NotUsableError(name)

    @classmethod
    def variables(cls) -> Iterator[tuple[str, FieldInfo, Text[Any]]]:
        """Each variable of this area: its full name, its field and what its text may be."""
        for name, field in cls.model_fields.items():
            yield variable(name), field, next(item for item in field.metadata if isinstance(item, Text))

    @classmethod
    def read(cls, environ: Mapping[str, str], unread: Collection[str] = ()) -> tuple[Self, list[Problem]]:
        """The area as ``environ`` (cleaned: see app.settings.environment) describes it, and its problems.

        ``unread`` are variables whose value could not be read; they are neither missing nor have they their default.
        What is wrong raises NotUsableError when it is asked for.
        """
        problems = []
        try:
            area = cls(environ=environ)
        except ValidationError as error:
            area = None
            for detail in error.errors(include_input=False, include_url=False, include_context=False):
                name = variable(str(detail["loc"][0]).removeprefix(PREFIX.lower()))
                must = next(text.accepts for full, _, text in cls.variables() if full == name)
                is_missing = detail["type"] == "missing"
                problems.append(Problem(name, f"is not set; it must be {must}" if is_missing else detail["msg"]))
        problems = [problem for problem in problems if problem.subject not in unread]
        wrong = {problem.subject for problem in problems} | {full for full, _, _ in cls.variables() if full in unread}
        return (area if area is not None and not wrong else cls._without(wrong, environ)), problems

    @classmethod
    def _without(cls, wrong: set[str], environ: Mapping[str, str]) -> Self:
        values = {}
        for (name, field), (full, _, text) in zip(cls.model_fields.items(), cls.variables(), strict=True):
            if full in wrong:
                continue
            default = None if field.default is PydanticUndefined else field.default
            values[name] = text.validate(environ[full]) if full in environ else default
        area = cls.model_construct(None, **values)
        for full in wrong:  # model_construct fills in defaults: a wrong setting must not pass for one
            area.__dict__.pop(full.removeprefix(PREFIX).lower(), None)
        return cast("Self", area)


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()
