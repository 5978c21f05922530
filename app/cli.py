"""The command line: ``ka``, which is the image's entry point."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from app import __version__
from app.contract.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_STOPPED, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.contract.expected import Examined
    from app.contract.paths import Layout
    from app.operate.doctor.scene import Scene


#: The exit status of a command that asks a node where none runs.
EXIT_NO_NODE = 1

# What a command needs is imported when it runs: ``ka health`` must not pay for pydantic.


def console() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:], os.environ))


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs a command and gives its exit status; ``ka run`` does not come back."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options, environ)
        # A pipe that nobody reads shows itself here, and not when the interpreter has ended all handling of errors.
        sys.stdout.flush()
    except ConfigError as error:
        for problem in error.problems:
            print(f"ka: {problem}", file=sys.stderr)
        count = len(error.problems)
        print(f"ka: {count} problem{'' if count == 1 else 's'}, nothing was started", file=sys.stderr)
        return EXIT_CONFIG
    except BrokenPipeError:
        # The reader (head, a pager) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_STOPPED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        hint = "; ka must be run as root" if isinstance(error, PermissionError) and os.geteuid() else ""
        print(f"ka: {where}{error.strerror or error}{hint}", file=sys.stderr)
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - a traceback tells an operator nothing that could be typed
        print(f"ka: cannot go on, which is a defect of its own and worth a report: {_where(error)}", file=sys.stderr)
        return EXIT_FAILED
    return status


def _where(error: Exception) -> str:
    """What was raised and where, without the words of the error: a secret may be in them."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ka", description="A highly available IP address, told everything by KA_* environment variables."
    )
    parser.add_argument("--version", action="version", version=f"docker-keepalived {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="run the node until told to stop")
    run.set_defaults(command=_run)

    check = commands.add_parser("check", help="say everything that is wrong with the environment; exit status 0 or 78")
    check.set_defaults(command=_check)

    render = commands.add_parser("render", help="print the rendered files and touch nothing")
    render.add_argument("file", nargs="?", metavar="FILE", help="print only this one, for example keepalived.conf")
    render.add_argument("--show-secrets", action="store_true", help="print passwords instead of stars")
    render.set_defaults(command=_render)

    reload = commands.add_parser("reload", help="read secrets, files and names again, and apply what changed")
    reload.set_defaults(command=_reload)

    drain = commands.add_parser("drain", help="hand the VIPs over before maintenance, and take none")
    drain.set_defaults(command=_drain)

    undrain = commands.add_parser("undrain", help="take part again")
    undrain.set_defaults(command=_undrain)

    health = commands.add_parser("health", help="say whether this node does what it claims; exit status 0 or 1")
    health.add_argument("--ready", action="store_true", help="fail as well while this node could not take over")
    health.set_defaults(command=_health)

    doctor = commands.add_parser("doctor", help="say why a VIP would not work, or does not, and what to type")
    doctor.add_argument("--only", action="append", default=[], metavar="CATEGORY|CODE", help="look at this part")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    doctor.add_argument("--list", action="store_true", help="print every code there is, and look at nothing")
    doctor.set_defaults(command=_doctor)

    init = commands.add_parser("init", help="look at this network and print a .env that every node can use")
    init.add_argument("vip", metavar="VIP", help="the address that is to move, as ADDRESS or ADDRESS/PREFIX/LINK")
    init.set_defaults(command=_init)

    env = commands.add_parser("env", help="print the reference of every variable")
    env.add_argument("--format", choices=("table", "markdown", "dotenv", "json"), default="table")
    env.set_defaults(command=_env)
    return parser


def _run(_options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    # The kernel hands PID 1 no signal without a handler; the import alone takes a while, and what follows may wait.
    # Straight out: not every library lets an exception through that comes from nowhere.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(EXIT_STOPPED))
    from app.lifecycle.start import run  # noqa: PLC0415

    run(environ)


def _check(_options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from app.lifecycle.check import dry_run  # noqa: PLC0415
    from app.lifecycle.prepare import prepare  # noqa: PLC0415
    from app.plan.summary import summary  # noqa: PLC0415

    plan = prepare(environ)
    dry_run(plan)
    for warning in plan.warnings:
        print(f"warning: {warning}")
    for line in summary(plan):
        print(line)
    return EXIT_STOPPED


def _render(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from app.contract.errors import Problem  # noqa: PLC0415
    from app.lifecycle.prepare import prepare  # noqa: PLC0415
    from app.render import render  # noqa: PLC0415

    files = render(prepare(environ), show_secrets=options.show_secrets)
    if options.file is None:
        for file in files:
            print(f"==> {file.path} <==\n{file.text}")
        return EXIT_STOPPED
    for file in files:
        if file.path == options.file:
            print(file.text, end="")
            return EXIT_STOPPED
    names = ", ".join(file.path for file in files)
    raise ConfigError(Problem(f"ka render {options.file}", f"there is no such file in this plan; it has {names}"))


def _env(options: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    from app.settings.reference import reference  # noqa: PLC0415

    print(reference(options.format), end="")
    return EXIT_STOPPED


def _reload(_options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from app.lifecycle.reload import main as reload  # noqa: PLC0415

    layout = _layout(environ)
    if not layout.environment.exists():
        return _said(
            (EXIT_NO_NODE, f"no node runs in {layout.run_dir}; ka run starts one, KA_RUN_DIR names another place")
        )
    return reload(str(layout.run_dir))


def _drain(_options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from app.operate.drain import drain  # noqa: PLC0415

    return _said(drain(_layout(environ)))


def _undrain(_options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from app.operate.drain import undrain  # noqa: PLC0415

    return _said(undrain(_layout(environ)))


def _said(outcome: tuple[int, str]) -> int:
    status, sentence = outcome
    print(sentence, file=sys.stderr if status else sys.stdout)
    return status


def _health(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from app.operate.health import health  # noqa: PLC0415

    status, sentences = health(_layout(environ), asks_ready=options.ready)
    for sentence in sentences:
        print(sentence)
    return status


def _doctor(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from app.operate.doctor import examination  # noqa: PLC0415

    if options.list:
        for line in examination.catalogue_lines():
            print(line)
        return EXIT_STOPPED
    if sentence := examination.unknown(options.only):
        return _said((examination.EXIT_UNKNOWN, sentence))
    results = []
    for result in examination.diagnose(_scene(environ), options.only):
        results.append(result)
        if not options.json:
            for line in examination.in_words(result):
                print(line, flush=True)
    if options.json:
        print(examination.in_json(results))
    return examination.status_of(results)


def _init(options: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    from app.operate.doctor.scene import NotLookedAtError  # noqa: PLC0415
    from app.operate.init import EXIT_TAKEN, NotFreeError, asked_for, env_file  # noqa: PLC0415

    try:
        return _said((EXIT_STOPPED, env_file(_scene(asked_for(options.vip)))))
    except (NotFreeError, NotLookedAtError) as error:
        return _said((EXIT_TAKEN, f"ka: {error}"))


def _scene(environ: Mapping[str, str]) -> Scene:
    """What the doctor and init look at."""
    from app.operate.doctor.scene import Scene  # noqa: PLC0415

    layout = _layout_or_default(environ)

    def examine() -> Examined:
        # pydantic: who does not need it need not wait for it.
        from app.lifecycle.examine import examine  # noqa: PLC0415

        return examine(environ, layout)

    return Scene(environ, layout, examine)


def _layout_or_default(environ: Mapping[str, str]) -> Layout:
    """The doctor says what is wrong with KA_RUN_DIR, too."""
    from app.contract.paths import DEFAULT_RUN_DIR, Layout  # noqa: PLC0415

    try:
        return _layout(environ)
    except ConfigError:
        return Layout(DEFAULT_RUN_DIR)


def _layout(environ: Mapping[str, str]) -> Layout:
    from app.contract.environ import run_dir_of  # noqa: PLC0415
    from app.contract.paths import DEFAULT_RUN_DIR, Layout  # noqa: PLC0415

    return Layout(run_dir_of(environ, DEFAULT_RUN_DIR))
