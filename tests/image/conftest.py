"""Every test below this directory has the marker `image`: the image, built and run on a real Docker Engine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab.engine import BASE_IMAGE, IMAGE, ROOT, Engine, engine_answers
from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_HERE = Path(__file__).parent
_BUILD_LIMIT = 1500  # seconds; from nothing, on two cores, it takes 3 minutes


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.image)


@pytest.fixture(scope="session")
def image() -> str:
    """The image of this checkout; what has not changed comes from the engine's cache, so it is made every time.

    Skips where there is no engine, with one sentence; but on CI fails, which must not skip quietly. .ci/run says
    IMAGE_TESTS=elsewhere on its fresh machine, which has no engine, because it runs these tests beside that.
    """
    if not engine_answers():
        sentence = "no Docker Engine answers, so the image is not tested; make engine starts one"
        if os.environ.get("CI") and os.environ.get("IMAGE_TESTS") != "elsewhere":
            pytest.fail(sentence, pytrace=False)
        pytest.skip(sentence)
    for script, *arguments in (["base-image", BASE_IMAGE], ["build-image", "--quiet"]):
        built = subprocess.run(
            [ROOT / "scripts" / script, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=_BUILD_LIMIT,
        )
        if built.returncode:
            pytest.fail(f"scripts/{script} failed: {built.stdout[-2000:]}{built.stderr[-2000:]}", pytrace=False)
    return IMAGE


@pytest.fixture
def engine(image: str) -> Iterator[Engine]:
    """An engine that has the image."""
    with Engine() as engine:
        yield engine


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the containers' logs and the timeline with every test that fails and has not shown them itself."""
    report = yield
    funcargs: dict[str, Any] = getattr(item, "funcargs", {})
    engine = funcargs.get("engine")
    told = call.excinfo is not None and call.excinfo.errisinstance(LabError)
    if call.when == "call" and report.failed and isinstance(engine, Engine) and not told:
        report.sections.append(("engine", engine.report()))
    return report
