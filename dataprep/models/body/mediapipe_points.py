"""The 23 of MediaPipe's 33 pose points that body fits use, by name; left is the person's left."""

MEDIAPIPE_INDEX: dict[str, int] = {
    "nose": 0, "left_eye": 2, "right_eye": 5, "left_ear": 7, "right_ear": 8, "mouth_left": 9, "mouth_right": 10,
    "left_shoulder": 11, "right_shoulder": 12, "left_elbow": 13, "right_elbow": 14, "left_wrist": 15,
    "right_wrist": 16, "left_hip": 23, "right_hip": 24, "left_knee": 25, "right_knee": 26, "left_ankle": 27,
    "right_ankle": 28, "left_heel": 29, "right_heel": 30, "left_foot_index": 31, "right_foot_index": 32,
}  # fmt: skip
POINTS = tuple(MEDIAPIPE_INDEX)
POINT_NAMES = tuple(f"mediapipe/{name}" for name in POINTS)  # as body models name their regressors
LEFT_EAR, RIGHT_EAR, LEFT_SHOULDER, RIGHT_SHOULDER = (
    POINTS.index(n) for n in ("left_ear", "right_ear", "left_shoulder", "right_shoulder")
)
