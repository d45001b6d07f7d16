"""Closed doors: without keys nothing runs and nothing is read, whatever the user id; tls:// with dask's settings."""

import datetime
import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dataprep.errors import ConfigError
from pipelines.executors.base import Work
from pipelines.executors.chosen_executor import make_executor
from pipelines.executors.dask_executor import DaskExecutor
from pipelines.main import main
from tests.pipelines.executors.test_cluster import ROOT, SCHEDULER, WORKER, ended, free_port, started, until
from tests.pipelines.toy import make_photos

NOBODY = 65534


def listening(process):
    """Ports on which a process and its children wait for others."""
    family = [process, *process.children(recursive=True)]
    return sorted({c.laddr.port for one in family for c in one.net_connections("inet") if c.status == "LISTEN"})


def attacked(uid, ports):
    command = [sys.executable, "-m", "tests.pipelines.intruder", str(uid), *map(str, ports)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def cluster():
    with DaskExecutor("local", 1) as executor:
        executor.submit(Work(len, "a task", "task"))
        assert dict(executor.completed()) == {"a task": 6}
        yield executor


@pytest.mark.parametrize("uid", [pytest.param(os.getuid(), marks=pytest.mark.slow), NOBODY])
def test_who_has_no_keys_runs_nothing_and_reads_nothing(cluster, uid):
    if uid != os.getuid() and os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    ports = listening(psutil.Process())
    assert len(ports) >= 3, "scheduler, nanny and worker"
    assert attacked(uid, ports) == {"uid": uid, "rehearsal": 3, "got": []}


def test_nothing_listens_beyond_this_machine(cluster):
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    open_to = {c.laddr.ip for one in family for c in one.net_connections("inet") if c.status == "LISTEN"}
    assert open_to == {"127.0.0.1"}


def test_a_folder_that_somebody_else_made_is_not_imported_from(tmp_path):
    """dask puts its scratch space first on the import path, and takes one that is there already."""
    planted = tmp_path / "dask-scratch-space"
    planted.mkdir(mode=0o777)
    (tmp_path / "shhq-hs-scratch-killed").mkdir()
    (planted / "jinja2.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    code = (
        "import sys\nfrom pipelines.executors.dask_executor import DaskExecutor\nif __name__ == '__main__':\n"
        " with DaskExecutor('local', 1) as executor:\n"
        "  paths = [sys.path, *executor._client.run(lambda: __import__('sys').path).values()]\n"
        "  import jinja2\n"
        " print([path for some in paths for path in some])\n"
    )
    (tmp_path / "build.py").write_text(code)
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(tmp_path / "build.py")], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(planted) not in done.stdout
    assert not (tmp_path / "ran").exists()
    assert not list(tmp_path.glob("shhq-hs-scratch-*")), "not even of a run that was killed"


def test_the_dashboard_is_named_only_where_there_is_one(cluster, monkeypatch, capsys, tmp_path):
    assert "http" not in cluster.dashboard
    assert "pip install 'bokeh" in cluster.dashboard
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    tmp_path.joinpath("photos").mkdir()
    assert main(["run", str(tmp_path / "photos"), "--out", str(tmp_path / "out"), "--dashboard"]) == 2
    assert "needs the package bokeh" in capsys.readouterr().err


# --- tls:// ------------------------------------------------------------------------------------------------------


def make_keys(folder, common_name="ours"):
    """A certificate that signs itself, with its key, as docs/clusters.md makes them; returns dask's settings."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now).not_valid_after(now + datetime.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    folder.mkdir()
    (folder / "ours.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    kinds = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ours.key").write_bytes(key.private_bytes(*kinds))
    settings = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(folder / "ours.crt")}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        settings[f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT"] = str(folder / "ours.crt")
        settings[f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY"] = str(folder / "ours.key")
    return settings


def build(cluster, photos, out):
    return (sys.executable, "-m", "pipelines.main", "run", str(photos), "--out", str(out), "--cluster", cluster,
            "--until", "ingest", "--set", "ingest.min_side_px=16")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("named_by", ["address", "file"])
def test_a_cluster_behind_tls_works_with_dasks_own_settings(named_by, tmp_path):
    make_photos(tmp_path / "photos", 4)
    keys, port, file = make_keys(tmp_path / "keys"), free_port(), tmp_path / "scheduler.json"
    cluster = f"tls://127.0.0.1:{port}" if named_by == "address" else f"file:{file}"
    scheduler = (
        *SCHEDULER,
        "--protocol",
        "tls",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--scheduler-file",
        str(file),
    )
    with started(*scheduler, **keys) as process, started(*WORKER, cluster, "--workers", "1", **keys) as worker:
        until(lambda: "working for tls://" in worker.log.read_text(), worker)
        with started(*build(cluster, tmp_path / "photos", tmp_path / "out"), **keys) as driver:
            status, text = ended(driver)
        assert (status, process.poll()) == (0, None), text
        assert "is open" not in text
        with started(
            *build(cluster, tmp_path / "photos", tmp_path / "other"), **make_keys(tmp_path / "theirs")
        ) as driver:
            status, text = ended(driver)
        assert status == 2
        assert "no dask scheduler that takes these keys answers there" in text
        assert "Traceback" not in text


def test_an_open_scheduler_is_said_to_be_open(tmp_path):
    make_photos(tmp_path / "photos", 4)
    port = free_port()
    cluster = f"tcp://127.0.0.1:{port}"
    with (
        started(*SCHEDULER, "--host", "127.0.0.1", "--port", str(port)),
        started(*WORKER, cluster, "--workers", "1") as worker,
    ):
        until(lambda: "working for tcp://" in worker.log.read_text(), worker)
        with started(*build(cluster, tmp_path / "photos", tmp_path / "out")) as driver:
            status, text = ended(driver)
    assert status == 0, text
    assert "this scheduler is open" in text
    assert "no dashboard; to have one: pip install 'bokeh" in text


def test_missing_keys_are_named(tmp_path, monkeypatch):
    command = (*WORKER, "tls://127.0.0.1:1", "--workers", "1")
    with started(*command) as worker:
        status, text = ended(worker)
    assert status == 2
    assert "distributed.comm.tls.ca-file is not set (DASK_DISTRIBUTED__COMM__TLS__CA_FILE=FILE)" in text
    assert "distributed.comm.tls.worker.key is not set (DASK_DISTRIBUTED__COMM__TLS__WORKER__KEY=FILE)" in text
    with pytest.raises(
        ConfigError, match=r"--cluster tls://127.0.0.1:1: tls:// needs keys.*tls\.client\.cert is not set"
    ):
        make_executor("tls://127.0.0.1:1", "1")
    keys = make_keys(tmp_path / "keys")
    Path(keys["DASK_DISTRIBUTED__COMM__TLS__WORKER__KEY"]).write_text("no key")
    with started(*command, **keys) as worker:
        status, text = ended(worker)
    assert status == 2
    assert "are no keys that fit each other" in text
    assert "Traceback" not in text
