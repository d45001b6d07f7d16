"""The page `report/index.html`: what came of the photographs, why, and how good the labels are.

numbers.py    every number, from the manifest alone; also written as report.json
headroom.py   how far a portrait lies above its thresholds: ranks the best, the weakest and the nearest misses
pictures.py   thumbnails: what stages emitted, and the photographs themselves where they can still be found
svg.py        histograms, heat maps and overlays as inline SVG
sheets.py     contact sheets as plain PNG
page.py       puts them into the template
"""
