"""How close LiteRT comes to mediapipe 0.10.21: ``python -m tools.calibration.measure_litert [PHOTOGRAPHS]``.

For the day that mediapipe 0.10.21 no longer installs (docs/mediapipe.md). Prints which networks of mediapipe's in use
LiteRT loads, and for the person mask how far both are apart on photographs: with the network's own 256 pixels, where
nothing is resized, and with whole photographs, where each resizes in its own way.

LiteRT is no dependency: ``pip install --no-deps ai-edge-litert==2.3.0`` beside the others.
"""

from __future__ import annotations

import argparse
import time
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dataprep.models.detection.blendshapes import LANDMARKER_PATH
from dataprep.models.detection.mediapipe_graphs import MODEL_SHA256, Graphs, package_folder

ROOT = Path(__file__).parents[2]
_MASK, _SIDE_PX = "selfie_segmentation/selfie_segmentation.tflite", 256


def load() -> Any:
    """Import LiteRT's interpreter; SystemExit with the command where it is absent."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError:
        raise SystemExit("LiteRT is not installed; run: pip install --no-deps ai-edge-litert==2.3.0") from None
    return Interpreter


def networks() -> dict[str, bytes]:
    """Every network in use, by its name."""
    folder = package_folder() / "modules"
    found = {name: (folder / name).read_bytes() for name in MODEL_SHA256}
    with zipfile.ZipFile(LANDMARKER_PATH) as task:
        members = [name for name in task.namelist() if name.endswith(".tflite")]
        return found | {f"{LANDMARKER_PATH.name}/{name}": task.read(name) for name in members}


def print_loaded(interpreter: Any) -> None:
    """Say of each network whether LiteRT runs it."""
    for name, content in networks().items():
        try:
            interpreter(model_content=content, num_threads=1).allocate_tensors()
            print(f"loads      {name}")
        except (RuntimeError, ValueError) as error:
            print(f"does not   {name}: {str(error).splitlines()[0]}")


def print_masks(interpreter: Any, photographs: list[Path]) -> None:
    """Say how far the person masks of both are apart, and what each takes."""
    network, graphs = interpreter(model_content=networks()[_MASK], num_threads=1), Graphs()
    network.allocate_tensors()
    enter, leave = network.get_input_details()[0]["index"], network.get_output_details()[0]["index"]
    small, whole, taken_s = [], [], np.zeros(2)
    for path in photographs:
        rgb = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
        square = cv2.resize(rgb, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_LINEAR)
        started_s = time.process_time()
        theirs = graphs.person_mask(square)
        between_s = time.process_time()
        network.set_tensor(enter, (square.astype(np.float32) / 255)[None])
        network.invoke()
        ours = network.get_tensor(leave)[0, ..., 0]
        taken_s += between_s - started_s, time.process_time() - between_s
        small.append(float(np.abs(theirs - ours).max()))
        enlarged = cv2.resize(ours, rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        whole.append(float(np.mean((graphs.person_mask(rgb) > 0.5) != (enlarged > 0.5))))
    print(f"{len(photographs)} photographs, person mask in [0, 1]")
    print(f"at {_SIDE_PX} px: largest difference {max(small):.1e}, median of the largest {np.median(small):.1e}")
    print(f"whole photographs: at most {max(whole):.1%} of the pixels on another side of 0.5")
    print("milliseconds: mediapipe {:.1f}, LiteRT {:.1f}".format(*(1000 * taken_s / len(photographs))))


def main() -> None:
    """Print both measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, nargs="?", default=ROOT / "samples" / "people" / "photos")
    given = parser.parse_args()
    interpreter = load()
    print_loaded(interpreter)
    print_masks(interpreter, sorted(given.photographs.glob("*.jpg"))[:20])


if __name__ == "__main__":
    main()
