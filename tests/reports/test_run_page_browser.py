"""The page of a run in a browser: what a reader clicks, and the numbers that are read back."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rerank.applications.reports import export_report
from rerank.engine.stage import read_image
from rerank.metrics import chosen_counts, corpus_iou, image_iou
from rerank.reports.populations import Population
from rerank.stages.pages import load_population
from rerank.superpixels import to_pixels

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
ORANGE = [213, 94, 0]


@pytest.fixture(scope="module")
def page(finished: Path) -> Path:
    return finished / "report" / "report.html"


@pytest.fixture
def population(finished: Path, make_graph) -> Population:
    return load_population(make_graph(finished).job("pages"), "evaluation")


@pytest.fixture
def opened(browser: Any, page: Path) -> Any:
    """The page at 1400 pixels, as it opens."""
    browser.size(1400)
    browser.scheme("light")
    browser.open(page)
    browser.until("document.documentElement.dataset.ready")
    return browser


def number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-").replace("+", "").rstrip("."))


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def gains(population: Population, rule: str = "ranking SVM") -> np.ndarray:
    """Points of image IoU that a rule gains over MAP."""
    ious = 100 * image_iou(population.counts)
    return ious[np.arange(len(ious)), population.choices[rule]] - ious[:, 0]


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark", "forced"])
def test_no_error_no_request_and_nothing_cut(
    browser: Any, page: Path, width: int, scheme: str
) -> None:
    browser.scheme("dark" if scheme == "dark" else "light")
    browser.force_dark(scheme == "forced")
    browser.size(width, 900, phone=width < 700)
    browser.open(page)
    browser.until("document.querySelectorAll('#cards .card').length")
    assert browser.run("document.documentElement.scrollWidth") <= width
    # The answer, and the last column of the first table's first screen, are in view.
    right = browser.run("document.querySelector('#sentence').getBoundingClientRect().right")
    assert 0 < right <= width
    picture = np.asarray(Image.open(io.BytesIO(browser.picture())).convert("L"))
    if scheme == "dark":
        assert picture.mean() < 60 and (picture > 240).mean() < 0.02
    elif scheme == "light":
        assert picture.mean() > 200
    else:
        # The browser darkens by itself, or leaves the page as it is; it must not do half of it.
        assert picture.mean() > 200 or (picture > 240).mean() < 0.05
    browser.force_dark(False)
    assert browser.messages == []
    outside = [u for u in browser.requests if not u.startswith(("file:", "data:", "about:"))]
    assert outside == [] and len([u for u in browser.requests if u.startswith("file:")]) == 1


def test_a_theme_can_be_forced(opened: Any) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    light = opened.run(colour)
    opened.click("#theme")
    assert opened.text("#theme") == "theme: light" and opened.run(colour) == light
    opened.click("#theme")
    assert opened.text("#theme") == "theme: dark" and opened.run(colour) != light
    opened.click("#theme")
    assert opened.text("#theme") == "theme: auto"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_the_paper(opened: Any, scheme: str) -> None:
    opened.scheme(scheme)

    def light(name: str) -> float:
        style = "getComputedStyle(document.documentElement)"
        value = opened.run(f"{style}.getPropertyValue('--{name}').trim()").lstrip("#")
        channels = np.array([int(value[k : k + 2], 16) / 255 for k in (0, 2, 4)])
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        return float(linear @ [0.2126, 0.7152, 0.0722])

    # WCAG 2.1: 4.5 for text.
    for name in ("ink", "soft", "better", "worse", "blue", "orange", "green"):
        pair = sorted([light(name), light("paper")])
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, name
    opened.scheme("light")


def test_everything_drawn_has_a_name(opened: Any) -> None:
    opened.click("#cards .card")
    opened.until("document.querySelectorAll('#proposal-tiles canvas').length")
    nameless = opened.run(
        "[...document.querySelectorAll('img, canvas, svg[role=img], button, select, input')]"
        ".filter((e) => !(e.alt || e.getAttribute('aria-label') || e.textContent.trim()"
        " || e.title || e.closest('label'))).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert nameless == []


def test_the_answer_comes_first(opened: Any, finished: Path) -> None:
    row = next(
        r
        for r in rows_of(finished / "report" / "rules_evaluation.csv")
        if r["rule"] == "ranking SVM"
    )
    sentence = opened.text("#sentence")
    low, high = (float(row[f"corpus_gain_{end}"]) for end in ("low", "high"))
    assert f"{abs(float(row['corpus_gain'])):.1f} points of corpus IoU" in sentence
    assert "MAP" in sentence and f"{low:+.1f}".replace("-", "\N{MINUS SIGN}") in sentence
    told = "more than chance explains" in sentence
    assert told == (low > 0 or high < 0)
    assert ("cannot be told from nothing" in sentence) == (not told)
    # The bar: all parts sum to 100 points.
    parts = opened.texts("#headroom [data-part]")
    assert sum(float(text.rsplit(" ", 1)[1]) for text in parts) == pytest.approx(100, abs=0.3)
    assert [text.rsplit(" ", 1)[0] for text in parts[2:]] == ["ranking missed", "generation missed"]


def test_which_class_lost_most(opened: Any, finished: Path, population: Population) -> None:
    opened.run(
        "[...document.querySelectorAll('#class-table th button')]"
        ".find((b) => b.textContent === 'gain').id = 'by-gain'"
    )
    opened.click("#by-gain")
    first = opened.texts("#class-table tbody tr:first-child td")
    after = corpus_iou(chosen_counts(population.counts, population.choices["ranking SVM"]))
    before = corpus_iou(chosen_counts(population.counts, population.choices["MAP"]))
    change = 100 * (after.per_class - before.per_class)
    k = int(np.nanargmin(change))
    rows = rows_of(finished / "report" / "classes_evaluation.csv")
    assert first[0] == rows[k]["class"]
    assert number(first[5]) == pytest.approx(change[k], abs=0.06)
    shown = [number(t) for t in opened.texts("#class-table tbody td:nth-child(6)") if t != "\u2013"]
    assert shown == sorted(shown)


def test_the_images_where_the_choice_was_worst_and_why(
    opened: Any, finished: Path, population: Population, make_graph
) -> None:
    opened.click("[data-cases=missed]")
    ids = make_graph(finished).data.evaluate.ids
    ious = 100 * image_iou(population.counts)
    rows = np.arange(len(ious))
    missed = ious.max(axis=1) - ious[rows, population.choices["ranking SVM"]]
    expected = np.sort(missed[missed > 0])[::-1][:2]
    cases = opened.texts("#worst-list .case")
    assert len(cases) == len(expected) > 0
    with make_graph(finished).job("pages").open("ranking") as file:
        scores = file["scores/final/svm"][()]
    for text, lost in zip(cases, expected):
        index = ids.index(text.split(":")[0])
        assert missed[index] == pytest.approx(lost) and f"{lost:.1f}" in text
        assert "The best would change" in text and "%" in text and "what decided" in text
        margin = scores[index].max() - scores[index, np.nanargmax(ious[index])]
        assert f"{margin:+.2g}"[1:] in text or f"{margin:.2g}" in text
    opened.click("[data-cases=lost]")
    worst = np.sort(gains(population))
    shown = [number(t) for t in opened.texts("#worst-list .case b:last-child")]
    assert shown == pytest.approx(worst[worst < 0][: len(shown)], abs=0.06)


def test_what_fewer_proposals_would_cost(opened: Any, finished: Path) -> None:
    curve = rows_of(finished / "report" / "oracle_evaluation.csv")
    assert "Against" not in opened.text("#curve-readout")
    # The second of five, between the edges of the plot.
    share = opened.run(
        "(() => { const s = document.querySelector('#curve svg'), b = s.viewBox.baseVal;"
        " return (46 + (b.width - 46 - 118) / 4) / b.width; })()"
    )
    opened.point("#curve svg", (share, 0.4))
    opened.until("document.querySelector('#curve-readout').textContent.startsWith('M = 2:')")
    text = opened.text("#curve-readout")
    oracle = [float(row["corpus_oracle_miou"]) for row in curve]
    assert text.startswith("M = 2:") and f"oracle {oracle[1]:.1f}" in text
    cost = text.split("that is ")[1].split(" for")[0]
    assert number(cost) == pytest.approx(oracle[1] - oracle[4], abs=0.06)
    opened.click("#curve svg", (share, 0.4))
    opened.run("document.querySelector('#curve svg').focus()")
    opened.press("ArrowRight")
    assert opened.text("#curve-readout").startswith("M = 3:")
    opened.choose("#choose-measure", "image")
    image = float(curve[-1]["image_oracle_image_iou"])
    assert f"oracle {image:.1f}" in opened.text("#curve-readout")


def test_rules_are_ranked_and_baselines_folded(opened: Any, finished: Path) -> None:
    values = {
        r["rule"]: float(r["corpus_iou"])
        for r in rows_of(finished / "report" / "rules_evaluation.csv")
    }
    names = opened.texts("#rule-table > div tbody td:first-child")
    assert names == sorted(names, key=lambda name: -round(values[name], 3))
    assert {"MAP", "ranking SVM", "gated choice"} <= set(names)
    assert not {"unary alone", "ridge", "oracle of each image"} & set(names)
    visible = "document.querySelector('#baselines table').checkVisibility()"
    assert not opened.run(visible)
    opened.click("#baselines summary")
    assert opened.run(visible)
    assert {"unary alone", "ridge"} <= set(opened.texts("#baselines tbody td:first-child"))


def test_the_gallery_is_filtered_and_sorted(
    opened: Any, finished: Path, population: Population, make_graph
) -> None:
    data = make_graph(finished).data.evaluate
    assert opened.text("#gallery-readout").startswith(f"{len(data)} of {len(data)} images")
    k = int(np.bincount(data[data.ids[0]].labels.ravel(), minlength=256)[:255].argmax())
    held = [i for i, sample in enumerate(data) if (sample.labels == k).any()]
    opened.choose("#choose-class", str(k))
    assert opened.text("#gallery-readout").startswith(f"{len(held)} of {len(data)} images")
    ious = 100 * image_iou(population.counts)
    own = ious[np.arange(len(ious)), population.choices["ranking SVM"]]
    mean = opened.text("#gallery-readout").split("IoU ")[1].split(",")[0]
    assert float(mean) == pytest.approx(own[held].mean(), abs=0.06)
    opened.choose("#choose-class", "")
    opened.choose("#choose-outcome", "loss")
    lost = gains(population) < -1
    assert opened.text("#gallery-readout").startswith(f"{lost.sum()} of {len(data)} images")
    opened.choose("#choose-outcome", "all")
    opened.choose("#choose-sort", "lost")
    shown = [number(t) for t in opened.texts("#cards .card b")]
    assert shown == pytest.approx(np.sort(gains(population)), abs=0.06)
    opened.choose("#choose-rule", "symmetric KL (Eq. 17)")
    shown = [number(t) for t in opened.texts("#cards .card b")]
    assert shown == pytest.approx(np.sort(gains(population, "symmetric KL (Eq. 17)")), abs=0.06)
    # The other set of images.
    opened.choose("#choose-pop", "cross_fitted")
    everything = len(make_graph(finished).data.train) + len(data)
    assert f"of {everything} images" in opened.text("#gallery-readout")


def test_one_image_its_proposals_and_its_errors(
    opened: Any, finished: Path, population: Population, make_graph
) -> None:
    graph = make_graph(finished)
    data, job = graph.data.evaluate, graph.job("pages")
    opened.click("#cards .card")
    opened.until("document.querySelectorAll('#proposal-tiles .tile').length")
    assert opened.text("#view h2") == data.ids[0]
    with job.open("superpixels", "final") as file:
        regions = read_image(file, 0, ("superpixels",))["superpixels"]
    with job.open("proposals", "final") as file:
        drawn = read_image(file, 0)
    with job.open("ranking") as file:
        scores = file["scores/final/svm"][0]
    order = np.argsort(-scores, kind="stable")
    tiles = opened.texts("#proposal-tiles .tile")
    assert [int(text.split(":")[0]) for text in tiles] == order.tolist()
    ious = 100 * image_iou(population.counts)[0]
    assert [float(t.split("IoU ")[1]) for t in tiles] == pytest.approx(ious[order], abs=0.06)
    # Errors of the last proposal, painted in full: one pixel of the picture each.
    m = int(order[-1])
    opened.click(f"[data-proposal='{m}']")
    opened.click("[data-mode=errors]")
    opened.run("state.set({ alpha: 100 })")
    truth = data[data.ids[0]].labels
    wrong = (to_pixels(drawn["labelings"][m], regions) != truth) & (truth != 255)
    painted = opened.run(
        "(() => { const c = document.querySelector('.stage canvas');"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
        f" for (let k = 0; k < d.length; k += 4) n += {json.dumps(ORANGE)}.every((v, i) =>"
        " d[k + i] === v); return n; })()"
    )
    assert painted == int(wrong.sum())
    # The small pictures are painted alike.
    small = opened.run(
        f"(() => {{ const c = document.querySelector(\"[data-proposal='{m}'] canvas\");"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " const p = openView.view.photo; let n = 0;"
        " for (let k = 0; k < d.length; k += 4) n += [0, 1, 2].some((i) => d[k + i] !== p[k + i]);"
        " return n; })()"
    )
    assert abs(small - int(wrong.sum() + (truth == 255).sum())) <= 3
    # A pixel that is pointed at tells its classes.
    row, column = (int(v) for v in np.argwhere(wrong)[0])
    height, width = truth.shape
    opened.point(".stage canvas", ((column + 0.5) / width, (row + 0.5) / height))
    named = data.class_names
    label = named[int(to_pixels(drawn["labelings"][m], regions)[row, column])]
    # Moves of the mouse reach a page with its next frame.
    opened.until("document.querySelector('#pixel').textContent.startsWith('truth ')")
    assert opened.text("#pixel").startswith(f"truth {named[truth[row, column]]}, labelled {label},")
    facts = opened.texts("#proposal-facts dd")
    assert float(facts[1].split()[0]) == pytest.approx(
        100 * wrong.sum() / (truth != 255).sum(), abs=0.6
    )
    assert drawn["generators"][m].replace("_", " ") in facts[3]
    # The families of features sum to the difference of the scores.
    total = opened.text("#reason > p").split()[1]
    assert number(total) == pytest.approx(scores.max() - scores[m], rel=0.05, abs=1e-3)


def test_keys_and_links(opened: Any, page: Path, finished: Path, make_graph) -> None:
    ids = make_graph(finished).data.evaluate.ids
    opened.click("#cards .card")
    opened.until("document.querySelectorAll('#proposal-tiles .tile').length")
    opened.press("ArrowRight")
    opened.until(f"document.querySelector('#view h2').textContent === '{ids[1]}'")
    opened.press("ArrowDown")
    opened.press("c")
    assert opened.run("document.querySelector('[data-mode=changes]').ariaPressed") == "true"
    title, link = opened.text("#shown-title"), opened.run("location.hash")
    assert f"image={ids[1]}" in link and "paint=changes" in link
    opened.open(page, link)
    opened.until("document.querySelectorAll('#proposal-tiles .tile').length")
    assert opened.text("#view h2") == ids[1] and opened.text("#shown-title") == title
    assert opened.run("document.querySelector('[data-mode=changes]').ariaPressed") == "true"
    opened.press("Escape")
    opened.until("!location.hash.includes('image=')")
    assert not opened.run("document.querySelector('#view').open")
    # A link to an image of the other set shows that set.
    other = make_graph(finished).data.train.ids[0]
    opened.open(page, f"#image={other}")
    opened.until("document.querySelectorAll('#proposal-tiles .tile').length")
    assert opened.text("#view h2") == other and "pop=cross_fitted" in opened.run("location.hash")
    assert opened.messages == []


def test_many_images_lie_beside_the_page(
    browser: Any, finished: Path, tmp_path: Path, make_graph, page: Path
) -> None:
    graph = make_graph(finished)
    linked = export_report(graph, tmp_path, most_inline=0)
    n_images = len(graph.data.train) + len(graph.data.evaluate)
    files = sorted(p.name for p in (tmp_path / "report_images").iterdir())
    assert len(files) == 2 * n_images and files[:2] == ["000000.js", "000000.webp"]
    assert linked.stat().st_size < page.stat().st_size
    browser.size(1400)
    browser.open(linked)
    # Pictures are loaded when they come into view.
    browser.run("document.querySelector('#gallery').scrollIntoView()")
    browser.until("document.querySelector('#cards img').naturalWidth")
    browser.click("#cards .card")
    browser.until("document.querySelectorAll('#proposal-tiles .tile').length === 5")
    assert browser.messages == []
    # Written again with room for all, nothing is left beside it.
    export_report(graph, tmp_path)
    assert not (tmp_path / "report_images").exists()
