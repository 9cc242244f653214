"""How large is the report's page, and how long does a browser take to open it?

    python benchmarks/report_page.py --work WORK [--images 59,161,472,5000] [--repeat 3]

WORK is a finished run. Its images are repeated to each number that is asked for, so that numbers on
the page are drawn and only sizes and times count. Times are those of headless Chromium, medians of
`--repeat` loads: until the load event, from a click on an image until all its proposals stand
there, and of filtering and sorting the gallery.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from rerank.applications.reports import MOST_INLINE
from rerank.applications.runs import open_run
from rerank.reports.run_page import (
    IMAGES,
    NUMBERS,
    PAGE,
    THUMBNAIL,
    VIEW,
    ShownImage,
    linked_names,
    linked_view,
    render_run_page,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browser import Browser, find_browser

_OPENED = "performance.timing.loadEventEnd - performance.timing.navigationStart"
_SHOWN = """new Promise(done => {
    const start = performance.now();
    document.querySelector('#cards .card').click();
    const look = () => document.querySelector('#proposal-tiles .tile:last-child canvas')
        ? done(performance.now() - start) : setTimeout(look, 5);
    look();
})"""
_FILTERED = """(() => {
    const start = performance.now();
    state.set({outcome: 'loss', sort: 'lost'});
    return performance.now() - start;
})()"""


def read_page(work: str) -> tuple[dict[str, Any], list[ShownImage]]:
    """Numbers and images of a finished run."""
    graph = open_run(work)
    with graph.store.open(graph.task("pages").ref) as file:
        images = [
            ShownImage(bytes(group[THUMBNAIL][()]), bytes(group[VIEW][()]))
            for group in file["images"].values()
        ]
        return json.loads(bytes(file["files"][NUMBERS][()])), images


def repeated(numbers: dict[str, Any], places: list[int]) -> dict[str, Any]:
    """The numbers of a page whose images are those at the places."""
    found = copy.deepcopy(numbers)
    found["images"] = [
        {**numbers["images"][place], "id": f"{index:05d}"} for index, place in enumerate(places)
    ]
    population = found["populations"][0]
    population["n_images"] = len(places)
    population["choices"] = {
        rule: [chosen[place] for place in places] for rule, chosen in population["choices"].items()
    }
    return found


def write_page(folder: Path, numbers: dict[str, Any], images: list[ShownImage]) -> tuple[int, int]:
    """Write the page and what lies beside it; their bytes."""
    linked = sum(len(i.thumbnail) + len(i.view) for i in images) > MOST_INLINE
    page = render_run_page(numbers, None if linked else images).encode()
    (folder / PAGE).write_bytes(page)
    beside = 0
    if linked:
        (folder / IMAGES).mkdir()
        for index, image in enumerate(images):
            contents = image.thumbnail, linked_view(index, image.view)
            for name, content in zip(linked_names(index), contents):
                beside += (folder / name).write_bytes(content)
    return len(page), beside


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", required=True)
    parser.add_argument("--images", default="59,161,472,5000")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    program = find_browser()
    if program is None:
        raise SystemExit("no Chromium on the path; name one by RERANK_CHROMIUM")
    numbers, images = read_page(options.work)
    if len(numbers["populations"]) != 1:
        raise SystemExit(f"{options.work}: give a run without evaluation images")
    browser = Browser(program)
    browser.size(1400)
    print("| images | page | beside it | to open | to open an image | to filter |")
    print("| --- | --- | --- | --- | --- | --- |")
    for n in map(int, options.images.split(",")):
        places = [index % len(images) for index in range(n)]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            page, beside = write_page(
                folder, repeated(numbers, places), [images[place] for place in places]
            )
            times = []
            for _ in range(options.repeat):
                browser.open(folder / PAGE)
                browser.until("document.querySelectorAll('#cards .card').length")
                opened = browser.run(_OPENED)
                shown = browser.run(_SHOWN)
                browser.run("dialog.close()")
                times.append((opened, shown, browser.run(_FILTERED)))
            opened, shown, filtered = np.median(times, axis=0)
        aside = f"{beside / 1e6:.0f} MB" if beside else ""
        print(
            f"| {n} | {page / 1e6:.1f} MB | {aside} | {opened / 1e3:.1f} s | {shown / 1e3:.1f} s | "
            f"{filtered:.0f} ms |",
            flush=True,
        )
    browser.close()
    if browser.messages:
        raise SystemExit(f"the browser said: {browser.messages[0]}")


if __name__ == "__main__":
    main()
