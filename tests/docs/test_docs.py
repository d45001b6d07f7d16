"""Links, images, anchors, commands and file names of README and docs/; that commands run is `make docs-check`."""

import itertools
import re
import shlex
from pathlib import Path

import pytest

from pipelines import config_file
from pipelines.main import make_parser
from tools.docs import diagram
from tools.docs.docs_check import blocks, prepare, run_file

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "samples" / "README.md"])
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(text):
    """Of all headings, as GitHub and mkdocs make them."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(page):
    for target in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page):
    assert list(broken_links(page)) == []


def test_a_broken_link_and_a_missing_anchor_are_seen(tmp_path):
    (tmp_path / "a.md").write_text("# One two\n[ok](#one-two) [no](#three) [no](b.md) ![no](c.png)\n")
    assert list(broken_links(tmp_path / "a.md")) == ["#three", "b.md", "c.png"]


_SHELL = ("|", "||", "&&", "&", ">")  # where the shell's own words begin


def commands(page):
    """Every line of a fenced block that calls the program; synopses end where two blanks begin a remark."""
    for block in blocks(page.read_text(encoding="utf-8")):
        for line in block.text.replace("\\\n", " ").splitlines():
            if match := re.match(r"(?:\$ )?(?:\.venv/bin/)?shhq-hs (.*)", line):
                yield re.split(r"\s{2,}|\s#", match[1])[0]


@pytest.fixture
def settings_file(tmp_path):
    """The file that docs/howto.md shows: what a command with --config need not say itself."""
    page = (ROOT / "docs" / "howto.md").read_text(encoding="utf-8")
    (shown,) = [block.text for block in blocks(page) if block.language == "toml"]
    (tmp_path / "config.toml").write_text(shown)
    return str(tmp_path / "config.toml")


def test_every_command_that_a_page_shows_is_understood(capsys, settings_file):
    wrong, seen = [], 0
    for page in PAGES:
        if page.name == "commands.md":
            continue
        for command in commands(page):
            alone = itertools.takewhile(lambda word: word not in _SHELL, shlex.split(command))
            words = [word for word in alone if word != "..."]
            if "--config" in words:
                words[words.index("--config") + 1] = settings_file
            seen += 1
            try:
                config_file.parse(make_parser(), words)
            except SystemExit as stopped:
                if stopped.code:
                    wrong.append(f"{page.name}: {command}: {capsys.readouterr().err.splitlines()[-1]}")
    assert wrong == []
    assert seen > 20


def test_every_verb_in_a_sentence_exists():
    verbs = next(action.choices for action in make_parser()._actions if isinstance(action.choices, dict))
    for page in PAGES:
        for verb in re.findall(r"`(?:\.venv/bin/)?shhq-hs ([a-z][a-z-]*)", page.read_text(encoding="utf-8")):
            assert verb in verbs, f"{page.name} names shhq-hs {verb}"


def test_every_target_of_make_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"(?:^|`)make ([a-z][a-z-]+)", text, re.MULTILINE):
            assert target in targets, f"{page.name} names make {target}"


def test_every_box_of_the_diagram_names_a_file_that_exists():
    assert [box.file for box in diagram.BOXES if not (ROOT / box.file).is_file()] == []
    keys = {box.key for box in diagram.BOXES}
    assert all(end in keys for arrow in diagram.ARROWS for end in arrow.split(">"))


def test_the_diagram_is_fresh():
    assert (ROOT / "docs" / "images" / "architecture.svg").read_text(encoding="utf-8") == diagram.svg(), "run make docs"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_source_files_that_a_page_names_exist(page):
    text = re.sub(r"Save it as `[^`]*`", "", page.read_text("utf-8"))  # a file that the reader makes
    names = re.findall(r"`((?:dataprep|gan|pipelines|tools|tests|docs)/[\w/.]+\.(?:py|md|npz|json))`", text)
    assert [name for name in names if "NAME" not in name and not (ROOT / name).exists()] == []


_PATH = re.compile(r"(?<![\w./-])(?:dataprep|gan|pipelines|tools|tests|docs|samples)/[\w./]*[\w/]")
_AT_TOP = re.compile(r"`((?:\.ci/)?[\w.-]+\.(?:toml|md|yml|txt)|\.ci/run|Makefile|NOTICE|LICENSE)`")
_MODULE = re.compile(r"python -m ((?:dataprep|gan|pipelines|tools|tests)[\w.]*)")


def missing_paths(page, root=ROOT):
    """Paths and modules of a page that are not in the tree; of `folder/NAME.py`, NAME to be chosen, the folder."""
    text = page.read_text(encoding="utf-8")
    paths = {*_PATH.findall(text), *_AT_TOP.findall(text)}
    paths = {path.rpartition("/")[0] if "NAME" in path else path for path in paths}
    modules = {module for module in _MODULE.findall(text) if not module_file(root, module)}
    return sorted({path for path in paths if not (root / path).exists()} | modules)


def module_file(root, module):
    path = root / module.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_path_that_says_where_things_live_exists(name):
    assert len(_PATH.findall((ROOT / name).read_text(encoding="utf-8"))) > 20
    assert missing_paths(ROOT / name) == []


def test_a_path_that_is_not_there_is_seen(tmp_path):
    (tmp_path / "gan" / "networks").mkdir(parents=True)
    (tmp_path / "gan" / "config.py").touch()
    page = tmp_path / "page.md"
    page.write_text(
        "`gan/config.py` gan/networks/ `gan/networks/NAME.py` `gan/rooms/NAME.py`, gan/lost.py.\n`NOTICE`\n"
    )
    page.write_text(page.read_text() + "python -m gan.config\npython -m gan.absent\n")
    assert missing_paths(page, tmp_path) == ["NOTICE", "gan.absent", "gan/lost.py", "gan/rooms"]


def test_the_names_that_contributing_tells_to_touch_are_in_the_files_beside_them():
    """`trains` in `gan/training/state.py`: a name and the file that must hold it, as a sentence has them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    pairs = re.findall(r"`(\w+)`(?: and `(\w+)`)? (?:of|in) `([\w/]+\.py)`", text.replace("_NAME", "_"))
    assert len(pairs) > 10
    wrong = [(name, path) for *names, path in pairs for name in names if name not in (ROOT / path).read_text()]
    assert wrong == []


def test_blocks_are_found_with_their_marks():
    text = "```sh\na\n```\n\n<!-- no-run: GPU -->\n\n```sh\nb\n```\n```\nc\n```\n```console\n$ d\nout\n```\n"
    assert [(block.script, block.runs) for block in blocks(text)] == [
        ("a", True), ("b", False), ("c", False), ("d", True)
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no end"):
        list(blocks("```sh\na\n"))


def test_a_command_that_fails_is_told_with_its_line(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\necho fine > here.txt\n```\n```sh\ntest -f here.txt\nls samples/nothing\n```\n")
    (failure,) = run_file(page)
    assert failure.startswith(f"{page}:4: status ")
    assert "samples/nothing" in failure


def test_the_folder_for_commands_looks_like_a_checkout(tmp_path):
    prepare(tmp_path)
    assert (tmp_path / "samples" / "people").is_dir()
    assert not (tmp_path / "build").exists()
