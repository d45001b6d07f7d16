"""The page `report/index.html`: what came of the photographs, why, and how good the labels are.

write.py        everything below report/, in order: the work of the report stage
census.py       the manifest as columns, a few thousand rows at a time
numbers.py      every number of the data; also written as report.json
  checks.py       labels of one row that must agree, compared
  coverage.py     angles, coefficients and sizes of the accepted portraits
  prior.py        what training will draw, and never draw
  similar.py      near-duplicates, and whether they straddle the splits
  persons.py      people, and whether they stand in both splits
  health.py       nulls and ranges of every column
  differences.py  against another version of the data set
  headroom.py     how far a portrait lies above its thresholds: ranks best, weakest and nearest misses
timing.py       seconds by stage: the machine's numbers, apart from the data's
page_pictures.py what stages emitted, and the photographs themselves where they can still be found
shelf.py        every picture and sample of the page, once
marks.py        labels as SVG paths; outlines.py: those of the fitted meshes
charts.py       histograms, maps and ranges by matplotlib as inline SVG
snippets.py     five lines of pandas a section, which recompute its numbers
page.py         puts them into the template
sheets.py       contact sheets as plain PNG; story.py: one image's whole story
"""
