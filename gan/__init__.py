"""The generator of AniPortraitGAN (SIGGRAPH Asia 2023): published weights in, the published pictures out.

Where to look:

    config.py       every number of the method        generator.py    the five networks tied together
    film, deform, manifold, radiance, superres, smoothing              the networks: D_e, M, phi, U, D_p
    body, cameras, skinning, nearest                                   geometry: SMPL, rays, inverse skinning
    levelset, deformed, maps, compositing, truncation, mesh            rendering
    checkpoint.py   loading and saving                bench.py        `python -m gan.bench`
    discriminators, losses, face_space                                 the other half: critics, Eqs. 9-13, the 3DMM
    data/           shards and label priors           presets.py      every number of training, and its source
    training/       `python -m gan.training`

Tensor names end in their axes: B batch, H W image, D depth (half-resolution samples), R rays, S samples of a ray,
N points, L level sets, J joints, V vertices, K values of a code, C channels; digits are literal sizes (`points_NS3`).
"""
