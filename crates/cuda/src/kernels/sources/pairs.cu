// Losses of an example's two rows of scores, clean and perturbed, as crates/training defines them (TRADES, MART). In f64, and no
// probability is divided by.

// Logarithms of a softmax.
struct logs {
    const real *z;
    int classes, top;
    double highest, normaliser;
};
HELPER logs logs_of(const real *z, int classes) {
    int top = 0;
    for (int c = 1; c < classes; c++) {
        if (value(z[c]) > value(z[top])) top = c;
    }
    // The highest score's own 1 is kept out of the sum, so that the others are not rounded away.
    double highest = value(z[top]), rest = 0.0;
    for (int c = 0; c < classes; c++) {
        if (c != top) rest += exp((double)value(z[c]) - highest);
    }
    logs l = {z, classes, top, highest, log1p(rest)};
    return l;
}
HELPER double log_share(const logs *l, int c) { return ((double)value(l->z[c]) - l->highest) - l->normaliser; }
HELPER double share(const logs *l, int c) { return exp(log_share(l, c)); }
// 1 - share, as the sum of the others.
HELPER double others(const logs *l, int c) {
    double sum = 0.0;
    for (int k = 0; k < l->classes; k++) {
        if (k != c) sum += share(l, k);
    }
    return sum;
}
// Share in q less that in p.
HELPER double excess(const logs *p, const logs *q, int c) {
    double in_p = share(p, c), in_q = share(q, c);
    return in_p > 0.5 && in_q > 0.5 ? others(p, c) - others(q, c) : in_q - in_p;
}
// sum_c p_c log(p_c / q_c), of terms that are none below 0.
HELPER double divergence(const logs *p, const logs *q) {
    double sum = 0.0;
    for (int c = 0; c < p->classes; c++) {
        double in_p = share(p, c), log_ratio = log_share(q, c) - log_share(p, c);
        sum += log_ratio > 1.0 ? (share(q, c) - in_p) - in_p * log_ratio : in_p * (expm1(log_ratio) - log_ratio);
    }
    return sum;
}

// The gradient of the divergence on the perturbed scores; the clean ones stand still.
KERNEL divergence_gradient(const real *clean, const real *rows, int classes, int channels, i64 count, real *gradient) {
    FOR_EACH(at, count);
    logs p = logs_of(clean + at * channels, classes), q = logs_of(rows + at * channels, classes);
    for (int c = 0; c < channels; c++) gradient[at * channels + c] = stored(c < classes ? (float)excess(&p, &q, c) : 0.0f);
}

// Cross-entropy of the clean row (smoothed) + lambda times the divergence; gradients are times `weight`.
KERNEL trades(const real *clean, const real *rows, const u32 *labels, int classes, int channels, double lambda,
              double smoothing, double weight, i64 count, double *losses, u32 *clean_predictions, u32 *predictions,
              real *on_clean, real *on_rows) {
    FOR_EACH(at, count);
    logs p = logs_of(clean + at * channels, classes), q = logs_of(rows + at * channels, classes);
    int label = (int)labels[at];
    double even = smoothing / classes, between = divergence(&p, &q);
    double loss = (smoothing - 1.0) * log_share(&p, label) + lambda * between;
    for (int c = 0; c < channels; c++) {
        double first = 0.0, second = 0.0;
        if (c < classes) {
            if (even != 0.0) loss -= even * log_share(&p, c);
            first = c == label ? (smoothing - even) - others(&p, c) : share(&p, c) - even;
            first += lambda * share(&p, c) * ((log_share(&p, c) - log_share(&q, c)) - between);
            second = lambda * excess(&p, &q, c);
        }
        on_clean[at * channels + c] = stored((float)(weight * first));
        on_rows[at * channels + c] = stored((float)(weight * second));
    }
    losses[at] = loss;
    clean_predictions[at] = (u32)p.top;
    predictions[at] = (u32)q.top;
}

// -log q_y - log(1.0001 - q_k + 1e-12) + lambda (1.0000001 - p_y) sum_i p_i (log p_i - log(q_i + 1e-12)), k the likeliest wrong
// class of q; gradients are times `weight`.
KERNEL mart(const real *clean, const real *rows, const u32 *labels, int classes, int channels, double lambda,
            double weight, i64 count, double *losses, u32 *clean_predictions, u32 *predictions, real *on_clean,
            real *on_rows) {
    FOR_EACH(at, count);
    const double margin = 1e-4, floor = 1e-12;
    logs p = logs_of(clean + at * channels, classes), q = logs_of(rows + at * channels, classes);
    int label = (int)labels[at], wrong = label == 0 ? 1 : 0;
    for (int c = 0; c < classes; c++) {
        if (c != label && log_share(&q, c) > log_share(&q, wrong)) wrong = c;
    }
    double in_wrong = share(&q, wrong), room = margin + others(&q, wrong) + floor;
    double doubt = 1e-7 + others(&p, label), between = 0.0, total = 0.0;
    for (int c = 0; c < classes; c++) {
        double in_p = share(&p, c), in_q = share(&q, c);
        if (in_p != 0.0) between += in_p * (log_share(&p, c) - log(in_q + floor));
        total += in_p * in_q / (in_q + floor);
    }
    for (int c = 0; c < channels; c++) {
        double first = 0.0, second = 0.0;
        if (c < classes) {
            double in_p = share(&p, c), in_q = share(&q, c);
            double term = in_p == 0.0 ? 0.0 : in_p * (log_share(&p, c) - log(in_q + floor));
            double on_doubt = share(&p, label) * (c == label ? -others(&p, c) : in_p);
            first = lambda * (doubt * (term - in_p * between) + between * on_doubt);
            second = c == label ? -others(&q, c) : in_q;
            second += in_wrong * (c == wrong ? others(&q, c) : -in_q) / room;
            second += lambda * doubt * (in_q * total - in_p * in_q / (in_q + floor));
        }
        on_clean[at * channels + c] = stored((float)(weight * first));
        on_rows[at * channels + c] = stored((float)(weight * second));
    }
    losses[at] = -log_share(&q, label) - log(room) + lambda * doubt * between;
    clean_predictions[at] = (u32)p.top;
    predictions[at] = (u32)q.top;
}
