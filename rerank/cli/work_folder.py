"""`rerank demo`, `run`, `status`, `verify` and `gc`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rerank.cli.options import (
    DONE,
    FAILED,
    WORK,
    WORK_HELP,
    Commands,
    add_command,
    add_execution,
    add_json,
    add_overrides,
    add_work,
    execution_of,
    find_work,
    show,
)
from rerank.errors import ConfigError

if TYPE_CHECKING:
    from rerank.engine.graph import Graph


def add(commands: Commands) -> None:
    """Add these commands."""
    demo = add_command(
        commands, "demo", _demo, "the whole pipeline on drawn scenes, then the report"
    )
    demo.add_argument("--out", default="demo", help="folder for the work and the report [demo]")
    add_json(demo)
    add_execution(demo)

    run = add_command(commands, "run", _run, "run a recipe, or what is left of it")
    run.add_argument("recipe", help="a built-in recipe's name, or a YAML file")
    run.add_argument("--data-root", help="folder of the images")
    run.add_argument("--work", help="work folder [work/NAME]")
    run.add_argument("--fold", help="only what this fold needs: 0, 1, ... or final")
    run.add_argument(
        "--keep-temporary",
        action="store_true",
        help="keep features of superpixels, for runs with other settings",
    )
    add_overrides(run, "replace a setting; may be given several times")
    add_json(run)
    add_execution(run)

    status = add_command(commands, "status", _status, "what is done, stale, missing or damaged")
    status.add_argument(
        "recipe", nargs="?", help="name of a recipe, for work/NAME [the only run there is]"
    )
    status.add_argument("--work", type=find_work, metavar="DIR|NAME", help=WORK_HELP)
    add_json(status)
    status.add_argument("--all", action="store_true", help="a line for every fold")
    verify = add_command(commands, "verify", _verify, "read every byte of every artefact")
    add_work(verify)
    verify.add_argument("--repair", action="store_true", help="recompute what is damaged")
    add_json(verify)
    add_execution(verify)
    gc = add_command(commands, "gc", _gc, "remove what the last recipe does not use")
    add_work(gc)
    gc.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    add_json(gc)


def _demo(options: argparse.Namespace) -> int:
    from rerank.applications.runs import run

    return _report(options, run("scenes", None, options.out, execution=execution_of(options)))


def _run(options: argparse.Namespace) -> int:
    from rerank.applications.runs import run

    graph = run(
        options.recipe,
        options.data_root,
        options.work,
        fold=options.fold,
        overrides=options.overrides,
        execution=execution_of(options),
    )
    if options.fold is None:
        return _report(options, graph)
    if options.json:
        show(options, {"work": str(graph.store.root), "fold": options.fold}, "")
    return DONE


def _report(options: argparse.Namespace, graph: Graph) -> int:
    from rerank.applications.reports import export_report

    page = export_report(graph, graph.store.root / "report")
    found = {"work": str(graph.store.root), "report": str(page)}
    show(options, found, f"The report: {page}")
    return DONE


def _status(options: argparse.Namespace) -> int:
    from rerank.applications.upkeep import status_json, status_lines

    if options.recipe is not None and options.work is not None:
        raise ConfigError("rerank status takes the recipe's name or --work, and not both")
    work = options.work or (_only_run() if options.recipe is None else find_work(options.recipe))
    if options.json:
        show(options, status_json(work), "")
    else:
        print("\n".join(status_lines(work, every_fold=options.all)))
    return DONE


def _only_run() -> str:
    """The one work folder that `rerank run` or `rerank demo` made here."""
    from rerank.engine.store import is_work_folder

    folders = [Path("demo"), *(sorted(WORK.iterdir()) if WORK.is_dir() else [])]
    found = [str(folder) for folder in folders if is_work_folder(folder)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"which run? There are {', '.join(found)}: name one of them")
    raise ConfigError("there is no run below work/ here; name its folder with --work DIR")


def _verify(options: argparse.Namespace) -> int:
    from rerank.applications.upkeep import repair, verify

    mended: list[str] = []
    if options.repair:
        mended, problems = repair(options.work, execution_of(options))
    else:
        for name, default in (
            ("jobs", None),
            ("backend", "loky"),
            ("scheduler", None),
            ("quiet", False),
        ):
            if getattr(options, name) != default:
                raise ConfigError(f"--{name} goes with --repair: verify alone runs no task")
        problems = verify(options.work)
    if options.json:
        show(options, {"mended": mended, "problems": problems}, "")
        return FAILED if problems else DONE
    if not options.quiet:
        for line in mended:
            print(f"mended: {line.rpartition(';')[0] or line}")
        if mended and not problems:
            print(f"{len(mended)} files were mended; what was damaged is in the quarantine.")
    for line in problems:
        print(line)
    if not (mended or problems or options.quiet):
        print("All artefacts are whole.")
    return FAILED if problems else DONE


def _gc(options: argparse.Namespace) -> int:
    from rerank.applications.upkeep import collect_garbage

    found = collect_garbage(options.work, options.dry_run)
    if options.json:
        files = [str(path) for path in found.paths]
        show(options, {"dry_run": options.dry_run, "files": files, "bytes": found.bytes}, "")
        return DONE
    if options.dry_run:
        for path in found.paths:
            print(path)
    done = "Would remove" if options.dry_run else "Removed"
    print(f"{done} {len(found.paths)} files, {found.bytes / (1 << 20):.1f} MiB.")
    return DONE
