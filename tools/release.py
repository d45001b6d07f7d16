"""Wheel and sdist for others: `python -m tools.release --url https://HOST/OWNER/shhq-hs` (`make dist URL=...`).

A page of packages shows README.md alone, where `docs/images/story.jpg` leads nowhere. So the README in what is built
here has whole addresses, below the one that is given; the checkout's own stays as it is, since its links work there.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)\s]+)\)")
_BUILD = (
    "import sys; from setuptools import build_meta as b; [getattr(b, 'build_' + k)(sys.argv[1]) for k in sys.argv[2:]]"
)


def with_whole_addresses(text: str, url: str, branch: str = "main") -> str:
    """Return Markdown whose links lead to a repository's pages and whose pictures to its files."""
    return _LINK.sub(
        lambda link: f"{link[1]}[{link[2]}]({url}/{'raw' if link[1] else 'blob'}/{branch}/{link[3]})", text
    )


def checkout_files() -> list[Path]:
    """What git knows of and does not ignore; in an unpacked sdist, all there is."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=False
    )
    names = listed.stdout.decode().split("\0")[:-1] if listed.returncode == 0 else []
    found = [ROOT / name for name in names] or [path for path in ROOT.rglob("*") if "build" not in path.parts]
    return [path for path in found if path.is_file()]


def build(to: Path, url: str, kinds: tuple[str, ...] = ("sdist", "wheel")) -> list[Path]:
    """Build from a copy of the checkout; returns the files made. Raises CalledProcessError where setuptools fails."""
    to.mkdir(parents=True, exist_ok=True)
    before = set(to.iterdir())
    with tempfile.TemporaryDirectory(prefix="shhq-hs-release-") as folder:
        copy = Path(folder)
        for path in checkout_files():
            place = copy / path.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        if url:
            readme, project = copy / "README.md", copy / "pyproject.toml"
            readme.write_text(with_whole_addresses(readme.read_text(encoding="utf-8"), url), encoding="utf-8")
            text = project.read_text(encoding="utf-8")
            urls = f'[project.urls]\nRepository = "{url}"\nChangelog = "{url}/blob/main/CHANGELOG.md"'
            project.write_text(text.replace("[project.urls]", urls), encoding="utf-8")
        subprocess.run([sys.executable, "-c", _BUILD, to.resolve(), *kinds], cwd=copy, check=True, stdout=sys.stderr)
    return sorted(set(to.iterdir()) - before)


def main() -> int:
    """Build both and say where they lie."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=os.environ.get("URL", ""), help="where the repository is shown to people")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    given = parser.parse_args()
    if given.url and not re.fullmatch(r"https?://[^\s/]+/\S*[^\s/]", given.url):
        print(f"--url {given.url}: expected the repository's page, https://HOST/OWNER/NAME", file=sys.stderr)
        return 2
    for path in build(given.out, given.url):
        print(path)
    if not given.url:
        print("without --url links and pictures of README.md lead nowhere outside a checkout", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
