// Losses, predictions, and the optimiser.

// Cross-entropy of each example against its label (smoothed: 1 - smoothing on it, smoothing / classes on each), the
// first highest score, and the gradient of the loss times `weight`. In f64, as on the host.
KERNEL cross_entropy(const real *rows, const u32 *labels, int classes, int channels, double smoothing, double weight,
                     i64 count, double *losses, u32 *predictions, real *gradient) {
    FOR_EACH(at, count);
    const real *scores = rows + at * channels;
    int best = 0;
    for (int c = 1; c < classes; c++) {
        if (value(scores[c]) > value(scores[best])) best = c;
    }
    double highest = value(scores[best]), sum = 0.0, mean = 0.0;
    for (int c = 0; c < classes; c++) {
        sum += exp(value(scores[c]) - highest);
        mean += value(scores[c]) / (double)classes;
    }
    double log_sum = highest + log(sum);
    u32 label = labels[at];
    if (losses) {
        losses[at] = log_sum - (1.0 - smoothing) * value(scores[label]) - smoothing * mean;
        predictions[at] = (u32)best;
    }
    for (int c = 0; c < channels; c++) {
        double g = 0.0;
        if (c < classes) {
            double target = (c == (int)label ? 1.0 - smoothing : 0.0) + smoothing / classes;
            g = weight * (exp(value(scores[c]) - log_sum) - target);
        }
        gradient[at * channels + c] = stored((float)g);
    }
}

// As torch.optim.SGD: g = gradient + decay w; v = momentum v + g; w = w - rate v.
HELPER void sgd(float *w, float gradient, float *v, float rate, float momentum, float decay) {
    *v = momentum * *v + (gradient + decay * *w);
    *w -= rate * *v;
}
KERNEL sgd_reals(float *w, const real *gradient, float *v, float rate, float momentum, float decay, i64 count) {
    FOR_EACH(at, count);
    sgd(w + at, value(gradient[at]), v + at, rate, momentum, decay);
}
KERNEL sgd_floats(float *w, const float *gradient, float *v, float rate, float momentum, float decay, i64 count) {
    FOR_EACH(at, count);
    sgd(w + at, gradient[at], v + at, rate, momentum, decay);
}

// Adds to `found` how many values are no number or infinite.
KERNEL count_bad_reals(const real *x, i64 count, u32 *found) {
    FOR_EACH(at, count);
    if (!is_finite(value(x[at]))) atomicAdd(found, 1u);
}
KERNEL count_bad_floats(const float *x, i64 count, u32 *found) {
    FOR_EACH(at, count);
    if (!is_finite(x[at])) atomicAdd(found, 1u);
}

KERNEL reals_to_floats(const real *x, i64 count, float *y) {
    FOR_EACH(at, count);
    y[at] = value(x[at]);
}
