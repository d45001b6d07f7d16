"""A first look at much material: `--limit` and `--sample` draw inputs by their names, before they are read.

What is drawn is spread over the whole, hangs on nothing but the names, and grows: 1% is among 10%, ten are among a
hundred. Inputs that the data set has already stay in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dataprep.inputs.archives import archive_of
from dataprep.inputs.gathering import Gathering, draw
from dataprep.tables.input_rows import Source
from dataprep.tables.sources import Survey


def first_look(survey: Survey, gathering: Gathering, known: Iterable[Source]) -> Survey:
    """Return the survey with the inputs that are drawn."""
    if not gathering.is_partial:
        return survey
    stays = {name for one in known for name in (one.path, one.clip, archive_of(one.path)) if name is not None}
    every = [*survey.inputs, *survey.clips, *survey.archives, *survey.urls]
    drawn = set(_drawn([one.path for one in every], gathering, stays))
    inputs = [one for one in survey.inputs if one.path in drawn]
    clips = tuple(one for one in survey.clips if one.path in drawn)
    archives = tuple(one for one in survey.archives if one.path in drawn)
    urls = tuple(one for one in survey.urls if one.path in drawn)
    left_out = len(every) - len(inputs) - len(clips) - len(archives) - len(urls)
    return replace(survey, inputs=inputs, clips=clips, archives=archives, urls=urls, more=left_out)


def limited(found: Sequence[Source], gathering: Gathering, known: Iterable[Source]) -> list[Source]:
    """Return at most so many inputs, when the frames of videos are known: by what is drawn first, too."""
    if gathering.limit is None:
        return list(found)
    drawn = set(_drawn([one.path for one in found], replace(gathering, sample=None), {one.path for one in known}))
    return [one for one in found if one.path in drawn]


def _drawn(paths: Sequence[str], gathering: Gathering, stays: set[str]) -> list[str]:
    """The paths that are wanted: those that stay, then the lowest draws."""
    below = 1.0 if gathering.sample is None else gathering.sample
    kept = [path for path in paths if path in stays]
    fresh = sorted((draw(path), path) for path in paths if path not in stays)
    room = len(fresh) if gathering.limit is None else max(0, gathering.limit - len(kept))
    return kept + [path for number, path in fresh[:room] if number < below]
