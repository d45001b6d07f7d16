"""The generator of AniPortraitGAN (SIGGRAPH Asia 2023): published weights in, the published pictures out.

Where to look:

    config.py       every number of the method              presets.py      every number of training, and its source
    networks/       M, phi, U, D_p, D_e, and the critics    losses.py       adversarial terms, R1, Eqs. 9-13
    rendering/      cameras, SMPL, rays, maps, compositing; generator.py ties the five networks together
    face/           the 3DMM, and who reads faces for Eq. 9 kernels/        machine code for CPUs
    checkpoint.py   loading and saving                      generator_files.py   from files to a generator that speaks
    data/           shards and label priors                 training/       `shhq-hs train`
    animation/      `shhq-hs animate`                       evaluation/     `shhq-hs evaluate`

From Python (docs/python.md):

    people = gan.load_generator()                          the people that come with the package, or a checkpoint's
    gan.render(people.person(seed=3))                      pictures: uint8, (frames, side, side, 3)
    gan.read_track(FILE), gan.orbit(...), gan.neutral()    what moves

These names are imported when they are first used.

Tensor names end in their axes: B batch, H W image, D depth (half-resolution samples), R rays, S samples of a ray,
N points, L level sets, J joints, V vertices, K values of a code, C channels; digits are literal sizes (`points_NS3`).
"""

from dataprep.lazy_names import lazy_names

TYPE_CHECKING = False  # as typing's, which would take longer to import than all of this
if TYPE_CHECKING:
    from gan.animation.generated_people import GeneratedPeople, GeneratedPerson, frames, load_generator, neutral, render
    from gan.animation.tracks import Track, interpolate, orbit, read_track

_PEOPLE = ("GeneratedPeople", "GeneratedPerson", "frames", "load_generator", "neutral", "render")
_TRACKS = ("Track", "interpolate", "orbit", "read_track")
__all__ = [
    "GeneratedPeople",
    "GeneratedPerson",
    "Track",
    "frames",
    "interpolate",
    "load_generator",
    "neutral",
    "orbit",
    "read_track",
    "render",
]
__getattr__, __dir__ = lazy_names(
    __name__, {**dict.fromkeys(_PEOPLE, "animation.generated_people"), **dict.fromkeys(_TRACKS, "animation.tracks")}
)
