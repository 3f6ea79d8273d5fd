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
    u32 row = at / parts, part = at % parts;
    double sum = 0.0;
    for (i64 place = part; place < length; place += parts) {
        double d = a[row * length + place];
        if (b) d -= (double)b[row * length + place];
        sum += d * d;
    }
    sums[at] = sum;
}

// The root of each row's sum.
KERNEL roots(const double *sums, int parts, i64 count, double *lengths) {
    FOR_EACH(at, count);
    double sum = 0.0;
    for (int part = 0; part < parts; part++) sum += sums[(i64)at * parts + part];
    lengths[at] = sqrt(sum);
}

// Counts gradients of length 0, and keeps the first length that is no number or infinite, where the scores were numbers.
KERNEL watch_lengths(const double *lengths, const float *scores, i64 count, u32 *zeros, float *gradients) {
    FOR_EACH(at, count);
    double size = lengths[at];
    if (size == 0.0) zeros[at]++;
    if (size - size != 0.0 && scores[at] == 0.0f && gradients[at] == 0.0f) gradients[at] = (float)size;
}

// x + step * gradient / its length; a gradient of length 0 makes no step.
KERNEL step_l2(float *images, const float *gradient, const double *lengths, double step, int length,
               i64 count) {
    FOR_EACH(at, count);
    double size = lengths[at / length];
    if (size != 0.0) images[at] += (float)(step / size * gradient[at]);
}

// Onto the l2 ball around the clean image, then into the box. What made no step, as its gradient has length 0, stays.
KERNEL project_l2(float *images, const float *clean, const double *lengths, const double *gradients, double epsilon,
                  int length, i64 count) {
    FOR_EACH(at, count);
    if (gradients && gradients[at / length] == 0.0) return;
    double size = lengths[at / length];
    float x = images[at], scale = size > epsilon ? (float)(epsilon / size) : 1.0f;
    if (scale != 1.0f) {
        float c = clean[at];
        x = c + scale * (x - c);
    }
    images[at] = clamped(x, 0.0f, 1.0f);
}

// Into the linf ball around the clean image and the box.
KERNEL project_linf(float *images, const float *clean, float epsilon, i64 count) {
    FOR_EACH(at, count);
    float c = clean[at];
    images[at] = clamped(clamped(images[at], c - epsilon, c + epsilon), 0.0f, 1.0f);
}

// Uniform within epsilon of the clean image, then clipped: number p of a row is draw number p of its stream.
KERNEL start_linf(const float *clean, const u32 *ids, u32 key0, u32 key1, double epsilon, int length, i64 count,
                  float *images) {
    FOR_EACH(at, count);
    u32 blocks = (length + 3) / 4, row = at / blocks, block = at % blocks;
    words w = philox(key0, key1, (u32)block, ids[2 * row], ids[2 * row + 1], 0);
    float radius = (float)epsilon;
    for (int k = 0; k < 4 && 4 * block + k < length; k++) {
        float c = clean[row * length + 4 * block + k];
        float x = (float)((double)c + epsilon * (double)symmetric(w.v[k]));
        images[row * length + 4 * block + k] = clamped(clamped(x, c - radius, c + radius), 0.0f, 1.0f);
    }
}

// Standard normals (Box and Muller 1958), rounded: number j of a row from draws 2j and 2j + 1 of its stream. Logarithm and
// cosine are the device's, whose last bits are its own.
KERNEL gaussians(const u32 *ids, u32 key0, u32 key1, int length, i64 count, float *draws) {
    FOR_EACH(at, count);
    u32 blocks = (length + 1) / 2, row = at / blocks, block = at % blocks;
    words w = philox(key0, key1, block, ids[2 * row], ids[2 * row + 1], 0);
    for (int k = 0; k < 2 && 2 * block + k < length; k++) {
        double radius = 1.0 - (double)unit(w.v[2 * k]);  // in (0, 1]: the logarithm is finite
        double angle = 2.0 * 3.14159265358979323846 * (double)unit(w.v[2 * k + 1]);
        draws[row * length + 2 * block + k] = (float)(sqrt(-2.0 * log(radius)) * cos(angle));
    }
}

// Of each row's draws, in place of their length, what makes them a uniformly random point of the ball: its distance is
// epsilon * u^(1 / length), u the draw after the row's. Draws that are all zero move nothing.
KERNEL ball_scales(const u32 *ids, u32 key0, u32 key1, double epsilon, int length, i64 count, double *lengths) {
    FOR_EACH(row, count);
    u32 place = 2 * (u32)length;
    words w = philox(key0, key1, place / 4, ids[2 * row], ids[2 * row + 1], 0);
    double size = lengths[row], u = unit(w.v[place % 4]);
    lengths[row] = size > 0.0 ? epsilon * pow(u, 1.0 / length) / size : 0.0;
}

// The clean image moved by its draws.
KERNEL move_scaled(const float *clean, const float *draws, const double *scales, int length, i64 count,
                   float *images) {
    FOR_EACH(at, count);
    images[at] = (float)((double)clean[at] + scales[at / length] * (double)draws[at]);
}
