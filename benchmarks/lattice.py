"""How fast are the permutohedral lattice and the dense CRF beside pydensecrf?

    OMP_NUM_THREADS=1 python benchmarks/lattice.py --peer peers/bin/python [--image FILE]

One thread, CPU time, medians over rounds in which both sides take turns; ratios are medians of the
rounds' own ratios. `densecrf_peer.py` says how to make the peer's environment. The image is drawn,
unless one is given; how many lattice points it touches decides much, and is printed. The first
calls, which compile, are not timed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from rerank.layers import PermutohedralLattice, dense_crf
from rerank.layers.image_lattice import bilateral_lattice, position_lattice


def drawn_image(width: int, height: int) -> np.ndarray:
    """Smooth patches with shading and sensor noise."""
    rng = np.random.default_rng(0)
    patches = np.stack([gaussian_filter(rng.normal(size=(height, width)), 25) for _ in range(12)])
    colours = rng.integers(20, 235, size=(12, 3))[patches.argmax(axis=0)].astype(float)
    shading = gaussian_filter(rng.normal(size=(height, width)), 60)
    colours *= (1 + 0.3 * shading / np.abs(shading).max())[..., None]
    noisy = colours + rng.normal(size=colours.shape) * 4
    return noisy.clip(0, 255).astype(np.uint8)


def problem(
    file: Path | None, n_labels: int, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W, 3) and noisy probabilities (L, H, W) that follow its colours."""
    if file is None:
        image = drawn_image(width, height)
    else:
        read = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if read is None:
            raise SystemExit(f"cannot read {file}")
        image = cv2.resize(read, (width, height), interpolation=cv2.INTER_AREA)[..., ::-1]
    rng = np.random.default_rng(1)
    centres = image.reshape(-1, 3)[rng.integers(0, width * height, n_labels)].astype(float)
    scores = -np.linalg.norm(image[None] - centres[:, None, None], axis=3) / 15
    scores += 4 * np.stack(
        [gaussian_filter(rng.normal(size=image.shape[:2]), 2) for _ in range(n_labels)]
    )
    probabilities = np.exp(scores - scores.max(axis=0))
    return np.ascontiguousarray(image), (probabilities / probabilities.sum(axis=0)).astype("f4")


def ours(image: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """CPU seconds of each part, under the peer's names for them."""
    valid = np.ones(image.shape[:2], bool)
    rows = torch.from_numpy(probabilities).flatten(1).T.contiguous()
    begin = time.process_time()
    lattices = [position_lattice(valid, 3.0), bilateral_lattice(image, valid, 80.0, 13.0)]
    normalized = [lattice.normalized() for lattice in lattices]
    built = time.process_time()
    normalized[1].filter(rows)
    filtered = time.process_time()
    dense_crf(probabilities, image, n_iterations=0)
    none = time.process_time()
    dense_crf(probabilities, image, n_iterations=10)
    ten = time.process_time()
    step = (ten - none - (none - filtered)) / 10
    return {
        "set-up": built - begin,
        "filter": filtered - built,
        "step": step,
        "ten steps": 10 * step,
        "all": ten - none,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--peer", help="interpreter of an environment with pydensecrf2")
    parser.add_argument("--image", type=Path)
    parser.add_argument("--labels", type=int, default=21)
    parser.add_argument("--size", type=int, nargs=2, default=[480, 360], metavar=("W", "H"))
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    image, probabilities = problem(options.image, options.labels, *options.size)
    colours = np.concatenate(
        [np.indices(image.shape[:2]).reshape(2, -1).T / 80.0, image.reshape(-1, 3) / 13.0], axis=1
    )
    print(
        f"{options.labels} labels at {options.size[0]}x{options.size[1]}, "
        f"{PermutohedralLattice(colours).n_vertices} bilateral lattice points, "
        f"{options.repeats} rounds"
    )
    rounds: list[tuple[dict[str, float], dict[str, float]]] = []
    ours(image, probabilities)
    with tempfile.TemporaryDirectory() as folder:
        stored, answer = Path(folder) / "problem.npz", Path(folder) / "answer.npy"
        np.savez(stored, image=image, probabilities=probabilities)
        peer = None
        if options.peer:
            script = Path(__file__).with_name("densecrf_peer.py")
            peer = subprocess.Popen(
                [options.peer, str(script), str(stored), str(answer)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        for _ in range(options.repeats):
            theirs: dict[str, float] = {}
            if peer is not None:
                assert peer.stdin is not None and peer.stdout is not None
                peer.stdin.write("\n")
                peer.stdin.flush()
                theirs = json.loads(peer.stdout.readline())
            rounds.append((ours(image, probabilities), theirs))
        if peer is not None:
            peer.communicate()
            refined, expected = dense_crf(probabilities, image, n_iterations=10), np.load(answer)
            agree = (refined.argmax(axis=0) == expected.argmax(axis=0)).mean()
            print(
                f"labels that agree after ten steps: {100 * agree:.3f} %, largest difference "
                f"of a probability {np.abs(refined - expected).max():.1e}"
            )
    for part, against, what in (
        ("set-up", "set-up", "building both lattices / its set-up"),
        ("filter", "step", "one filtering of all labels / its step"),
        ("step", "step", "one mean-field step / its step"),
        ("ten steps", "ten steps", "ten steps / its ten steps"),
        ("all", "all", "dense CRF of ten steps with set-up / its all"),
    ):
        mine = np.array([a[part] for a, _ in rounds])
        line = f"{what:48} {1e3 * np.median(mine):8.1f} ms"
        if options.peer:
            its = np.array([b[against] for _, b in rounds])
            line += f" / {1e3 * np.median(its):8.1f} ms   ratio {np.median(mine / its):.2f}"
        print(line)


if __name__ == "__main__":
    main()
