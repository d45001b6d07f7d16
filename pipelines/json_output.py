"""What `--json` prints: one document for programs in the place of what people read."""

from __future__ import annotations

import json
import sys
from typing import Any

SCHEMA = 1  # rises when a name goes or means something else; new names may come


def print_json(content: dict[str, Any]) -> None:
    """Print `content` to stdout as one indented JSON document; paths and other objects become text.

    Bytes of names that are not UTF-8 come as escapes, so that every reader of JSON takes it.
    """
    json.dump({"schema": SCHEMA, **content}, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")
