"""`python3 tools/before_setup.py GOAL`: can the set-up work? One sentence with the way out, or nothing.

`make` runs this before the set-up, with whatever Python there is: only the standard library, and nothing that a Python
before 3.11 cannot read (every Python from 3.6 on must come as far as the sentence that it is too old).
`network GOAL` looks at the network alone: after a failed installation, was that the reason?
"""

import configparser
import contextlib
import importlib
import importlib.util
import os
import platform
import re
import shutil
import socket
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
GIB = 1 << 30
NEEDED_BYTES = 5 * GIB  # 3.1 GiB with torch for CPUs were measured; pip unpacks beside, and the samples' build is 0.2
NETWORK_S = 3.0  # with the rest below 5 s: a resolver that nobody answers waits much longer


def python_fault(goal: str) -> str:
    """What is wrong with the Python that runs this; "" when nothing is."""
    lowest, beyond = map(int, re.findall(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', _pyproject())[0])
    minors = range(lowest, beyond)
    here = f"Python {platform.python_version()} ({sys.executable})"
    if sys.version_info[0] == 3 and sys.version_info[1] in minors:
        package = f"python3.{sys.version_info[1]}-venv"
        able = importlib.util.find_spec("ensurepip")
        return "" if able else f"{here} cannot make virtual environments; on Debian or Ubuntu: apt install {package}"
    found = next(filter(None, (_on_this_machine(f"3.{minor}") for minor in minors)), "")
    wanted = " or ".join(f"3.{minor}" for minor in minors)
    way = f"make {goal} PYTHON={found or f'python3.{lowest}'}"
    if Path(sys.prefix).resolve() == VENV.resolve():
        return f".venv was made with {here}, and {wanted} is needed; run: rm -rf .venv && {way}"
    return f"{here} does not serve, {wanted} is needed; {'run' if found else 'install one, then run'}: {way}"


def disk_fault(goal: str) -> str:
    """What is wrong with the disk below the checkout; "" when nothing is."""
    free = shutil.disk_usage(str(ROOT)).free
    if free >= NEEDED_BYTES:
        return ""
    lack = f"{ROOT} has {free / GIB:.1f} GiB free and the set-up needs {NEEDED_BYTES / GIB:.0f}"
    return f"{lack}; free some space, then run: make {goal}"


def network_fault(goal: str) -> str:
    """Why pip will not reach its index; "" when it will, or needs none."""
    settings = _pip_settings()
    index = urlsplit(settings.get("index-url") or _index_of_pip())
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on") or not index.hostname:
        return ""
    proxy = settings.get("proxy") or _proxy(index.scheme, index.hostname)
    first = urlsplit(proxy if "//" in proxy else f"//{proxy}") if proxy else index
    port = first.port or (443 if first.scheme == "https" else 80)
    why = _unreachable(first.hostname or "", port)
    if not why:
        return ""
    lack = f"no network: pip's {'proxy' if proxy else 'index'} {first.hostname}:{port} cannot be reached ({why})"
    ways = "connect, name a mirror (PIP_INDEX_URL=URL) or, with all packages in local folders, set PIP_NO_INDEX=1"
    return f"{lack}; {ways}, then run: make {goal}"


def _pyproject() -> str:
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def _on_this_machine(version: str) -> str:
    """A command that starts this version of Python, or "": none is started here, which would take seconds.

    pyenv and uv keep theirs off the path; pyenv's shims stand on it for versions that are not there, too.
    """
    name, home = "python" + version, Path.home()
    found = shutil.which(name)
    if found and Path(found).parent.name != "shims":
        return name
    patterns = [f".pyenv/versions/{version}*/bin/{name}", f".local/share/uv/python/cpython-{version}*/bin/{name}"]
    kept = sorted(str(path) for pattern in patterns for path in home.glob(pattern))
    return kept[-1] if kept else ""


def _index_of_pip() -> str:
    """The index that pip asks when nobody names one; "" where this Python's pip does not say."""
    try:
        return str(importlib.import_module("pip._internal.models.index").PyPI.simple_url)
    except (ImportError, AttributeError):
        return ""


def _pip_settings() -> dict:
    """Settings of pip for an installation: from its files, the nearest last, and from the environment."""
    homes = [Path("/etc/xdg/pip"), Path("/etc"), Path.home() / ".pip", Path.home() / ".config/pip", Path(sys.prefix)]
    files = [str(folder / "pip.conf") for folder in homes] + [os.environ.get("PIP_CONFIG_FILE", os.devnull)]
    read = configparser.RawConfigParser(strict=False)
    with contextlib.suppress(configparser.Error, OSError, UnicodeError):  # pip will say so better
        read.read(files, encoding="utf-8")
    settings = {}  # type: dict[str, str]
    for section in ("global", "install"):
        settings.update(read[section] if read.has_section(section) else {})
    for name in ("index-url", "no-index", "proxy"):
        given = os.environ.get("PIP_" + name.upper().replace("-", "_"))
        settings.update({name: given} if given else {})
    return settings


def _proxy(scheme: str, host: str) -> str:
    """The proxy that the environment names for `host`, or ""."""
    around = [name.strip().lstrip(".") for name in _variable("no_proxy").split(",")]
    if "*" in around or any(name and (host == name or host.endswith("." + name)) for name in around):
        return ""
    return _variable(scheme + "_proxy") or _variable("all_proxy")


def _variable(name: str) -> str:
    return os.environ.get(name) or os.environ.get(name.upper(), "")


def _unreachable(host: str, port: int) -> str:
    """Why `host` does not answer on `port`, in words; "" when it does."""
    found = ["it does not answer"]

    def look() -> None:
        try:
            socket.create_connection((host, port), NETWORK_S).close()
            found[0] = ""
        except OSError as error:
            found[0] = error.strerror or str(error)

    looking = threading.Thread(target=look, daemon=True)  # asking for a name cannot be given a time limit
    looking.start()
    looking.join(NETWORK_S)
    return found[0]


def main() -> int:
    """Print the first fault; returns 1 when there is one."""
    only, goal = sys.argv[1:2] == ["network"], sys.argv[-1] if len(sys.argv) > 1 else "setup"
    for look in (network_fault,) if only else (python_fault, disk_fault, network_fault):
        fault = look(goal)
        if fault:
            print(fault, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
