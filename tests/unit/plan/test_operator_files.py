"""The operator's own files: what keepalived and Jinja2 would skip, or refuse without naming the file."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app.host.files import Files
from app.render import render
from tests.unit.machine import HOST, LEAST, plan_of, problems_of

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "# A { brace of no account\nstatic_routes {\n    192.0.2.0/24 via 203.0.113.1 dev eth0\n}\n"


def said(data_dir: Path) -> list[str]:
    """What is wrong with what lies in ``data_dir``."""
    return [str(problem) for problem in problems_of({**LEAST, "KA_DATA_DIR": str(data_dir)})]


def test_files_are_asked_of_the_host(data_dir: Path) -> None:
    class Away(Files):
        def look_into(self, directory: Path) -> None:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), directory)

    found = problems_of({**LEAST, "KA_DATA_DIR": str(data_dir)}, replace(HOST, files=Away()))
    must = "cannot be read: Stale file handle; it must be a directory that root can read"
    assert [str(problem) for problem in found] == [f"{data_dir}/conf.d: {must}", f"{data_dir}/templates: {must}"]


class TestConfD:
    @pytest.fixture
    def conf(self, data_dir: Path) -> Path:
        """A file that keepalived will read."""
        path = data_dir / "conf.d" / "10-mine.conf"
        path.parent.mkdir()
        path.write_text(GOOD)
        path.chmod(0o644)
        return path

    def test_a_good_one(self, data_dir: Path, conf: Path) -> None:
        (conf.parent / "README").write_text("{ of no account")
        assert said(data_dir) == []

    def test_a_run_bit(self, data_dir: Path, conf: Path) -> None:
        conf.chmod(0o755)
        assert said(data_dir) == [f"{conf}: is executable, which makes keepalived skip it; chmod a-x {conf}"]

    @pytest.mark.parametrize(
        ("text", "wrong"),
        [
            (GOOD.removesuffix("}\n"), "ends too early, a brace is never closed"),
            (f"{GOOD}}}\n", "closes a brace that was never opened"),
        ],
    )
    def test_braces(self, data_dir: Path, conf: Path, text: str, wrong: str) -> None:
        conf.write_text(text)
        assert said(data_dir) == [f"{conf}: {wrong}; each block must have both"]

    @pytest.mark.parametrize(
        ("text", "blocks"),
        [
            ("virtual_server 203.0.113.10 80 {\n    real_server 203.0.113.11 80 {\n    }\n}\n", ["virtual_server"]),
            ("virtual_server_group web {\n}\nbfd_instance peer {\n}\n", ["virtual_server_group", "bfd_instance"]),
            ("# virtual_server 203.0.113.10 80 {\nstatic_routes {\n}\n", []),
        ],
    )
    def test_a_block_that_nobody_would_run(self, data_dir: Path, conf: Path, text: str, blocks: list[str]) -> None:
        conf.write_text(text)
        why = "only VRRP runs here; it must be blocks of VRRP alone"
        assert said(data_dir) == [f"{conf}: cannot have {block}, {why}" for block in blocks]

    def test_no_text(self, data_dir: Path, conf: Path) -> None:
        conf.write_bytes(b"\xff\xfe")
        assert said(data_dir) == [f"{conf}: cannot be used, it is no text; it must be keepalived.conf text"]

    def test_a_directory_of_that_name(self, data_dir: Path, conf: Path) -> None:
        conf.unlink()
        conf.mkdir()
        assert said(data_dir) == [f"{conf}: cannot be read: Is a directory; it must be a file that root can read"]

    def test_a_link_to_nowhere(self, data_dir: Path, conf: Path) -> None:
        conf.unlink()
        conf.symlink_to("/nowhere")
        assert said(data_dir) == [
            f"{conf}: cannot be read: No such file or directory; it must be a file that root can read"
        ]

    def test_a_change_of_it_is_a_change_of_what_is_rendered(self, data_dir: Path, conf: Path) -> None:
        """A reload asks whether keepalived.conf is another one."""

        def text() -> str:
            return render(plan_of({**LEAST, "KA_DATA_DIR": str(data_dir)}), show_secrets=True)[0].text

        before = text()
        assert re.search(r"^include /run/ka/conf\.d/[0-9a-f]{12}/\*\.conf$", before, re.MULTILINE)
        conf.write_text(GOOD.replace("203.0.113.1", "203.0.113.2"))
        assert text() != before
        conf.unlink()
        assert "include" not in text()


class TestTemplates:
    @pytest.fixture
    def template(self, data_dir: Path) -> Path:
        """A template in place of ours."""
        path = data_dir / "templates" / "keepalived.conf"
        path.parent.mkdir()
        path.write_text("# {{ plan.node_name }}\n")
        return path

    def test_a_good_one(self, data_dir: Path, template: Path) -> None:
        assert template.exists()
        assert said(data_dir) == []
        files = render(plan_of({**LEAST, "KA_DATA_DIR": str(data_dir)}), show_secrets=True)
        assert files[0].text.startswith("# node1\n")

    def test_no_template(self, data_dir: Path, template: Path) -> None:
        template.write_text("a\n{% if plan %}\n")
        (sentence,) = said(data_dir)
        assert sentence.startswith(f"{template}: cannot be used, line 2: ")
        assert sentence.endswith("; it must be a Jinja2 template")

    def test_below_a_directory(self, data_dir: Path, template: Path) -> None:
        below = template.parent / "checks" / "http"
        below.parent.mkdir()
        below.write_bytes(b"\xff\xfe")
        assert said(data_dir) == [f"{below}: cannot be used, it is no text; it must be a Jinja2 template"]
