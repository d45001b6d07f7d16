"""Training: `python -m gan.training --data OUT --preset tiny --out RUN`. To resume, run the same command again.

    state.py       everything a run is: networks, optimisers, average, number of images seen; saved as one file
    pictures.py    what the generator makes of codes in training, and the deformation losses on its rays
    steps.py       one optimiser step: critics, then generator
    loop.py        steps from where the run stands to its end: log, snapshots, checkpoints
    __main__.py    the command

No state of a random generator is kept: real samples, codes and offsets are functions of (seed, images seen), so a run
that was killed continues with what it would have seen.
"""
