"""The command `rerank`."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from rerank._version import __version__
from rerank.errors import ConfigError, RerankError

DONE, FAILED, UNUSABLE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0 done, 1 failed, 2 unusable arguments."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options) or DONE)
    except KeyboardInterrupt:
        print("rerank: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        sys.stderr.close()
        return FAILED
    except RerankError as error:
        if options.debug:
            traceback.print_exc()
        print(f"rerank: {' '.join(str(error).split())}", file=sys.stderr)
        return UNUSABLE if isinstance(error, ConfigError) else FAILED
    except MemoryError:
        print(
            "rerank: out of memory; use fewer --jobs or fewer superpixels "
            "(--set superpixels.n_segments=300)",
            file=sys.stderr,
        )
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rerank",
        description="Diverse segmentation proposals, and learning to pick among "
        "them (Cogswell et al. 2014).",
    )
    parser.add_argument("--version", action="version", version=f"rerank {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = _command(commands, "demo", _demo, "the whole pipeline on drawn scenes, then the report")
    demo.add_argument("--out", default="demo", help="folder for the work and the report [demo]")
    _job_options(demo)

    run = _command(commands, "run", _run, "run a recipe, or what is left of it")
    run.add_argument("recipe", help="a built-in recipe's name, or a YAML file")
    run.add_argument("--data-root", help="folder of the images")
    run.add_argument("--work", help="work folder [work/NAME]")
    run.add_argument("--fold", help="only what this fold needs: 0, 1, ... or final")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="a.b=c",
        dest="overrides",
        help="replace a setting; may be given several times",
    )
    _job_options(run)

    status = _command(commands, "status", _status, "what is done, stale, missing or damaged")
    _work_option(status)
    status.add_argument("--all", action="store_true", help="a line for every part")
    verify = _command(commands, "verify", _verify, "read every byte of every artefact")
    _work_option(verify)
    verify.add_argument("--repair", action="store_true", help="recompute what is damaged")
    _job_options(verify)
    garbage = _command(commands, "gc", _gc, "remove what the last recipe does not reach")
    _work_option(garbage)

    for name, summary in (
        ("oracle", "what the proposals make possible, as CSV and PNG"),
        ("ablate", "what each group of features is worth, as CSV and PNG"),
        ("report", "everything on one self-contained HTML page"),
    ):
        analysis = _command(commands, name, _analyse, summary)
        _work_option(analysis)
        analysis.add_argument("--out", help="folder for the files [WORK/report]")
        _job_options(analysis)

    draw = _command(commands, "draw", _draw, "what every stage made of an image, as PNG files")
    _work_option(draw)
    draw.add_argument("image", nargs="?", metavar="ID", help="[the first evaluated image]")
    draw.add_argument("--out", required=True, help="folder for the pictures")

    predict = _command(commands, "predict", _predict, "segment new images with a finished run")
    _work_option(predict)
    predict.add_argument("images", nargs="+", metavar="IMAGE")
    predict.add_argument("--out", required=True, help="folder for the results")
    predict.add_argument(
        "--probabilities",
        help="folder of the images' probability maps, for a run that was made from such maps",
    )
    predict.add_argument("--quiet", action="store_true", help="show no progress")

    propose = _command(
        commands, "propose", _propose, "proposals from your own model's probability maps"
    )
    propose.add_argument(
        "--probabilities", required=True, help="folder of ID.npy or ID.npz, (H, W, C) or (C, H, W)"
    )
    propose.add_argument("--images", required=True, help="folder of images, by the same names")
    propose.add_argument("--out", required=True, help="folder for the results")
    propose.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="a.b=c",
        dest="overrides",
        help="replace a setting of superpixels, crf or proposals",
    )
    propose.add_argument("--quiet", action="store_true", help="show no progress")

    _beside_the_pipeline(commands)

    data = _command(commands, "data", None, "list, prepare or check data sets")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    _command(actions, "list", _data_list, "the data sets that rerank reads")
    for name, function, summary in (
        ("prepare", _data_prepare, "arrange downloaded files"),
        ("check", _data_check, "look at every file at once"),
    ):
        action = _command(actions, name, function, summary)
        action.add_argument("name")
        action.add_argument("--root", help="folder of the images")
        if name == "prepare":
            action.add_argument(
                "--archive",
                action="append",
                default=[],
                help="a downloaded archive or folder; may be given several times",
            )
            action.add_argument(
                "--download", action="store_true", help="download what is not there"
            )
    return parser


def _beside_the_pipeline(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    table = _command(
        commands, "reproduce", _reproduce, "a paper's table: its figures beside those measured here"
    )
    table.add_argument("table", metavar="TABLE", help="list names them")
    table.add_argument("--data-root", help="folder of the data set, or the one above it")
    table.add_argument(
        "--work",
        default="work/reproduce",
        help="work folder; outcomes are kept there [work/reproduce]",
    )
    table.add_argument(
        "--seeds",
        type=_seeds,
        default=(0, 1, 2),
        metavar="0,1,2",
        help="at least three for the test over seeds [0,1,2]",
    )
    table.add_argument("--full", action="store_true", help="full size, for a GPU")
    table.add_argument("--device", default="", help="[cuda with --full, else cpu]")
    table.add_argument(
        "--jobs", type=_positive, default=1, help="threads, or tasks of the pipeline at a time [1]"
    )
    table.add_argument("--quiet", action="store_true", help="show no progress")

    plot = _command(commands, "plot", _plot, "a paper's figure, as PNG")
    plot.add_argument("name", choices=("flips", "discontinuity", "crfgrad-energy"))
    plot.add_argument("--out", required=True, help="file to write, FILE.png")
    plot.add_argument(
        "--labels", help="flips: a mask whose pixel values are the labels [of a drawn scene]"
    )
    plot.add_argument(
        "--work",
        help="crfgrad-energy: work folder of `rerank reproduce "
        "larsson-table1` [Gaussian kernels on drawn scenes]",
    )
    plot.add_argument("--data-root", help="crfgrad-energy: folder of the horses")
    plot.add_argument("--seed", type=int, default=0)

    dense = _command(
        commands, "dense-crf", _dense_crf, "refine probability maps by the fully connected CRF"
    )
    dense.add_argument("probabilities", help="folder of ID.npy or ID.npz, (H, W, C) or (C, H, W)")
    dense.add_argument("images", help="folder of images, by the same names")
    dense.add_argument("--out", required=True, help="folder for the results")
    dense.add_argument(
        "--iterations", type=int, default=5, dest="n_iterations", help="steps of mean field [5]"
    )
    for name, default, summary in (
        ("gaussian-sxy", 3.0, "deviation of positions, in pixels"),
        ("gaussian-compat", 3.0, "Potts weight; 0 leaves the term out"),
        ("bilateral-sxy", 80.0, "deviation of positions, in pixels"),
        ("bilateral-srgb", 13.0, "deviation of colours, in 0..255"),
        ("bilateral-compat", 10.0, "Potts weight; 0 leaves the term out"),
        ("scale", 1.0, "certainty of the maps, in (0, 1]"),
        ("clip", 1e-5, "smallest probability"),
    ):
        dense.add_argument(
            f"--{name}", type=float, default=default, help=f"{summary} [{default:g}]"
        )
    dense.add_argument(
        "--normalization",
        default="symmetric",
        choices=("symmetric", "before", "after", "none"),
        help="how kernels are divided by their sums [symmetric]",
    )
    dense.add_argument("--jobs", type=_positive, default=1, help="images at a time [1]")
    dense.add_argument("--quiet", action="store_true", help="show no progress")


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    function: object,
    summary: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:])
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=function)
    return parser


def _work_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", required=True, help="work folder of a run")


def _job_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=_positive, help="tasks at a time [one a core]")
    parser.add_argument(
        "--backend",
        choices=("loky", "threading", "dask"),
        default="loky",
        help="where tasks run [loky: processes]",
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="address of the Dask scheduler")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def _positive(text: str) -> int:
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text}")
    return value


def _demo(options: argparse.Namespace) -> int:
    from rerank.applications.runs import run_recipe

    page = run_recipe(
        "scenes",
        None,
        options.out,
        jobs=options.jobs,
        backend=options.backend,
        scheduler=options.scheduler,
        quiet=options.quiet,
    )
    print(f"The report: {page}")
    return DONE


def _run(options: argparse.Namespace) -> int:
    from rerank.applications.runs import run_recipe

    page = run_recipe(
        options.recipe,
        options.data_root,
        options.work,
        fold=options.fold,
        overrides=options.overrides,
        jobs=options.jobs,
        backend=options.backend,
        scheduler=options.scheduler,
        quiet=options.quiet,
    )
    if page is not None:
        print(f"The report: {page}")
    return DONE


def _status(options: argparse.Namespace) -> int:
    from rerank.applications.runs import status_lines

    print("\n".join(status_lines(options.work, every_part=options.all)))
    return DONE


def _verify(options: argparse.Namespace) -> int:
    from rerank.applications.runs import verify

    problems = verify(
        options.work,
        options.repair,
        jobs=options.jobs,
        backend=options.backend,
        scheduler=options.scheduler,
        quiet=options.quiet,
    )
    for problem in problems:
        print(problem)
    if not problems:
        print("All artefacts are whole.")
    elif options.repair:
        print(f"{len(problems)} damaged artefacts were computed again.")
    return DONE if options.repair or not problems else FAILED


def _gc(options: argparse.Namespace) -> int:
    from rerank.applications.runs import collect_garbage

    files, freed = collect_garbage(options.work)
    print(f"Removed {files} files, {freed / (1 << 20):.1f} MiB.")
    return DONE


def _analyse(options: argparse.Namespace) -> int:
    from rerank.applications.runs import write_analysis

    for path in write_analysis(
        options.command,
        options.work,
        options.out,
        jobs=options.jobs,
        backend=options.backend,
        scheduler=options.scheduler,
        quiet=options.quiet,
    ):
        print(path)
    return DONE


def _draw(options: argparse.Namespace) -> int:
    from rerank.applications.runs import draw_image

    for path in draw_image(options.work, options.image, Path(options.out)):
        print(path)
    return DONE


def _predict(options: argparse.Namespace) -> int:
    from rerank.prediction import predict_files

    maps = None if options.probabilities is None else Path(options.probabilities)
    for path in predict_files(
        options.work,
        [Path(i) for i in options.images],
        Path(options.out),
        maps,
        quiet=options.quiet,
    ):
        print(path)
    return DONE


def _propose(options: argparse.Namespace) -> int:
    from rerank.applications.proposal_files import propose_files

    for path in propose_files(
        Path(options.probabilities),
        Path(options.images),
        Path(options.out),
        options.overrides,
        quiet=options.quiet,
    ):
        print(path)
    return DONE


def _seeds(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"expected numbers such as 0,1,2, got {text}")
    return tuple(int(part) for part in parts)


def _reproduce(options: argparse.Namespace) -> int:
    from rerank.experiments import TABLES, reproduce_table

    if options.table == "list":
        print(
            "\n".join(f"{name:<24} {table.source}: {table.title}" for name, table in TABLES.items())
        )
        return DONE
    if options.data_root is None:
        raise ConfigError("rerank reproduce TABLE needs --data-root, the folder of the data set")
    written = reproduce_table(
        options.table,
        Path(options.data_root),
        Path(options.work),
        options.seeds,
        options.full,
        options.device,
        options.jobs,
        options.quiet,
    )
    print(written.text)
    print("\n" + "\n".join(str(path) for path in written.paths))
    return DONE


def _plot(options: argparse.Namespace) -> int:
    from rerank.experiments import draw_plot

    labels, work, data_root = (
        None if path is None else Path(path)
        for path in (options.labels, options.work, options.data_root)
    )
    print(draw_plot(options.name, Path(options.out), labels, work, data_root, options.seed))
    return DONE


def _dense_crf(options: argparse.Namespace) -> int:
    from dataclasses import fields

    from rerank.applications.dense_crf_files import DenseCRFSettings, refine_files

    settings = DenseCRFSettings(
        **{field.name: getattr(options, field.name) for field in fields(DenseCRFSettings)}
    )
    for path in refine_files(
        Path(options.probabilities),
        Path(options.images),
        Path(options.out),
        settings,
        options.jobs,
        options.quiet,
    ):
        print(path)
    return DONE


def _data_list(options: argparse.Namespace) -> int:
    from rerank.applications.runs import dataset_lines

    print("\n".join(dataset_lines()))
    return DONE


def _data_prepare(options: argparse.Namespace) -> int:
    from rerank.applications.runs import prepare_dataset

    print("\n".join(prepare_dataset(options.name, options.root, options.archive, options.download)))
    return DONE


def _data_check(options: argparse.Namespace) -> int:
    from rerank.applications.runs import check_lines

    problems, summary = check_lines(options.name, options.root)
    for problem in problems:
        print(problem)
    print(summary)
    return FAILED if problems else DONE


if __name__ == "__main__":
    sys.exit(main())
