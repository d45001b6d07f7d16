"""Training presets, one line an entry; `shhq-hs train --preset paper-stage1 --print` says where every value is from.

paper      stated in the paper            released   read off the authors' inference code
assumed    not published anywhere         ours       changed by a preset that is not the paper's
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dataprep.errors import ConfigError
from dataprep.settings import Setting, number, require_bounds, setting, settings_of
from gan.config import LEAST_RAYS, GeneratorConfig
from gan.losses import CAMERA_WEIGHT, AdversarialWeights
from gan.networks.critics import CriticConfig

Source = Literal["paper", "released", "assumed", "ours"]


_PAPER, _RELEASED = {"source": "paper"}, {"source": "released"}


@dataclass(frozen=True)
class DeformationWeights:
    """Weights of Eqs. 9-13 in squared face units, and how they start; none is published."""

    # Eq. 9: at 1e4, 3 mm of each landmark count 0.065. Off: the stand-in misreads expressions (docs/training.md).
    landmark: float = number(
        0.0, 0, 1e9, "weight of Eq. 9, for which 3 mm of each landmark count 0.065; needs an estimator"
    )
    imitation: float = number(1e3, 0, 1e9, "weight of Eq. 10")
    pose_smooth: float = number(1.0, 0, 1e9, "weight of Eq. 11")
    expression_smooth: float = number(1e3, 0, 1e9, "weight of Eq. 12")
    minimal: float = number(1e1, 0, 1e9, "weight of Eq. 13")
    nearby_spread: float = number(0.005, 0, 1, "standard deviation of Eq. 12's delta (6 mm); face units")
    canonical_mouth_mm: float = number(
        0.0,
        0,
        30,
        "by how much the canonical face's lips are further apart than at rest: room for a mouth's inside; mm",
    )
    points: int = number(10_000, 1, 10_000_000, "samples a picture for Eqs. 10, 12 and 13 (AniFaceGAN's number)")
    warmup_images: int = number(10_000, 0, 1e12, "images over which the weights rise from zero")
    landmark_after_images: int = number(
        10_000, 0, 1e12, "images before Eq. 9 begins to rise: an estimator cannot read noise"
    )

    def __post_init__(self) -> None:
        require_bounds(self, "deformation.")


@dataclass(frozen=True)
class PairedStart:
    """How phi begins by repeating real pictures ray by ray (gan.training.warm_start); without images it does not."""

    images: int = number(0, 0, 1e12, "pictures of a paired start, the first ones of `images`; 0: none")
    rays: int = number(100, 1, 1_000_000, "rays of either camera's picture in one step")
    pool: int = number(400, 1, 1_000_000, "rays of a picture that are followed once and kept; `rays` are drawn of them")
    middle: float = number(0.0, 0, 1, "part of the face camera's rays that gathers about the picture's middle")
    px: int = number(
        0,
        0,
        4096,
        "side of the pictures whose pixels the rays are; 0: as in the rest of training. Only without D_p, whose "
        "kernels need whole pictures",
    )
    lr: float = number(3e-4, 0, 10, "learning rate of a paired start")
    head_lr_factor: float = number(6.0, 0, 1e3, "factor on lr for the layers that give phi's colours and opacity")
    style_lr_factor: float = number(2.0, 0, 1e3, "factor on lr for what turns codes into phi's styles")
    half_after: int = number(6000, 1, 1e12, "images after which that rate is half; after twice as many it is a third")

    def __post_init__(self) -> None:
        require_bounds(self, "paired.")


@dataclass(frozen=True)
class RateSchedule:
    """How both sides' learning rates change with the images seen, not counting a paired start (gan.training.rates).

    It does not know where the run ends: `images` may be raised later, and the rates of what was seen stay what they
    were.
    """

    kind: Literal["constant", "linear", "cosine"] = setting("constant", "how the rates fall")
    warmup_images: int = number(0, 0, 1e12, "images over which the rates rise from zero")
    after_images: int = number(0, 0, 1e12, "images before they begin to fall")
    over_images: int = number(1_000_000, 1, 1e12, "images over which they fall")
    last: float = number(0.0, 0, 1, "factor on the rates at the end of the fall, and afterwards")

    def __post_init__(self) -> None:
        require_bounds(self, "schedule.")


@dataclass(frozen=True)
class Growth:
    """How stage 1 begins with fewer rays, twice as many a side in every part (gan.training.growth)."""

    first_px: int = number(0, 0, 4096, "rays a side of the first pictures; 0: all from the start")
    images: int = number(200_000, 1, 1e12, "images until all rays are there, in equal parts for every size")

    def __post_init__(self) -> None:
        require_bounds(self, "growth.")


@dataclass(frozen=True)
class Augmentation:
    """How pictures are changed before critics see them, real and generated ones alike (gan.training.augment).

    None of the changes moves anything in a picture, so cameras and other labels stay true.
    """

    mode: Literal["off", "fixed", "adaptive"] = setting(
        "off", "adaptive: the likelier, the more a critic knows the real pictures by heart (StyleGAN2-ADA)"
    )
    probability: float = number(0.0, 0, 1, "of every change; adaptive: at the start")
    target: float = number(0.6, -1, 1, "mean sign of verdicts on real pictures that is aimed at")
    every: int = number(4, 1, 10_000, "steps between adjustments")
    over_images: int = number(500_000, 1, 1e12, "images in which the probability moves by 1")
    most: float = number(0.8, 0, 1, "the probability rises no further: the generator would learn the changes")
    colour: bool = setting(True, "brightness, contrast, light and dark, hue and saturation")
    noise: bool = setting(True, "noise of every pixel")
    cutout: bool = setting(True, "a grey square of half the side")

    def __post_init__(self) -> None:
        require_bounds(self, "augment.")


@dataclass(frozen=True)
class Preset:
    """Everything training depends on but the data; without metadata a value is assumed."""

    stage: int = number(1, 1, 2, "1: everything but U; 2: U alone", **_PAPER)
    portrait_px: int = number(128, 16, 4096, "side of the portraits; px", **_PAPER)
    face_px: int = number(128, 16, 4096, "side of the face pictures; px", **_PAPER)
    generator: GeneratorConfig = field(default=GeneratorConfig(image_size=128), metadata=_RELEASED)
    adversarial: AdversarialWeights = field(default=AdversarialWeights(), metadata=_PAPER)
    with_face: bool = setting(True, "whether D_face judges", **_PAPER)
    with_torso: bool = setting(True, "whether D_torso judges", **_PAPER)
    cropped_face: bool = setting(False, "D_face sees a crop of the portrait (an ablation)", **_PAPER)
    with_pose_smoothing: bool = setting(True, "whether D_p smooths the pose deformation", **_PAPER)
    critic: CriticConfig = field(default=CriticConfig())
    begins_at_body: bool = setting(
        False, "M's level sets start about the mean body, not as spheres (gan.training.warm_start.beginnings)"
    )
    expression_steps: int = number(
        0,
        0,
        1_000_000,
        "steps in which D_e is fitted to Eq. 10 before the first picture (gan.training.warm_start)",
    )
    paired: PairedStart = field(default=PairedStart())
    shades_at_hits: bool = setting(False, "stage 1 asks phi where rays hit, not through maps (gan.training.at_hits)")
    shared_fakes: bool = setting(False, "the generator's pictures serve the critics as well, once a step")
    first_waves: float = number(1.0, 0, 100, "factor on phi's first layer at the start; below 1: smoother pictures")
    first_styles: float = number(1.0, 0, 100, "factor on what codes change of phi at the start; below 1: more alike")
    nearest_step: int = number(1, 1, 100_000, "training searches every n-th vertex only")
    patch_width: int = number(0, 0, 4096, "width of the patch critic; 0: none")
    deformation: DeformationWeights = field(default=DeformationWeights())
    generator_lr: float = number(2e-5, 0, 10, "learning rate of the generator")
    shape_lr_factor: float = number(1.0, 0, 1e3, "factor on generator_lr for M and D_e")
    critic_lr: float = number(2e-4, 0, 10, "learning rate of the critics")
    schedule: RateSchedule = field(default=RateSchedule())
    adam_betas: tuple[float, float] = number((0.0, 0.9), 0, 0.999999, "beta_1 and beta_2 of Adam")
    r1_gamma: float = number(1.0, 0, 1e6, "gamma of R1")
    r1_every: int = number(1, 1, 10_000, "steps from one R1 to the next, with a step of its own (StyleGAN2: 16)")
    camera_weight: float = number(CAMERA_WEIGHT, 0, 1e6, "weight of the cameras, where critic.regress_camera")
    augment: Augmentation = field(default=Augmentation())
    growth: Growth = field(default=Growth())
    clip_norm: float = number(0.3, 1e-9, 1e9, "gradients are clipped to this norm")
    ema: float = number(0.999, 0, 1, "share of its own that the averaged generator keeps a step")
    second_ema: float = number(0.0, 0, 1, "the same of a second average, RUN/second.pt; 0: there is none")
    consistency: float = number(0.0, 0, 1e6, "weight of stage 2's consistency with stage 1")
    batch: int = number(32, 1, 65_536, "images a step over all devices")
    images: int = number(5_000_000, 1, 1e12, "real images that the whole training sees")
    mirror: bool = setting(True, "half of the pictures are shown mirrored, labels included")
    balance: bool = setting(
        False, "rare heads, mouths and skin tones are drawn more often, by the data set's `sampling_weight`"
    )

    def __post_init__(self) -> None:
        require_bounds(self, "")
        if self.portrait_px % 4:
            raise ConfigError(f"portrait_px is {self.portrait_px}, expected a multiple of 4: D_torso sees a quarter")
        self._require_pairs()
        wanted = self.generator.ray_size if self.stage == 1 else self.generator.image_size
        if self.portrait_px != wanted:
            what = "ray_size" if self.stage == 1 else "image_size"
            raise ConfigError(
                f"portrait_px {self.portrait_px} must be the generator's {what}, {wanted}, in stage {self.stage}"
            )
        self._require_growth()
        if self.stage == 1 and self.face_px != self.portrait_px:
            raise ConfigError(
                f"face_px {self.face_px} must be portrait_px {self.portrait_px} in stage 1: both are rays"
            )

    def _require_pairs(self) -> None:
        paired = self.paired
        if not paired.images or self.stage != 1:
            return
        if paired.px and self.with_pose_smoothing:
            raise ConfigError(
                f"paired.px is {paired.px}, which needs with_pose_smoothing=no: D_p's kernels see whole pictures"
            )
        if paired.rays > (paired.px or self.portrait_px) ** 2:
            raise ConfigError(f"paired.rays is {paired.rays}, expected at most the picture's side squared")

    def _require_growth(self) -> None:
        first = self.growth.first_px
        if first and self.stage != 1:
            raise ConfigError(f"growth.first_px is {first}, expected 0 in stage 2, whose rays are those of stage 1")
        sizes = [self.portrait_px >> halvings for halvings in range(1, 12)]
        possible = [side for side in sizes if side % 2 == 0 and side >= LEAST_RAYS and not self.portrait_px % side]
        if first and first not in possible:
            raise ConfigError(
                f"growth.first_px is {first}, expected portrait_px halved some times: "
                f"{', '.join(map(str, possible)) or 'this preset has too few rays for it'}"
            )


_PAPER2 = Preset(
    stage=2, portrait_px=512, face_px=256, generator=GeneratorConfig(), patch_width=64,
    generator_lr=2e-4, r1_gamma=5.0, consistency=3.0, batch=16, images=2_000_000,
)  # fmt: skip
_SMALL_NETS = GeneratorConfig(
    image_size=64, ray_size=64, map_size=64, coarse_samples=32, fine_samples=128, map_samples=64, levels=24,
    deform_width=64, manifold_width=64, radiance_width=128, features=16, sr_width=32, sr_growth=16, sr_blocks=2,
)  # fmt: skip
# Sized for minutes on two cores: some 0.2 s a picture on one. With fewer levels each must be more opaque.
_TINY_NETS = GeneratorConfig(
    image_size=32, ray_size=32, map_size=32, coarse_samples=8, fine_samples=24, map_samples=16, levels=8,
    opacity_scale=1.0, deform_width=16, manifold_width=32, radiance_width=32, features=8, sr_width=8, sr_growth=4,
    sr_blocks=1,
)  # fmt: skip
_SMALL = Preset(
    portrait_px=64, face_px=64, generator=_SMALL_NETS, critic=CriticConfig(max_width=256),
    generator_lr=1e-4, batch=16, images=500_000,
)  # fmt: skip
# D_p is left out: at 32 rays its kernels would average over half the picture.
_TINY = Preset(
    portrait_px=32, face_px=32, generator=_TINY_NETS, critic=CriticConfig(max_width=48, width_at_128=4),
    adversarial=AdversarialWeights(whole=1.0, face=0.5, torso=0.5), with_pose_smoothing=False, begins_at_body=True,
    first_waves=0.2, nearest_step=8,
    deformation=DeformationWeights(points=300, warmup_images=1000, landmark_after_images=1000),
    generator_lr=1e-3, shape_lr_factor=0.1, critic_lr=8e-4, clip_norm=5.0, ema=0.99, batch=8, images=2400,
)  # fmt: skip

# Sized for hours on two cores: a face has 31 of the 64 pixels; the paper's critics and losses follow the paired start.
# D_p is left out as in _TINY.
_DEMO_NETS = GeneratorConfig(
    image_size=64, ray_size=64, map_size=96, coarse_samples=12, fine_samples=48, map_samples=48, levels=12,
    heads_in_place=True,
    deform_width=48, deform_mapping_layers=1, manifold_width=48, radiance_width=80, radiance_mapping_layers=1,
    opacity_scale=1.0, features=8, sr_width=24, sr_growth=8, sr_blocks=1,
)  # fmt: skip
_DEMO = Preset(
    portrait_px=64, face_px=64, generator=_DEMO_NETS, critic=CriticConfig(max_width=64, width_at_128=8),
    with_pose_smoothing=False, begins_at_body=True, expression_steps=8000,
    paired=PairedStart(images=150_000, middle=0.5, px=128), shades_at_hits=True, shared_fakes=True, first_waves=0.5,
    first_styles=0.02, nearest_step=8,
    deformation=DeformationWeights(points=300, warmup_images=0, canonical_mouth_mm=8.0),
    generator_lr=1e-4, shape_lr_factor=0.1, critic_lr=4e-4, clip_norm=5.0, ema=0.99, batch=32, images=170_000,
)  # fmt: skip
_DEMO2 = replace(
    _DEMO, stage=2, portrait_px=256, face_px=128, generator=replace(_DEMO_NETS, image_size=256, map_size=64),
    patch_width=16, paired=PairedStart(images=1600, lr=2e-3, half_after=300), generator_lr=3e-4, r1_gamma=3.0,
    consistency=3.0, ema=0.97, batch=4, images=2000,
)  # fmt: skip

PRESETS: dict[str, Preset] = {
    "paper-stage1": Preset(),
    "paper-stage2": _PAPER2,
    "small": _SMALL,
    "small-stage2": replace(
        _SMALL, stage=2, portrait_px=256, face_px=128, generator=replace(_SMALL_NETS, image_size=256), patch_width=32,
        generator_lr=2e-4, r1_gamma=3.0, consistency=3.0, images=200_000,
    ),
    "tiny": _TINY,
    "tiny-stage2": replace(
        _TINY, stage=2, portrait_px=128, face_px=64, generator=replace(_TINY_NETS, image_size=128), patch_width=8,
        generator_lr=3e-3, consistency=10.0, ema=0.9, batch=4, images=400,
    ),
    "demo": _DEMO,
    "demo-stage2": _DEMO2,
    # A lesson of minutes, from the weights that come with the package: --from demo
    "tiny-demo": replace(_DEMO, paired=PairedStart(images=480, middle=0.5, lr=1e-4), ema=0.9, batch=8, images=800),
    "tiny-demo-stage2": replace(_DEMO2, paired=PairedStart(images=40, lr=5e-4), ema=0.8, images=80),
    # of Table 2, at 128 pixels; at other sizes: --preset small --set with_torso=false
    "ablation-whole-only": Preset(with_face=False, with_torso=False),
    "ablation-no-face": Preset(with_face=False),
    "ablation-no-torso": Preset(with_torso=False),
    "ablation-cropped-face": Preset(cropped_face=True),
    "ablation-no-dp": Preset(with_pose_smoothing=False),
}  # fmt: skip


def preset(name: str, **changes: Any) -> Preset:
    """Return a named preset with top-level fields changed; unknown names and fields raise ConfigError."""
    if name not in PRESETS:
        raise ConfigError(f"no preset '{name}'; there are {', '.join(PRESETS)}")
    known = {field.name for field in dataclasses.fields(Preset)}
    if unknown := sorted(set(changes) - known):
        raise ConfigError(f"a preset has no field {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    return replace(PRESETS[name], **changes)


def describe(chosen: Preset) -> str:
    """Return one line a value: name, value and where it comes from."""
    rows = with_sources(chosen)
    width = max(len(one.name) for one, _ in rows)
    return "\n".join(f"{one.name:<{width}}  {one.value!s:<22}  {source}" for one, source in rows)


def with_sources(chosen: Preset) -> list[tuple[Setting, Source]]:
    """Return every entry with where its value comes from."""
    reference = PRESETS["paper-stage1" if chosen.stage == 1 else "paper-stage2"]
    published = [(value, source) for _, value, source in flat(reference)]
    pairs = zip(settings_of(chosen), published, strict=True)
    return [(one, source if one.value == value else "ours") for one, (value, source) in pairs]


# Fields inside a nested group whose source is not the group's.
_EXCEPTIONS: dict[str, Source] = {"adversarial.patch": "assumed", "generator.outside_weight_max": "assumed"}


def flat(record: Any) -> Iterator[tuple[str, Any, Source]]:
    """Yield name, value and source of every entry, nested ones with dots."""
    for one in settings_of(record):
        yield one.name, one.value, _EXCEPTIONS.get(one.name) or one.metadata.get("source", "assumed")
