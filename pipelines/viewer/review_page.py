"""Marks: what people say of samples, saved as they say it."""

from __future__ import annotations

from pipelines.viewer.guarded_handler import GuardedHandler

HANDLERS: tuple[tuple[str, type[GuardedHandler]], ...] = ()
