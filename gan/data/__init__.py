"""What training reads: shards, the order of samples, mirror images, and the label rows that codes are drawn from.

    shards.py    images and labels of a data set, by index       labels.py    the label arrays
    sampler.py   which sample stands at which position           mirror.py    left and right exchanged, labels too
    priors.py    latent codes resampled from label rows          stream.py    batches of real images

What a label is, how it mirrors and what draws it stands in `dataprep.tables.labels`; which of its rows are left out, in
`dataprep.tables.outliers`.

A *position* counts the samples training has seen. Everything random is a function of (seed, position).
"""
