"""The generator of AniPortraitGAN (SIGGRAPH Asia 2023): published weights in, the published pictures out.

Where to look:

    config.py       every number of the method              presets.py      every number of training, and its source
    networks/       M, phi, U, D_p, D_e, and the critics    losses.py       adversarial terms, R1, Eqs. 9-13
    rendering/      cameras, SMPL, rays, maps, compositing; generator.py ties the five networks together
    face/           the 3DMM, and who reads faces for Eq. 9 kernels/        machine code for CPUs
    checkpoint.py   loading and saving                      generator_files.py   from files to a generator that speaks
    data/           shards and label priors                 training/       `shhq-hs train`
    animation/      `shhq-hs animate`                       evaluation/     `shhq-hs evaluate`

Tensor names end in their axes: B batch, H W image, D depth (half-resolution samples), R rays, S samples of a ray,
N points, L level sets, J joints, V vertices, K values of a code, C channels; digits are literal sizes (`points_NS3`).
"""
