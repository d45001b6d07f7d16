"""The mesh of a canonical portrait: geometry, orientation, files."""

import numpy as np
import pytest
from conftest import codes, tiny_generator

from gan.rendering.mesh import canonical_mesh, write_obj, write_ply


@pytest.fixture(scope="module")
def mesh():
    generator, given = tiny_generator(), codes(1)
    return canonical_mesh(generator, generator.identity(given["z_id_1K"], given["noise_1K"], given["betas_1K"]), 0.05)


def test_vertices_lie_inside_the_maps(mesh):
    assert len(mesh.faces_F3) > 50
    assert np.isfinite(mesh.vertices_V3).all()
    assert np.abs(mesh.vertices_V3[:, 0]).max() <= 0.22 + 1e-5
    assert np.abs(mesh.vertices_V3[:, 2]).max() <= 0.2 + 1e-5


def test_faces_turn_towards_the_viewer(mesh):
    a, b, c = (mesh.vertices_V3[mesh.faces_F3[:, i]] for i in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()


def test_files_hold_every_vertex_and_face(mesh, tmp_path):
    write_ply(tmp_path / "m.ply", mesh)
    write_obj(tmp_path / "m.obj", mesh)
    ply = (tmp_path / "m.ply").read_text().splitlines()
    body = ply[ply.index("end_header") + 1 :]
    assert len(body) == len(mesh.vertices_V3) + len(mesh.faces_F3)
    np.testing.assert_allclose(np.array(body[0].split()[:3], float), mesh.vertices_V3[0], atol=1e-6)
    obj = (tmp_path / "m.obj").read_text().splitlines()
    faces = [[int(i) - 1 for i in line.split()[1:]] for line in obj if line.startswith("f ")]
    assert faces == mesh.faces_F3.tolist()
