"""The paper's numbers, for reading beside ours and never in one column with them: other data, other weights of FID.

AniPortraitGAN (arXiv 2309.02186v1), Tables 1 and 2. Which conversion of the Inception weights and which resize filter
were used is not published.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """FID, and KID x100 where the paper has it."""

    method: str
    face_fid: float | None
    face_kid: float | None
    full_fid: float | None
    full_kid: float | None


class Table(NamedTuple):
    title: str
    protocol: str
    rows: tuple[Row, ...]


TABLES = (
    Table(
        "AniPortraitGAN, Table 1",
        "SHHQ-HS as the authors built it; 20,000 generated against 20,000 real; full 512 px, face 256 px",
        (
            Row("AniPortraitGAN", 7.64, 0.43, 10.10, 0.43),
            Row("EG3D", 5.63, 0.20, 6.81, 0.26),
            Row("GRAM-HD, 128 to 512", 8.14, 0.30, 8.82, 0.28),
            Row("AniFaceGAN", 11.56, 0.66, None, None),
        ),
    ),
    Table(
        "AniPortraitGAN, Table 2 (ablation)",
        "the same data; 5,000 generated against 5,000 real; 128 px",
        (
            Row("full method", 11.26, None, 16.68, None),
            Row("D_whole alone", 23.00, None, 18.11, None),
            Row("no D_torso", 10.68, None, 22.58, None),
            Row("cropped faces instead of the face camera", 17.89, None, 14.05, None),
            Row("no D_p", 10.88, None, 19.27, None),
        ),
    ),
)
