"""What others install: the sdist holds what its README needs, whose links lead somewhere from a page of packages."""

import re
import tarfile

import pytest

from tools import release

URL = "https://example.org/us/shhq-hs"
_TARGET = re.compile(r"\]\(([^)\s]+)\)")


def test_links_get_whole_addresses_and_pictures_those_of_files():
    text = "[a](docs/a.md#b) ![p](docs/p.jpg) [web](https://x.org) [here](#there)"
    whole = release.with_whole_addresses(text, URL)
    assert whole == (
        f"[a]({URL}/blob/main/docs/a.md#b) ![p]({URL}/raw/main/docs/p.jpg) [web](https://x.org) [here](#there)"
    )


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The files of an sdist, by their names in it, and its description."""
    folder = tmp_path_factory.mktemp("sdist")
    (path,) = release.build(folder, URL, ("sdist",))
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        (info,) = [name for name in archive.getnames() if name.count("/") == 1 and name.endswith("PKG-INFO")]
        return names, archive.extractfile(info).read().decode()


def test_the_sdist_holds_what_its_readme_needs(sdist):
    names, _ = sdist
    readme = (release.ROOT / "README.md").read_text(encoding="utf-8")
    links = {target.partition("#")[0] for target in _TARGET.findall(readme)}
    linked = {target for target in links if target and not target.startswith("http")}
    assert len(linked) > 20
    parts = {
        "Makefile",
        "constraints.txt",
        "tools/before_setup.py",
        ".ci/run",
        "Dockerfile",
        "samples/people/photos/p020.jpg",
    }
    assert sorted((linked | parts) - names) == []
    assert not [name for name in names if name.endswith(".pyc") or name.startswith(("build/", ".venv/"))]


def test_the_description_leads_to_the_repository(sdist):
    _, info = sdist
    targets = _TARGET.findall(info)
    assert [target for target in targets if not re.match(r"https?://|#", target)] == []
    assert f"Project-URL: Repository, {URL}" in info
    assert "Project-URL: Paper, https://arxiv.org/" in info
    for line in ("Classifier: Programming Language :: Python :: 3.12", "Classifier: Typing :: Typed"):
        assert line in info
    assert "Provides-Extra: all" in info
