"""Benchmark code: packed CIFAR images in a folder with `load.py` -> the .npz file that `data=arrays` reads.

Run: python tests/cifar_arrays.py ../shared/data cifar10 runs/cifar10.npz
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np

NAMES = {"cifar10": ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]}


def main(folder: str, name: str, out: str) -> None:
    spec = importlib.util.spec_from_file_location("load", Path(folder) / "load.py")
    load = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(load)
    labels = load.labels()
    arrays = {
        f"{part}_{kind}": value
        for part in ("train", "test")
        for kind, value in (("images", load.images(f"{name}_{part}")), ("labels", labels[f"{name}_{part}_y"]))
    }
    if name in NAMES:
        arrays["class_names"] = np.array(NAMES[name])
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    np.savez(out, **arrays)
    for key in ("cifar10n_worse_label",):
        np.save(Path(out).with_name(f"{key}.npy"), labels[key])


if __name__ == "__main__":
    main(*sys.argv[1:])
