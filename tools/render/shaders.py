"""GLSL programs of the renderer. Positions and directions are in the scene's axes (x right, y down, z forward), m."""

SURFACE_VERTEX = """
#version 330
in vec3 in_position; in vec3 in_normal; in vec2 in_uv; in float in_openness;
uniform mat4 clip_from_cam; uniform mat4 shadow_from_cam;
out vec3 position; out vec3 normal; out vec2 uv; out float openness; out vec3 shadow_at;
void main() {
    position = in_position; normal = in_normal; uv = in_uv; openness = in_openness;
    gl_Position = clip_from_cam * vec4(in_position, 1.0);
    shadow_at = (shadow_from_cam * vec4(in_position, 1.0)).xyz * 0.5 + 0.5;
}
"""

SURFACE_FRAGMENT = """
#version 330
in vec3 position; in vec3 normal; in vec2 uv; in float openness; in vec3 shadow_at;
uniform sampler2D diffuse_map; uniform sampler2D normal_map; uniform sampler2D occlusion_map;
uniform sampler2DShadow shadow_map; uniform float shadow_texel; uniform float shadow_softness;
uniform vec3 tint; uniform float desaturate; uniform float normal_strength; uniform float occlusion_strength;
uniform float specular; uniform float exponent; uniform float wrap; uniform float fresnel; uniform float translucency;
uniform vec3 key_direction; uniform vec3 key_colour; uniform vec3 fill_direction; uniform vec3 fill_colour;
uniform vec3 sky_colour; uniform vec3 ground_colour;
uniform vec2 alpha_range;   // fragments with alpha outside [x, y) are dropped
uniform bool opaque; uniform bool holdout; uniform vec3 eye;
out vec4 colour;

vec3 bumped(vec3 n) {
    // Screen-space derivatives give the tangent frame (no per-vertex tangents in the proxies).
    vec3 dp1 = dFdx(position), dp2 = dFdy(position); vec2 duv1 = dFdx(uv), duv2 = dFdy(uv);
    float area = duv1.x * duv2.y - duv1.y * duv2.x;
    if (abs(area) < 1e-12) return n;
    vec3 t = (dp1 * duv2.y - dp2 * duv1.y) / area, b = (dp2 * duv1.x - dp1 * duv2.x) / area;
    t = normalize(t - n * dot(n, t)); b = normalize(b - n * dot(n, b));
    vec3 m = texture(normal_map, uv).xyz * 2.0 - 1.0;
    m.xy *= normal_strength;
    return normalize(t * m.x + b * m.y + n * max(m.z, 0.2));
}

float lit_share() {
    float total = 0.0;
    for (int i = 0; i < 4; ++i) for (int j = 0; j < 4; ++j) {
        vec2 offset = (vec2(i, j) - 1.5) * shadow_texel * shadow_softness;
        total += texture(shadow_map, vec3(shadow_at.xy + offset, shadow_at.z));
    }
    return total / 16.0;
}

void main() {
    vec4 texel = texture(diffuse_map, uv);
    if (texel.a < alpha_range.x || texel.a >= alpha_range.y) discard;
    vec3 base = pow(texel.rgb, vec3(2.2));
    base = mix(base, vec3(dot(base, vec3(0.2126, 0.7152, 0.0722))), desaturate) * tint;
    vec3 to_eye = normalize(eye - position);
    vec3 n = normalize(normal);
    if (dot(n, to_eye) < 0.0) n = -n;
    vec3 smooth_n = n;
    if (normal_strength > 0.0) n = bumped(n);
    float cavity = mix(1.0, texture(occlusion_map, uv).r, occlusion_strength) * openness;

    float key_cos = dot(n, key_direction);
    float shadow = lit_share();
    // Wrapped diffuse; red light travels furthest through skin, so its terminator is the softest.
    vec3 wraps = wrap * vec3(1.0, 1.0 - 0.55 * translucency, 1.0 - 0.7 * translucency);
    vec3 key = max(vec3(key_cos) + wraps, 0.0) / (1.0 + wraps);
    vec3 soft_shadow = mix(vec3(shadow), vec3(pow(shadow, 0.6), shadow, shadow), translucency);
    float fill = max(dot(n, fill_direction) + 0.5, 0.0) / 1.5;
    vec3 ambient = mix(ground_colour, sky_colour, 0.5 - 0.5 * n.y);
    vec3 light = key_colour * key * soft_shadow * mix(1.0, cavity, 0.3) + (fill_colour * fill + ambient) * cavity;

    vec3 halfway = normalize(key_direction + to_eye);
    float shine = pow(max(dot(n, halfway), 0.0), exponent) * max(key_cos, 0.0) * shadow;
    float rim = fresnel * pow(1.0 - max(dot(n, to_eye), 0.0), 4.0) * cavity;
    vec3 lit = base * light + specular * key_colour * shine + rim * sky_colour * (0.4 + base);
    float alpha = opaque ? 1.0 : texel.a;
    colour = holdout ? vec4(0.0) : vec4(lit * alpha, alpha);
}
"""

DEPTH_VERTEX = """
#version 330
in vec3 in_position; in vec2 in_uv;
uniform mat4 clip_from_cam;
out vec2 uv;
void main() { uv = in_uv; gl_Position = clip_from_cam * vec4(in_position, 1.0); }
"""

DEPTH_FRAGMENT = """
#version 330
in vec2 uv;
uniform sampler2D diffuse_map; uniform float cut;
void main() { if (texture(diffuse_map, uv).a < cut) discard; }
"""

RESOLVE_VERTEX = """
#version 330
const vec2 corner[3] = vec2[3](vec2(-1, -1), vec2(3, -1), vec2(-1, 3));
void main() { gl_Position = vec4(corner[gl_VertexID], 0, 1); }
"""

# Average factor x factor linear, premultiplied samples into one pixel.
RESOLVE_FRAGMENT = """
#version 330
uniform sampler2D samples; uniform int factor;
out vec4 colour;
void main() {
    ivec2 from = ivec2(gl_FragCoord.xy) * factor;
    vec4 total = vec4(0.0);
    for (int y = 0; y < factor; ++y)
        for (int x = 0; x < factor; ++x) total += texelFetch(samples, from + ivec2(x, y), 0);
    colour = total / float(factor * factor);
}
"""
