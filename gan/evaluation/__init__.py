"""Judging a generator: how far its pictures are from real ones, and whether it does what its codes command.

    distances.py   Fréchet and kernel distance of two sets of features      inception.py   FID's network
    offline.py     the networks that need no download                       networks.py    which network, with its hash
    reals.py       features of real pictures, cached by content             fakes.py       pictures by (seed, index)
    chunks.py      what is computed, in files, by one or several processes
    readers.py     what a picture shows: expression, head, shoulders        control.py     against what was commanded
    run.py         one evaluation, from files to numbers                     report.py      as a page, and side by side

A number means nothing without its protocol (protocol.py): N, sizes, resize filter, flips, seed and hashes go with it.
"""
