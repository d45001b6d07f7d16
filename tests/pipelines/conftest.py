"""A build that nothing disturbed, of a module's own `photos`, and a real S3 server for the tests that ask for one."""

import pytest

from tests.object_store import s3_of_this_process
from tests.pipelines.outage import build


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    pytest.importorskip("s3fs", reason="pip install 'shhq-hs[s3]'")
    pytest.importorskip("moto.server", reason="pip install 'shhq-hs[dev]'")
    with s3_of_this_process(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    build(photos, out)
    return out
