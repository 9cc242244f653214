"""`rerank demo`, `run`, `status`, `verify` and `gc`."""

from __future__ import annotations

import argparse

from rerank.cli.options import (
    DONE,
    FAILED,
    Commands,
    add_command,
    add_execution,
    add_overrides,
    add_work,
    execution_of,
)
from rerank.errors import ConfigError


def add(commands: Commands) -> None:
    """Add these commands."""
    demo = add_command(
        commands, "demo", _demo, "the whole pipeline on drawn scenes, then the report"
    )
    demo.add_argument("--out", default="demo", help="folder for the work and the report [demo]")
    add_execution(demo)

    run = add_command(commands, "run", _run, "run a recipe, or what is left of it")
    run.add_argument("recipe", help="a built-in recipe's name, or a YAML file")
    run.add_argument("--data-root", help="folder of the images")
    run.add_argument("--work", help="work folder [work/NAME]")
    run.add_argument("--fold", help="only what this fold needs: 0, 1, ... or final")
    add_overrides(run, "replace a setting; may be given several times")
    add_execution(run)

    status = add_command(commands, "status", _status, "what is done, stale, missing or damaged")
    add_work(status)
    status.add_argument("--all", action="store_true", help="a line for every fold")
    verify = add_command(commands, "verify", _verify, "read every byte of every artefact")
    add_work(verify)
    verify.add_argument("--repair", action="store_true", help="recompute what is damaged")
    add_execution(verify)
    gc = add_command(commands, "gc", _gc, "remove what the last recipe does not use")
    add_work(gc)
    gc.add_argument("--dry-run", action="store_true", help="only say what would be removed")


def _demo(options: argparse.Namespace) -> int:
    from rerank.applications.reports import export_report
    from rerank.applications.runs import run

    graph = run("scenes", None, options.out, execution=execution_of(options))
    print(f"The report: {export_report(graph, graph.store.root / 'report')}")
    return DONE


def _run(options: argparse.Namespace) -> int:
    from rerank.applications.reports import export_report
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
        print(f"The report: {export_report(graph, graph.store.root / 'report')}")
    return DONE


def _status(options: argparse.Namespace) -> int:
    from rerank.applications.upkeep import status_lines

    print("\n".join(status_lines(options.work, every_fold=options.all)))
    return DONE


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
    if options.dry_run:
        for path in found.paths:
            print(path)
    done = "Would remove" if options.dry_run else "Removed"
    print(f"{done} {len(found.paths)} files, {found.bytes / (1 << 20):.1f} MiB.")
    return DONE
