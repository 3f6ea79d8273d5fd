// Batch norm: sums for each channel over all rows (pixels of all images), in f64, and what follows from them.
// The formulas are those of crates/kernels/src/batch_norm.

// Sums of x and of x^2 over every `parts`-th row, for each part: `sums` [parts, 2, channels].
KERNEL moment_parts(const real *x, i64 rows, int channels, int parts, double *sums) {
    FOR_EACH(at, (i64)parts * (channels / PACK));
    int packs = channels / PACK, first = (int)(at % packs) * PACK;
    u32 part = at / packs;
    double sum[PACK] = {0}, square[PACK] = {0};
    for (i64 row = part; row < rows; row += parts) {
        float v[PACK];
        load(x + row * channels + first, v);
        for (int k = 0; k < PACK; k++) {
            sum[k] += v[k];
            square[k] += (double)v[k] * v[k];
        }
    }
    for (int k = 0; k < PACK; k++) {
        sums[(2 * part) * channels + first + k] = sum[k];
        sums[(2 * part + 1) * channels + first + k] = square[k];
    }
}

// Sums of g and of g * (x - mean) * inverse over every `parts`-th row.
KERNEL slope_parts(const real *g, const real *x, const float *mean, const float *inverse, i64 rows, int channels,
                   int parts, double *sums) {
    FOR_EACH(at, (i64)parts * (channels / PACK));
    int packs = channels / PACK, first = (int)(at % packs) * PACK;
    u32 part = at / packs;
    double sum[PACK] = {0}, product[PACK] = {0};
    for (i64 row = part; row < rows; row += parts) {
        float v[PACK], d[PACK];
        load(x + row * channels + first, v);
        load(g + row * channels + first, d);
        for (int k = 0; k < PACK; k++) {
            sum[k] += d[k];
            product[k] += (double)d[k] * ((v[k] - mean[first + k]) * inverse[first + k]);
        }
    }
    for (int k = 0; k < PACK; k++) {
        sums[(2 * part) * channels + first + k] = sum[k];
        sums[(2 * part + 1) * channels + first + k] = product[k];
    }
}

// Joins `group` neighbouring parts to one, in order: `from` [parts, width], `to` [parts / group up, width].
KERNEL join_parts(const double *from, int parts, int width, int group, i64 count, double *to) {
    FOR_EACH(at, count);
    u32 joined = at / width, column = at % width;
    double sum = 0.0;
    for (i64 part = joined * group; part < (joined + 1) * group && part < parts; part++) {
        sum += from[part * width + column];
    }
    to[at] = sum;
}

// What values are normalised with, from sums over `rows`: mean, 1 / sqrt(variance + eps), and scale and shift of one
// multiply-add.
KERNEL batch_statistics(const double *sums, const float *weight, const float *bias, double rows, double eps,
                        int channels, float *mean, float *inverse, float *scale, float *shift) {
    FOR_EACH(at, channels);
    double m = sums[at] / rows, v = sums[channels + at] / rows - m * m;
    if (v < 0.0) v = 0.0;
    double i = 1.0 / sqrt(v + eps), s = weight[at] * i;
    mean[at] = (float)m;
    inverse[at] = (float)i;
    scale[at] = (float)s;
    shift[at] = (float)(bias[at] - s * m);
}

// Moves running statistics towards a batch's, with the variance divided by the number of rows less one.
KERNEL move_running(const double *sums, double rows, double momentum, int channels, float *mean, float *variance) {
    FOR_EACH(at, channels);
    double m = sums[at] / rows, v = sums[channels + at] / rows - m * m;
    if (v < 0.0) v = 0.0;
    mean[at] = (float)((1.0 - momentum) * mean[at] + momentum * m);
    variance[at] = (float)((1.0 - momentum) * variance[at] + momentum * (v * rows / (rows - 1.0)));
}

// dx = scale * (g - mean of g - xhat * mean of g * xhat).
KERNEL norm_backward(const real *g, const real *x, const float *mean, const float *inverse, const float *scale,
                     const double *sums, double rows, i64 count, int channels, real *dx) {
    FOR_EACH(at, count);
    int first = (int)(at % (channels / PACK)) * PACK;
    float v[PACK], d[PACK];
    load(x + at * PACK, v);
    load(g + at * PACK, d);
    for (int k = 0; k < PACK; k++) {
        int c = first + k;
        float normed = (v[k] - mean[c]) * inverse[c];
        float mean_g = (float)(sums[c] / rows), mean_product = (float)(sums[channels + c] / rows);
        v[k] = scale[c] * (d[k] - mean_g - normed * mean_product);
    }
    save(dx + at * PACK, v);
}

// One row of sums as numbers that the optimiser reads.
KERNEL sums_to_floats(const double *sums, i64 count, float *to) {
    FOR_EACH(at, count);
    to[at] = (float)sums[at];
}

// A batch norm in evaluation as scale and shift, a convolution's bias before it (which may be missing) taken along.
// Normalisation of images has neither weight nor bias: deviation in `variance`, which is not rooted.
KERNEL fold_norm(const float *weight, const float *bias, const float *mean, const float *variance,
                 const float *before, double eps, int channels, float *scale, float *shift) {
    FOR_EACH(at, channels);
    double s = weight ? weight[at] / sqrt(variance[at] + eps) : 1.0 / variance[at];
    double b = before ? before[at] : 0.0;
    scale[at] = (float)s;
    shift[at] = (float)((bias ? bias[at] : 0.0) + s * (b - mean[at]));
}

// Weights [out, length] as products read them, each output's times its scale, which may be missing.
KERNEL fold_weights(const float *weights, const float *scale, i64 count, i64 length, real *to) {
    FOR_EACH(at, count);
    to[at] = stored(scale ? weights[at] * scale[at / length] : weights[at]);
}
