// Layers without weights, and what follows a product.

// Images [n, c, pixels] in [0, 1], normalised, to [n, pixels, channels]; mean and deviation may be missing.
KERNEL read_images(const float *images, const float *mean, const float *deviation, i64 count, int given, int pixels,
                   int channels, real *to) {
    FOR_EACH(at, count);
    int packs = channels / PACK, first = (int)(at % packs) * PACK;
    u32 pixel = at / packs, image = pixel / pixels, place = pixel % pixels;
    float y[PACK];
    for (int k = 0; k < PACK; k++) {
        int channel = first + k;
        y[k] = 0.0f;
        if (channel < given) {
            float x = images[(image * given + channel) * pixels + place];
            y[k] = mean ? (x - mean[channel]) / deviation[channel] : x;
        }
    }
    save(to + at * PACK, y);
}

// The gradient on normalised images as one on the images [n, c, pixels].
KERNEL write_image_gradient(const real *gradient, const float *deviation, i64 count, int given, int pixels,
                            int channels, float *to) {
    FOR_EACH(at, count);
    u32 place = at % pixels, rest = at / pixels, channel = rest % given, image = rest / given;
    float g = value(gradient[(image * pixels + place) * channels + channel]);
    to[at] = deviation ? g / deviation[channel] : g;
}

// max(x, 0); what is no number stays none, so that nothing hides it.
HELPER float rectified(float x) { return x <= 0.0f ? 0.0f : x; }

// y = relu(y + bias + add) in place; each part may be missing.
KERNEL finish(real *y, const float *bias, const real *add, int relu, i64 count, int channels) {
    FOR_EACH(at, count);
    float v[PACK], a[PACK];
    load(y + at * PACK, v);
    if (add) load(add + at * PACK, a);
    int first = (int)(at % (channels / PACK)) * PACK;
    for (int k = 0; k < PACK; k++) {
        if (bias) v[k] += bias[first + k];
        if (add) v[k] += a[k];
        if (relu) v[k] = rectified(v[k]);
    }
    save(y + at * PACK, v);
}

// y = relu(scale * x + shift + add) for each channel.
KERNEL affine(const real *x, const float *scale, const float *shift, const real *add, int relu, i64 count,
              int channels, real *y) {
    FOR_EACH(at, count);
    float v[PACK], a[PACK];
    load(x + at * PACK, v);
    if (add) load(add + at * PACK, a);
    int first = (int)(at % (channels / PACK)) * PACK;
    for (int k = 0; k < PACK; k++) {
        v[k] = scale[first + k] * v[k] + shift[first + k];
        if (add) v[k] += a[k];
        if (relu) v[k] = rectified(v[k]);
    }
    save(y + at * PACK, v);
}

// dx = scale * dy for each channel.
KERNEL scale_channels(const real *dy, const float *scale, i64 count, int channels, real *dx) {
    FOR_EACH(at, count);
    float v[PACK];
    load(dy + at * PACK, v);
    int first = (int)(at % (channels / PACK)) * PACK;
    for (int k = 0; k < PACK; k++) v[k] *= scale[first + k];
    save(dx + at * PACK, v);
}

// to = (from + other), where `rectified`, the output of a rectifier, is positive; 0 elsewhere. Both may be missing.
KERNEL join_gradients(const real *from, const real *other, const real *rectified, i64 count, real *to) {
    FOR_EACH(at, count);
    float v[PACK], o[PACK], y[PACK];
    load(from + at * PACK, v);
    if (other) load(other + at * PACK, o);
    if (rectified) load(rectified + at * PACK, y);
    for (int k = 0; k < PACK; k++) {
        if (other) v[k] += o[k];
        if (rectified && !(y[k] > 0.0f)) v[k] = 0.0f;
    }
    save(to + at * PACK, v);
}

// Max pooling; `places` is where in its window each maximum was, the first of a tie. Windows reach `padding` over the border.
KERNEL max_pool_forward(const real *x, i64 count, int width, int height, int channels, int window, int stride, int padding,
                        real *y, u8 *places) {
    FOR_EACH(at, count);
    int out_width = (width + 2 * padding - window) / stride + 1;
    int out_height = (height + 2 * padding - window) / stride + 1;
    int channel = (int)(at % channels);
    u32 pixel = at / channels;
    int left = (int)(pixel % out_width) * stride - padding;
    u32 rest = pixel / out_width;
    int top = (int)(rest % out_height) * stride - padding;
    const real *from = x + (i64)(rest / out_height) * height * width * channels + channel;
    float best = 0.0f;
    int best_place = -1;
    for (int place = 0; place < window * window; place++) {
        int row = top + place / window, column = left + place % window;
        if (row < 0 || row >= height || column < 0 || column >= width) continue;
        float v = value(from[((i64)row * width + column) * channels]);
        if (best_place < 0 || v > best || v != v) {
            best = v;
            best_place = place;
        }
    }
    y[at] = stored(best);
    places[at] = (u8)best_place;
}

// Every value of dx, also of rows and columns that are in no window; sums over windows in their order.
KERNEL max_pool_backward(const real *dy, const u8 *places, i64 count, int width, int height, int channels, int window,
                         int stride, int padding, real *dx) {
    FOR_EACH(at, count);
    int out_width = (width + 2 * padding - window) / stride + 1;
    int out_height = (height + 2 * padding - window) / stride + 1;
    int channel = (int)(at % channels);
    u32 pixel = at / channels;
    int column = (int)(pixel % width) + padding;
    u32 rest = pixel / width;
    int row = (int)(rest % height) + padding;
    u32 image = rest / height;
    float g = 0.0f;
    int first_row = row < window ? 0 : (row - window) / stride + 1;
    int first_column = column < window ? 0 : (column - window) / stride + 1;
    for (int i = first_row; i < out_height && i * stride <= row; i++) {
        for (int j = first_column; j < out_width && j * stride <= column; j++) {
            i64 out = ((image * out_height + i) * out_width + j) * channels + channel;
            if (places[out] == (row - i * stride) * window + column - j * stride) g += value(dy[out]);
        }
    }
    dx[at] = stored(g);
}

// Average pooling over windows that fill the image.
KERNEL avg_pool_forward(const real *x, i64 count, int width, int height, int channels, int window, real *y) {
    FOR_EACH(at, count);
    int out_width = width / window, out_height = height / window;
    int channel = (int)(at % channels);
    u32 pixel = at / channels;
    int column = (int)(pixel % out_width) * window;
    u32 rest = pixel / out_width;
    int row = (int)(rest % out_height) * window;
    u32 image = rest / out_height;
    const real *from = x + ((image * height + row) * width + column) * channels + channel;
    float sum = 0.0f;
    for (int place = 0; place < window * window; place++) {
        sum += value(from[((i64)(place / window) * width + place % window) * channels]);
    }
    y[at] = stored(sum / (float)(window * window));
}

KERNEL avg_pool_backward(const real *dy, i64 count, int width, int height, int channels, int window, real *dx) {
    FOR_EACH(at, count);
    int out_width = width / window, out_height = height / window;
    int channel = (int)(at % channels);
    u32 pixel = at / channels;
    int column = (int)(pixel % width);
    u32 rest = pixel / width;
    int row = (int)(rest % height);
    u32 image = rest / height;
    i64 out = ((image * out_height + row / window) * out_width + column / window) * channels + channel;
    dx[at] = stored(value(dy[out]) / (float)(window * window));
}

// Images [n, pixels, channels] as rows in the order channel, pixel, filled up by zeros to `length`.
KERNEL flatten_forward(const real *x, i64 count, int given, int pixels, int channels, int length, real *y) {
    FOR_EACH(at, count);
    u32 image = at / length;
    int place = (int)(at % length);
    y[at] = place < given * pixels ? x[(image * pixels + place % pixels) * channels + place / pixels] : stored(0.0f);
}

KERNEL flatten_backward(const real *dy, i64 count, int given, int pixels, int channels, int length, real *dx) {
    FOR_EACH(at, count);
    int channel = (int)(at % channels);
    u32 pixel = at / channels, image = pixel / pixels, place = pixel % pixels;
    dx[at] = channel < given ? dy[image * length + channel * pixels + place] : stored(0.0f);
}

// Scores [n, given] out of rows of `channels`.
KERNEL read_scores(const real *rows, i64 count, int given, int channels, float *scores) {
    FOR_EACH(at, count);
    scores[at] = value(rows[at / given * channels + at % given]);
}

// The gradient [n, given] on scores as rows of `channels`; columns that fill up a pack belong to no score.
KERNEL write_score_gradient(const float *gradient, i64 count, int given, int channels, real *rows) {
    FOR_EACH(at, count);
    int column = (int)(at % channels);
    rows[at] = stored(column < given ? gradient[at / channels * given + column] : 0.0f);
}
