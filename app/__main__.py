"""``python -m app`` is ``ka``."""

from app.cli import console

console()
