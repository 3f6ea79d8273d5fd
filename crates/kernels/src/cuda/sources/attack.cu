// Steps of PGD and random starts, as crates/attacks and crates/core define them. Images are f32 [n, length].

// Into [low, high]; what is no number stays none.
HELPER float clamped(float x, float low, float high) {
    if (x < low) x = low;
    if (x > high) x = high;
    return x;
}

// x + step * sign(gradient) (no number if the gradient is none, or infinite), then within epsilon of the clean image and the box.
KERNEL step_linf(float *images, const float *clean, const float *gradient, float step, float epsilon, i64 count) {
    FOR_EACH(at, count);
    float g = gradient[at], c = clean[at];
    float x = images[at] + step * ((g > 0.0f ? 1.0f : 0.0f) - (g < 0.0f ? 1.0f : 0.0f)) + (g - g);
    images[at] = clamped(clamped(x, c - epsilon, c + epsilon), 0.0f, 1.0f);
}

// Sums of squares of `a` (less `b`, where there is one) over every `parts`-th value of a row: `sums` [n, parts].
KERNEL square_parts(const float *a, const float *b, int length, int parts, i64 count, double *sums) {
    FOR_EACH(at, count);
    i64 row = at / parts, part = at % parts;
    double sum = 0.0;
    for (i64 place = part; place < length; place += parts) {
        double d = a[row * length + place];
        if (b) d -= (double)b[row * length + place];
        sum += d * d;
    }
    sums[at] = sum;
}

HELPER double root_of_parts(const double *sums, i64 row, int parts) {
    double sum = 0.0;
    for (int part = 0; part < parts; part++) sum += sums[row * parts + part];
    return sqrt(sum);
}

// x + step * gradient / its length; a gradient of length 0 makes no step.
KERNEL step_l2(float *images, const float *gradient, const double *squares, int parts, double step, int length,
               i64 count) {
    FOR_EACH(at, count);
    double size = root_of_parts(squares, at / length, parts);
    if (size != 0.0) images[at] += (float)(step / size * gradient[at]);
}

// Onto the l2 ball around the clean image, then into the box.
KERNEL project_l2(float *images, const float *clean, const double *squares, int parts, double epsilon, int length,
                  i64 count) {
    FOR_EACH(at, count);
    double size = root_of_parts(squares, at / length, parts);
    float x = images[at];
    if (size > epsilon) {
        float scale = (float)(epsilon / size), c = clean[at];
        x = c + scale * (x - c);
    }
    images[at] = clamped(x, 0.0f, 1.0f);
}

// Uniform within epsilon of the clean image, then clipped: number p of a row is draw number p of its stream.
KERNEL start_linf(const float *clean, const u32 *ids, u32 key0, u32 key1, double epsilon, int length, i64 count,
                  float *images) {
    FOR_EACH(at, count);
    i64 blocks = (length + 3) / 4, row = at / blocks, block = at % blocks;
    words w = philox(key0, key1, (u32)block, ids[2 * row], ids[2 * row + 1], 0);
    float radius = (float)epsilon;
    for (int k = 0; k < 4 && 4 * block + k < length; k++) {
        float c = clean[row * length + 4 * block + k];
        float x = (float)((double)c + epsilon * (double)symmetric(w.v[k]));
        images[row * length + 4 * block + k] = clamped(clamped(x, c - radius, c + radius), 0.0f, 1.0f);
    }
}

// The clean image moved by numbers that were drawn on the host.
KERNEL start_offset(const float *clean, const double *offsets, i64 count, float *images) {
    FOR_EACH(at, count);
    images[at] = (float)((double)clean[at] + offsets[at]);
}
