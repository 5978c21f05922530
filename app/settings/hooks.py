"""What is told of every transition."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from app.settings.area import Area
from app.settings.checks import HTTP_FORM, SCRIPT_FORM, SCRIPT_PATTERN, http_url
from app.settings.text import Text, matching


class Hooks(Area):
    """Hooks."""

    notify: Annotated[str | None, matching(SCRIPT_PATTERN, SCRIPT_FORM)] = Field(
        default=None,
        description="An executable in KA_DATA_DIR/scripts that is run on every transition, as KA_SCRIPT_USER, with "
        "instance, state and priority as arguments, and as KA_INSTANCE, KA_STATE and KA_PRIORITY in its environment.",
    )
    notify_url: Annotated[SecretStr | None, Text(HTTP_FORM, lambda text: SecretStr(http_url(text)), secret=True)] = (
        Field(default=None, description="An URL that gets a JSON POST on every transition.")
    )
