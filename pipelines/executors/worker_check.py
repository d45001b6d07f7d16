"""Can a worker of a cluster take part in this run? Asked of every one before it gets work, and of late ones too.

A worker writes the same bytes as the others when it has the same code, packages and model files, and sees the same
SOURCE and OUT. What it lacks is told in three parts: what was found, what was expected, what to type next.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import platform
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cloudpickle

from dataprep import __version__
from dataprep.errors import AssetError, ShhqError
from dataprep.files.locations import Location, names_in, read_range
from dataprep.files.untrusted import parse_json
from dataprep.models.known_models import known_assets, state_of
from dataprep.stages.base import Step
from dataprep.tables.store import write_json

_CODE = ("dataprep", "pipelines")
_PACKAGES = (  # what decides bytes, and what must speak the same protocol; other names of a package in brackets
    ("numpy",), ("torch",), ("mediapipe",),
    ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    ("pillow",), ("pillow-heif",), ("scikit-image",), ("onnxruntime", "onnxruntime-gpu"), ("pyarrow",), ("scipy",),
    ("dask",), ("distributed",),
)  # fmt: skip
_TOKEN = "cluster.json"
_SAMPLE_BYTES = 1 << 16


@dataclass(frozen=True)
class Request:
    """What the driver has, for workers to compare with. `steps` are pickled, since other code may not read them."""

    token: str  # lies in OUT/runs, and names the request
    code: Mapping[str, str]  # file -> digest
    versions: Mapping[str, str]  # Python's and packages' versions
    steps: bytes
    weights: Mapping[str, Sequence[tuple[str, str]]]  # step -> (model, sha256)
    source: Location
    out: Location
    sample: tuple[str, str] | None  # a file below SOURCE, and the digest of its first bytes


@dataclass(frozen=True)
class Problem:
    """Why a worker cannot take part."""

    found: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.found}; expected {self.expected}. Next, on that machine: {self.remedy}"


class Refused(Exception):
    """The outcome of a task on a worker that cannot take part: `worker` is its address. Says why."""

    def __init__(self, worker: str, why: str) -> None:
        super().__init__(worker, why)
        self.worker, self.why = worker, why


_known: dict[str, Request] = {}
_verdicts: dict[str, list[Problem]] = {}


def make_request(source: Location, out: Location, steps: Sequence[Step]) -> Request:
    """Leave a token in OUT and say what workers must have. Call with OUT's lock held."""
    token = uuid.uuid4().hex
    write_json(out / "runs" / _TOKEN, token)
    weights = {step.name: [(weight.name, weight.sha256) for weight in step.weights()] for step in steps}
    return Request(
        token, code_files(), versions(), cloudpickle.dumps(tuple(steps)), weights, source, out, _sample(source)
    )


def accept(request: Request) -> None:
    """Remember a request whose tasks may come to this process."""
    _known[request.token] = request


def verdict(token: str) -> list[Problem]:
    """What keeps this process from working for the request of that token; looked at once."""
    if token not in _verdicts:
        _verdicts[token] = examine(_known[token])
    return _verdicts[token]


def examine(request: Request) -> list[Problem]:
    """What this process lacks; empty when it can take part."""
    return list(_code(request)) or [*_packages(request), *_models(request), *_source(request), *_out(request)]


def serves_pages(dask_scheduler: Any) -> bool:
    """Whether a scheduler serves dask's page of the workers: it names an address for it without bokeh, too."""
    return bool(dask_scheduler.http_application.applications)


@cache
def code_files() -> dict[str, str]:
    """Digest of every Python file that tasks can import, by its name from the package on."""
    found = {}
    for package in _CODE:
        folder = code_folder(package)
        for path in sorted(folder.rglob("*.py")) if folder else ():
            name = path.relative_to(folder).as_posix()  # type: ignore[arg-type]
            found[f"{package.replace('.', '/')}/{name}"] = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return found


def code_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def versions() -> dict[str, str]:
    """Python's minor version, and each package's; "" where it is not installed."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for names in _PACKAGES:
        found[names[0]] = next(filter(None, map(_version, names)), "")
    return found


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _code(request: Request) -> Iterator[Problem]:
    mine = code_files()
    other = sorted(name for name in mine.keys() | request.code.keys() if mine.get(name) != request.code.get(name))
    if other:
        more = f" and {len(other) - 1} more files" if len(other) > 1 else ""
        yield Problem(
            f"it runs another version of the code: {other[0]}{more} differ (shhq-hs {__version__} in "
            f"{(code_folder('pipelines') or Path()).parent})",
            "the code of the driver",
            "install what the driver runs (git pull, or pip install the same version) and start the worker again",
        )


def _packages(request: Request) -> Iterator[Problem]:
    mine = versions()
    for name, version in request.versions.items():
        if mine.get(name) != version:
            yield Problem(
                f"it has {name} {mine.get(name) or 'not installed'}",
                f"{version or 'none'}, as the driver has: other versions write other bytes",
                f"{_install(name, version)}, and start the worker again",
            )


def _install(name: str, version: str) -> str:
    if name == "python":
        return "make setup"
    return f"pip install {name}=={version}" if version else f"pip uninstall {name}"


def _models(request: Request) -> Iterator[Problem]:
    for step in cloudpickle.loads(request.steps):
        expected = dict(request.weights[step.name])
        try:
            mine = {weight.name: weight.sha256 for weight in step.weights()}
        except (ShhqError, OSError) as error:
            yield Problem(f"stage {step.name}: {error}", ", ".join(expected), "shhq-hs assets")
            continue
        for name, sha256 in expected.items():
            if mine.get(name) != sha256:
                yield Problem(
                    f"stage {step.name}: model {name} has sha256 {mine.get(name, 'none')[:12]}",
                    sha256[:12],
                    "copy the driver's file over it; shhq-hs assets tells where it lies",
                )
    used = {sha256 for weights in request.weights.values() for _, sha256 in weights}
    with suppress(AssetError):  # told above
        for asset in known_assets() if used else ():
            if asset.sha256 in used and (state := state_of(asset)) != "found":
                yield Problem(f"model file {asset.path} is {state}", f"sha256 {asset.sha256[:12]}", "make setup")


def _sample(source: Location) -> tuple[str, str] | None:
    """The first file below SOURCE that can be read; no link, which may lead anywhere."""
    path = _first_file(source)
    if path is None:
        return None
    return str(path)[len(str(source)) + 1 :], _digest(path)


def _first_file(folder: Location) -> Location | None:
    with suppress(OSError):
        for name in sorted(names_in(folder)):
            path = folder / name
            if name.startswith(".") or (isinstance(path, Path) and path.is_symlink()):
                continue
            if path.is_file() and _readable(path):
                return path
            if path.is_dir() and (found := _first_file(path)):
                return found
    return None


def _readable(path: Location) -> bool:
    try:
        return bool(_digest(path))
    except OSError:
        return False


def _digest(path: Location) -> str:
    return hashlib.sha256(read_range(path, 0, _SAMPLE_BYTES)).hexdigest()


def _source(request: Request) -> Iterator[Problem]:
    if request.sample is None:
        return
    name, digest = request.sample
    remedy = f"make SOURCE the same folder there as at the driver, by the same path; to look: ls -l {request.source}"
    try:
        same = _digest(request.source / name) == digest
    except OSError as error:
        yield Problem(f"SOURCE {request.source}: {name} cannot be read ({_why(error)})", "the driver's SOURCE", remedy)
        return
    if not same:
        yield Problem(f"SOURCE {request.source}: {name} has other bytes", "the driver's SOURCE", remedy)


def _out(request: Request) -> Iterator[Problem]:
    runs = request.out / "runs"
    remedy = f"make OUT the same folder there as at the driver, by the same path; to look: cat {runs / _TOKEN}"
    try:
        token = parse_json((runs / _TOKEN).read_text())
    except (OSError, ValueError) as error:
        yield Problem(f"OUT {request.out}: the driver's runs/{_TOKEN} is not there ({_why(error)})", "it there", remedy)
        return
    if token != request.token:
        yield Problem(f"OUT {request.out}: runs/{_TOKEN} is of another run", "what the driver wrote there", remedy)
        return
    probe = runs / f"worker-{uuid.uuid4().hex[:8]}.json"
    try:
        write_json(probe, request.token)
        probe.unlink(missing_ok=True)
    except (ShhqError, OSError) as error:
        yield Problem(f"it cannot write to OUT: {error}", "that it may", f"touch {runs}/me (as the worker's user)")


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
