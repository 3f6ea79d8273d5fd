// What attacks raise, as crates/attacks and crates/aggregation define it: scores in a table f32 [n, width], in f64 inside. A
// table has a cell to spare behind its rows, for images that fill up a batch.

// An arm's scores into their cells: z_1 - z_0, or its only output.
KERNEL write_cells(const real *rows, const u32 *cells, int outputs, int channels, i64 count, float *table) {
    FOR_EACH(at, count);
    const real *z = rows + at * channels;
    table[cells[at]] = outputs == 2 ? value(z[1]) - value(z[0]) : value(z[0]);
}

// The gradient on cells as one on rows of an arm's outputs.
KERNEL read_cells(const float *gradient, const u32 *cells, int outputs, int channels, i64 count, real *rows) {
    FOR_EACH(at, count);
    int column = (int)(at % channels);
    float g = gradient[cells[at / channels]];
    rows[at] = stored(column == outputs - 1 ? g : column == 0 && outputs == 2 ? -g : 0.0f);
}

// log(sum_j exp(z_j)) - z_y and its gradient, neither as a difference of nearly equal numbers. `bad` keeps the first score
// that is no number, or infinite.
KERNEL raise_cross_entropy(const float *table, const u32 *labels, int width, i64 count, float *values, float *gradient,
                           float *bad) {
    FOR_EACH(at, count);
    const float *z = table + at * width;
    int label = (int)labels[at], top = label;
    for (int j = 0; j < width; j++) {
        if (z[j] > z[top]) top = j;
        if (!is_finite(z[j]) && bad[at] == 0.0f) bad[at] = z[j];
    }
    // The top column's weight is 1; it is kept out of the sum so that the others are not rounded away.
    double highest = z[top], rest = 0.0, wrong = 0.0;
    for (int j = 0; j < width; j++) {
        double weight = exp((double)z[j] - highest);
        if (j != top) rest += weight;
        if (j != label) wrong += weight;
    }
    for (int j = 0; j < width; j++) {
        double numerator = j == label ? -wrong : exp((double)z[j] - highest);
        gradient[at * width + j] = (float)(numerator / (1.0 + rest));
    }
    values[at] = (float)((highest - (double)z[label]) + log1p(rest));
}

// sum_j share_j softplus(-z_j) where the target is 1, softplus(z_j) where it is 0, and its gradient.
KERNEL raise_arms(const float *table, const u8 *targets, const double *shares, int width, i64 count, float *values,
                  float *gradient, float *bad) {
    FOR_EACH(at, count);
    double sum = 0.0;
    for (int j = 0; j < width; j++) {
        i64 cell = (i64)at * width + j;
        double sign = targets[cell] ? -1.0 : 1.0, x = sign * (double)table[cell];
        double decay = exp(-fabs(x));
        double sigmoid = x >= 0.0 ? 1.0 / (1.0 + decay) : decay / (1.0 + decay);
        sum += shares[j] * ((x > 0.0 ? x : 0.0) + log1p(decay));
        gradient[cell] = (float)(shares[j] * sign * sigmoid);
        if (!is_finite(table[cell]) && bad[at] == 0.0f) bad[at] = table[cell];
    }
    values[at] = (float)sum;
}

// Images whose value is above that of the kept ones, in their place.
KERNEL keep_images(const float *images, const float *values, const float *kept_values, int length, i64 count,
                   float *kept) {
    FOR_EACH(at, count);
    u32 row = at / length;
    if (values[row] > kept_values[row]) kept[at] = images[at];
}

// And their values, after the images.
KERNEL keep_values(const float *values, i64 count, float *kept_values) {
    FOR_EACH(at, count);
    if (values[at] > kept_values[at]) kept_values[at] = values[at];
}
