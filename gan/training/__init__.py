"""Training: `shhq-hs train --data OUT --preset tiny --out RUN`. To resume, run the same command again.

    setup.py       what a run needs before its first step
    loop.py        steps from where the run stands to its end: log, snapshots, checkpoints
    steps.py       one optimiser step: critics, then generator
    pictures.py    what the generator makes of codes in training, and the deformation losses on its rays
    state.py       everything a run is: networks, optimisers, average, number of images seen; saved as one file
    execution.py   device, precision, memory; ranks.py: several processes on one batch
    log.py         losses as JSON lines and TensorBoard events; snapshots.py: pictures at fixed codes

No state of a random generator is kept: real samples, codes and offsets are functions of (seed, images seen), so a run
that was killed continues with what it would have seen.
"""
