"""Who may speak to a scheduler and its workers: whoever can, runs code as their user and reads every task.

A local cluster has keys of its own: made for it, handed to its processes through pipes, gone with it. Of the others
the address tells: `tls://` asks for the keys that dask's own settings name, `tcp://` asks nobody.
"""

from __future__ import annotations

import atexit
import ssl
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import dask
from distributed.security import Security

from dataprep.errors import ConfigError
from dataprep.files.own_files import HeldFolder, remove_abandoned

_SCRATCH = "shhq-hs-scratch-"
_TLS = "distributed.comm.tls"


def own_keys() -> Security:
    """Keys for one cluster of this machine: in memory alone, and the only ones that its processes take."""
    return Security.temporary()


def require_keys(address: str, role: str, option: str) -> None:
    """Raise ConfigError unless dask's settings hold what `role` (client or worker) needs to speak to `address`.

    `option`: how the user named the address, for the message.
    """
    if address.startswith("tcp://") and dask.config.get("distributed.comm.require-encryption"):
        raise ConfigError(f"{option}: dask's settings ask for encryption, and tcp:// has none; give tls://host:port")
    if not address.startswith("tls://"):
        return
    if missing := list(_missing(role)):
        raise ConfigError(f"{option}: tls:// needs keys; {'; '.join(missing)}. docs/clusters.md says how to make them")
    try:
        Security().get_connection_args(role)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise ConfigError(f"{option}: the files under {_TLS} of dask's settings are no keys that fit each other "
                          f"({error}); docs/clusters.md says how to make them") from error  # fmt: skip


def _missing(role: str) -> Iterator[str]:
    """What the settings lack, each as the setting's name and its variable, or as the file that cannot be read."""
    for key in ("ca-file", f"{role}.cert", f"{role}.key"):
        name = f"{_TLS}.{key}"
        value = dask.config.get(name)
        if value is None:
            yield f"{name} is not set (DASK_{name.upper().replace('.', '__').replace('-', '_')}=FILE)"
        elif "\n" not in value and not Path(value).is_file():  # else the key itself
            yield f"{name} names {value}, which is no file"


@cache
def private_folder() -> str:
    """A folder that no other account can write to, for as long as this process lives.

    dask puts a folder below its temporary directory first on the import path of scheduler, nanny and worker. By
    default that is /tmp/dask-scratch-space, whoever made it: its owner could put modules there that we then import.
    """
    parent = Path(dask.config.get("temporary-directory") or tempfile.gettempdir())
    for left in parent.glob(f"{_SCRATCH}*"):  # by processes that were killed
        remove_abandoned(left)
    held = HeldFolder(parent, _SCRATCH)
    atexit.register(held.remove)
    return str(held.path)
