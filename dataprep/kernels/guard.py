"""Whether loops in machine code run here: the one switch of this folder.

Where it is off, every function that has loops computes the same in torch: without numba, with a version of it that
these loops were not tried with, or by `SHHQ_HS_KERNELS=off`. `SHHQ_HS_KERNELS=on` tries an unknown version all the
same. The rest of the folder can be imported either way.
"""

import logging
import os

KNOWN_FROM, KNOWN_BEFORE = (0, 64), (0, 69)  # versions of numba; pyproject.toml asks for the same
SETTING = "SHHQ_HS_KERNELS"


def why_off(version: str, setting: str) -> str:
    """Return why loops may not run with that version of numba ("" for none) and that setting; "" if they may."""
    if setting == "off":
        return f"{SETTING}=off"
    if not version:
        return "numba cannot be imported"
    try:
        known = KNOWN_FROM <= tuple(int(number) for number in version.split(".")[:2]) < KNOWN_BEFORE
    except ValueError:  # of a version that is no numbers
        known = False
    least, below = (".".join(map(str, bound)) for bound in (KNOWN_FROM, KNOWN_BEFORE))
    return "" if known or setting == "on" else f"numba {version} is not one of those known, {least} to below {below}"


def _load() -> str:
    """Import numba; its version, "" when it cannot be imported."""
    try:
        import numba
    except Exception as error:  # it refuses a numpy or llvmlite that it does not know, in several ways
        logging.getLogger(__name__).debug("numba: %s", error)
        return ""
    return str(numba.__version__)


REASON_OFF = why_off(_load(), os.environ.get(SETTING, ""))
ON = not REASON_OFF
if REASON_OFF:
    logging.getLogger(__name__).info("no loops in machine code: %s; torch computes the same, more slowly", REASON_OFF)
