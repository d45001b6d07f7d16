"""A plain second implementation of the generator: what the optimised one in `gan` is compared and timed against.

It reads the published state dict directly, does everything the long way (every sample through every network) and keeps
memory down by chunks alone. One frame, one identity. Suffixes: H W image, S samples of a ray, L level sets, V vertices,
J joints, N points. Numbers are the released code's; equations those of the paper.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree

BODY_SCALE, FACE_SCALE = 2.2314079, 0.52767998683149
FACE_ORIGIN = torch.tensor([0, 0.067489409707008, 0.050608165033568])
LOOK_AT = (torch.tensor([0, 0.052552, 0]) - FACE_ORIGIN) / FACE_SCALE + torch.tensor([0, 0.01, 0])
NEAR, FAR, RADIUS, FOV = 1.675087979372887, 2.115087979372887, 1 / FACE_SCALE, math.radians(12)
COORD = 2 / 0.24
MAP_HALF, MAP_Y = 0.22, -0.02830771
LEVELS = torch.linspace(23, 8, 24)
CANONICAL = {15: (0, 0, 0.15536945), 16: (-1.05, 0, 0.13), 17: (1.05, 0, 0.13)}
CHUNK = 1 << 12  # points: what they take stays in the cache


def euler_zyx(angles_N3: torch.Tensor) -> torch.Tensor:
    c, s = angles_N3.double().cos().unbind(-1), angles_N3.double().sin().unbind(-1)
    one, zero = torch.ones_like(c[0]), torch.zeros_like(c[0])
    z = torch.stack([c[0], -s[0], zero, s[0], c[0], zero, zero, zero, one], -1).view(-1, 3, 3)
    y = torch.stack([c[1], zero, s[1], zero, one, zero, -s[1], zero, c[1]], -1).view(-1, 3, 3)
    x = torch.stack([one, zero, zero, zero, c[2], -s[2], zero, s[2], c[2]], -1).view(-1, 3, 3)
    return (z @ y @ x).float()


class Oracle:
    def __init__(self, state: dict[str, np.ndarray], smpl: dict, subset: np.ndarray):
        self.w = {name: torch.as_tensor(value) for name, value in state.items()}
        self.smpl = {
            k: torch.as_tensor(np.asarray(v, np.float32)) for k, v in smpl.items() if k[:2] not in ("bs", "ki")
        }
        self.parents = np.where(smpl["kintree_table"][0] > 23, -1, smpl["kintree_table"][0])
        self.subset = subset

    # -- networks

    def mapping(self, net: str, z: torch.Tensor) -> torch.Tensor:
        for i in (0, 2, 4, 6):
            z = F.linear(
                z,
                self.w[f"{net}.mapping_network.network.{i}.weight"],
                self.w[f"{net}.mapping_network.network.{i}.bias"],
            )
            z = F.leaky_relu(z, 0.2) if i < 6 else z
        return z[0]

    def film(self, name: str, x: torch.Tensor, freq: torch.Tensor, phase: torch.Tensor) -> torch.Tensor:
        weight, bias = self.w[f"{name}.layer.weight"][:, : x.shape[1]], self.w[f"{name}.layer.bias"]
        return F.linear(x, freq[:, None] * weight, freq * bias + phase).sin_()

    def displacement(self, points_N3: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        freq, phase = style.view(2, 3, 128)
        h = points_N3 * COORD  # the other four inputs are zero
        for i in range(3):
            h = self.film(f"deform_net.network.{i}", h, freq[i] * 15 + 30, phase[i])
        return F.linear(h, self.w["deform_net.final_layer.weight"], self.w["deform_net.final_layer.bias"])[:, :3]

    def manifold(self, points_N3: torch.Tensor) -> torch.Tensor:
        h = points_N3 * COORD + torch.tensor([0, 0, 1.5])
        for i in (0, 2, 4):
            h = F.linear(h, self.w[f"sample_net.network.{i}.weight"], self.w[f"sample_net.network.{i}.bias"]).relu_()
        return F.linear(h, self.w["sample_net.output_layer.weight"], self.w["sample_net.output_layer.bias"])[:, 0]

    def radiance(self, points_N3: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """RGB, sigma, 32 features."""
        freq, phase = style.view(2, 9, 256)
        freq = freq * 15 + 30
        h = points_N3 * COORD
        out = 0
        for i in range(8):
            h = self.film(f"radiance_net.network.{i}", h, freq[i], phase[i])
            if i:
                view = torch.tensor([0.0, 0, -1]).expand(len(h), 3)
                lit = (
                    h
                    if i < 7
                    else self.film("radiance_net.color_layer_sine.0", torch.cat([view, h], 1), freq[8], phase[8])
                )
                heads = [
                    F.linear(
                        x,
                        self.w[f"radiance_net.output_{head}.{i - 1}.weight"],
                        self.w[f"radiance_net.output_{head}.{i - 1}.bias"],
                    )
                    for head, x in (("color", lit), ("sigma", h), ("feature", h))
                ]
                out = out + torch.cat(heads, 1)
        return torch.cat([out[:, :3].sigmoid(), out[:, 3:]], 1)

    def conv(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.w[f"sr_net.{name}.weight"], self.w[f"sr_net.{name}.bias"], padding=1)

    def modulated(self, name: str, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        w = self.w[f"sr_net.{name}.weight"] * style[None, :, None, None]
        w = w * torch.rsqrt(w.square().sum((1, 2, 3), keepdim=True) + 1e-8)
        return F.conv2d(x, w, self.w[f"sr_net.{name}.bias"], padding=w.shape[-1] // 2)

    def super_resolution(self, maps: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        styles = style.split([64, 64, 32, 32])
        first = x = self.conv("conv_first", maps)
        for b in range(4):
            block = x
            for d in (1, 2, 3):
                dense = [x]
                for c in (1, 2, 3, 4):
                    dense.append(F.leaky_relu(self.conv(f"RRDB_trunk.{b}.RDB{d}.conv{c}", torch.cat(dense, 1)), 0.2))
                x = x + 0.2 * self.conv(f"RRDB_trunk.{b}.RDB{d}.conv5", torch.cat(dense, 1))
            x = block + 0.2 * x
        x = first + self.conv("trunk_conv", x)
        for i in (0, 1):
            x = F.leaky_relu(F.pixel_shuffle(self.modulated(f"upconvs.{i}", x, styles[i]), 2), 0.2)
        x = F.leaky_relu(self.modulated("HRconv", x, styles[2]), 0.2)
        return self.modulated("conv_last", x, styles[3])

    def smooth(self, volume: torch.Tensor) -> torch.Tensor:
        for i in (1, 2):
            kernel = self.w[f"smoother.conv_block{i}.weight"]
            kernel = kernel / kernel.sum((2, 3, 4), keepdim=True)
            volume = F.conv3d(F.pad(volume, (4, 4, 4, 4, 2, 2), mode="reflect"), kernel, groups=16)
            if i == 1:
                volume = F.interpolate(volume, scale_factor=2, mode="trilinear", align_corners=False)
        return volume

    # -- geometry

    def chain(self, rotations_J33: torch.Tensor, joints_J3: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Forward kinematics: posed joints and the transforms relative to the given joints."""
        world: list[torch.Tensor] = []
        for j, parent in enumerate(self.parents):
            local = torch.eye(4)
            local[:3, :3] = rotations_J33[j]
            local[:3, 3] = joints_J3[j] - (joints_J3[parent] if parent >= 0 else 0)
            world.append(world[parent] @ local if parent >= 0 else local)
        world_J44 = torch.stack(world)
        relative = world_J44.clone()
        relative[:, :3, 3] -= (world_J44[:, :3, :3] @ joints_J3[..., None])[..., 0]
        return world_J44[:, :3, 3], relative

    def body(self, betas: torch.Tensor, pose_63: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Posed vertices in the face frame and inverse blended transforms, one a vertex."""
        canonical = torch.eye(3).repeat(24, 1, 1)
        for j, angles in CANONICAL.items():
            canonical[j] = euler_zyx(torch.tensor([angles]))[0]
        pose = torch.eye(3).repeat(24, 1, 1)
        pose[12:18] = euler_zyx(pose_63)
        shaped = self.smpl["v_template"] + self.smpl["shapedirs"] @ betas
        joints = self.smpl["J_regressor"] @ shaped
        posed_joints, relative = self.chain(pose @ canonical, joints)
        offsets = self.smpl["posedirs"] @ ((pose @ canonical)[1:] - torch.eye(3)).flatten()
        blend = torch.einsum("vj,jrc->vrc", self.smpl["weights"], relative)
        posed = (blend[:, :3, :3] @ (shaped + offsets)[..., None])[..., 0] + blend[:, :3, 3]
        posed = ((posed - posed_joints[12]) / BODY_SCALE - FACE_ORIGIN) / FACE_SCALE
        still = self.chain(canonical, joints)[0]
        still = ((still - still[12]) / BODY_SCALE - FACE_ORIGIN) / FACE_SCALE
        _, relative = self.chain(pose, still)
        return posed, torch.linalg.inv(torch.einsum("vj,jrc->vrc", self.smpl["weights"], relative))

    def camera_origin(self, camera_2: torch.Tensor) -> torch.Tensor:
        pitch, yaw = camera_2
        return RADIUS * torch.stack([pitch.sin() * yaw.cos(), pitch.cos(), pitch.sin() * yaw.sin()])

    def target_points(self, camera_2: torch.Tensor, size: int = 128, samples: int = 64) -> torch.Tensor:
        origin = self.camera_origin(camera_2)
        forward = -origin / origin.norm()
        right = F.normalize(torch.linalg.cross(forward, torch.tensor([0.0, 1, 0])), dim=0)
        world_from_cam = torch.stack([right, torch.linalg.cross(right, forward), -forward], 1)
        y, x = torch.meshgrid(torch.linspace(1, -1, size), torch.linspace(-1, 1, size), indexing="ij")
        directions = F.normalize(torch.stack([x, y, torch.full_like(x, -1 / math.tan(FOV / 2))], -1), dim=-1)
        directions = directions @ world_from_cam.T
        return directions[:, :, None] * torch.linspace(NEAR, FAR, samples)[:, None] + origin + LOOK_AT

    def neutral_points(self, points_HWS3: torch.Tensor, betas: torch.Tensor, pose_63: torch.Tensor) -> torch.Tensor:
        posed, inverse = self.body(betas, pose_63)
        half = points_HWS3[::2, ::2, ::2]
        nearest = cKDTree(posed[self.subset].numpy()).query(half.reshape(-1, 3).numpy())[1]
        field = inverse[self.subset][nearest].reshape(*half.shape[:3], 16).permute(3, 2, 0, 1)[None]
        field = self.smooth(field)[0].permute(2, 3, 1, 0).view(*points_HWS3.shape[:3], 4, 4)
        return (field[..., :3, :3] @ points_HWS3[..., None])[..., 0] + field[..., :3, 3]

    # -- rendering

    def radiance_maps(
        self, z_id: torch.Tensor, noise: torch.Tensor, size: int = 128
    ) -> tuple[torch.Tensor, torch.Tensor]:
        code = torch.cat([z_id, noise], 1)
        x = torch.linspace(-MAP_HALF, MAP_HALF, size)
        y = torch.linspace(-MAP_HALF, MAP_HALF, size) + MAP_Y
        z = 1 - torch.linspace(0.8, 1.2, 64)
        points_RS3 = torch.stack(torch.meshgrid(y, x, z, indexing="ij"), -1)[..., [1, 0, 2]].reshape(-1, 64, 3)
        scaled = points_RS3 * COORD
        s = torch.cat([self.manifold(p) for p in scaled.view(-1, 3).split(CHUNK)]).view(-1, 64)
        chunks = zip(scaled.split(CHUNK // 64), s.split(CHUNK // 64), strict=True)
        hits_RL3, valid_RL = joined((intersect(*chunk, LEVELS, falling_only=False) for chunk in chunks), 0)
        style = self.mapping("radiance_net", code)
        out = torch.cat([self.radiance(p / COORD, style) for p in hits_RL3.view(-1, 3).split(CHUNK)])
        out = out.view(size, size, 24, 36).permute(2, 3, 0, 1).clone()
        valid = valid_RL.view(size, size, 24).permute(2, 0, 1)
        out[:, 3] = (1 - torch.exp(-0.04 * F.softplus(out[:, 3]))) * valid
        style = self.mapping("sr_net", code)
        high = torch.cat([self.super_resolution(m[None], style) for m in out]).sigmoid()
        return out[:, :4], high

    def deformed_rays(self, neutral_HWS3: torch.Tensor, z_id: torch.Tensor, z_exp: torch.Tensor):
        """Per ray of 256 samples: neutral points and displacements at the 24 levels (summed) and validity."""
        style = self.mapping("deform_net", torch.cat([z_id, z_exp], 1))
        rays = neutral_HWS3.reshape(-1, neutral_HWS3.shape[2], 3)
        hits, valids = [], []
        for chunk_RS3 in rays.split(CHUNK // 256):
            points = F.interpolate(chunk_RS3.transpose(1, 2), 256, mode="linear", align_corners=True).transpose(1, 2)
            shift = self.displacement(points.reshape(-1, 3), style)
            s = self.manifold(points.reshape(-1, 3) * COORD + shift).view(-1, 256)
            hit, valid = intersect(points + shift.view(points.shape), s, LEVELS, falling_only=True)
            hits.append(hit)
            valids.append(valid)
        size = neutral_HWS3.shape[:2]
        return torch.cat(hits).view(*size, 24, 3), torch.cat(valids).view(*size, 24)

    def frame(self, maps, z_id, z_exp, betas, pose_63, camera_2) -> dict[str, torch.Tensor]:
        target = self.target_points(camera_2)
        neutral = self.neutral_points(target, betas, pose_63)
        hits, valid = self.deformed_rays(neutral, z_id, z_exp)
        hits = hits.permute(2, 3, 0, 1)
        origin = self.camera_origin(camera_2)
        valid = valid.permute(2, 0, 1)[:, None].float()
        image_lr, _ = composite_maps(maps[0], hits, valid, origin)
        bands = zip(upsample(hits).split(16, 2), upsample(valid).split(16, 2), strict=True)
        image, depth = joined((composite_maps(maps[1], *band, origin) for band in bands), -2)
        return {
            "target_points": target,
            "neutral_points": neutral,
            "image_lr": image_lr,
            "image": image,
            "depth": depth,
        }


def joined(parts, dim: int) -> tuple[torch.Tensor, ...]:
    """Concatenate the first tensors of all parts, the second ones, and so on."""
    return tuple(torch.cat(tensors, dim) for tensors in zip(*parts, strict=True))


def upsample(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=True)


def intersect(points_RS3, s_RS, levels_L, falling_only: bool):
    """Hits and validity of every ray with every level: the earliest qualifying interval, the last one on a miss."""
    before, after, level = s_RS[:, None, :-1], s_RS[:, None, 1:], levels_L[:, None]
    change = (before >= level) & (after <= level)
    if not falling_only:
        change |= (before <= level) & (after >= level)
    found, near = change.max(2)  # the first of equals
    near = torch.where(found, near, s_RS.shape[1] - 2)
    s_near, s_far = s_RS.gather(1, near), s_RS.gather(1, near + 1)
    valid = found & (s_near >= levels_L) & (s_far <= levels_L)
    t = torch.where(valid & ((s_far - s_near).abs() > 0.05), (s_near - levels_L) / (s_near - s_far), 1.0)[..., None]
    take = lambda i: points_RS3.gather(1, i[..., None].expand(-1, -1, 3))  # noqa: E731
    return take(near) * (1 - t) + take(near + 1) * t, valid


def composite_maps(maps_L4HW, hits_L3HW, valid_L1HW, origin_3):
    """Eq. 8 over a white background: image in [-1, 1] and expected distance."""
    grid = torch.stack([hits_L3HW[:, 0] / MAP_HALF, (hits_L3HW[:, 1] - MAP_Y) / MAP_HALF], -1)
    rgba = F.grid_sample(maps_L4HW, grid, padding_mode="border", align_corners=False)
    valid = valid_L1HW > 0.99
    x, y, z = (hits_L3HW - origin_3[None, :, None, None]).square_().split(1, 1)
    distance = torch.where(valid, (x + y + z).sqrt_(), 10.0)
    order = distance.argsort(0)
    rgba = rgba.gather(0, order.expand(-1, 4, -1, -1))
    distance = distance.gather(0, order)
    alpha = rgba[:, 3:] * valid.gather(0, order)
    transmittance = torch.cumprod(torch.cat([torch.ones_like(alpha[:1]), 1 - alpha + 1e-10])[:-1], 0)
    weight = transmittance * alpha
    colour = (weight * rgba[:, :3]).sum(0) + 1 - weight.sum(0)
    return 2 * colour - 1, (weight * distance).sum(0) / weight.sum(0)
