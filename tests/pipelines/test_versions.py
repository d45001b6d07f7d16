"""A stage whose code changed without a new version is caught here.

If the edit changes what the stage writes, raise its `version`. Then, in both cases, record the table again:

    python -m tests.pipelines.test_versions
"""

import json
from pathlib import Path

import grimp
import pytest

from pipelines.paper_stages import STEPS
from tools.code_digests import PACKAGES, closure, code_digest, tree_digest

TABLE = Path(__file__).with_name("stage_digests.json")


def recorded():
    return json.loads(TABLE.read_text())


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_an_edited_stage_has_a_new_version_or_a_new_record(step):
    version, digest = recorded()[step.name]
    assert (step.version, code_digest(step)) == (version, digest), (
        f"the code behind stage {step.name} changed: raise {step.__name__}.version if its output changes, "
        "then run: python -m tests.pipelines.test_versions"
    )


def test_digests_see_code_and_not_comments():
    plain = tree_digest("def f(x):\n    return x + 1\n")
    assert tree_digest('def f(x):  # more\n    """Said."""\n    return x + 1\n') == plain
    assert tree_digest("def f(x):\n    return x + 2\n") != plain


@pytest.mark.parametrize(
    ("stage", "work"),
    [("body", "fits.body.eft"), ("body", "models.regressors.hmr"), ("superres", "models.superres.rrdbnet"),
     ("face", "models.regressors.rnet"), ("detect", "models.devices"), ("report", "report.page")],
)  # fmt: skip
def test_digests_see_what_a_stage_imports_to_work(stage, work):
    (step,) = [step for step in STEPS if step.name == stage]
    assert f"dataprep.{work}" in closure(step.__module__)


def test_digests_would_see_the_generators_code():
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    assert "gan.data.priors" not in closure("dataprep.stages.report", graph)
    graph.add_import(importer="dataprep.report.prior", imported="gan.data.priors")
    assert {"gan.data.priors", "gan.data.label_rows"} <= closure("dataprep.stages.report", graph)


if __name__ == "__main__":
    TABLE.write_text(json.dumps({step.name: [step.version, code_digest(step)] for step in STEPS}, indent=1) + "\n")
