// Convolutions as loops: right for every size, and what is used without cuDNN. Images [n, h, w, in], weights
// [out, kernel, kernel, in]. A fully connected layer is the convolution of one pixel.

struct sizes {
    int height, width, in, out, kernel, stride, padding, out_height, out_width;
};

// y: a thread computes a pack of output channels of a pixel.
KERNEL conv_forward(const real *x, const real *w, sizes g, i64 count, real *y) {
    FOR_EACH(at, count);
    int packs = g.out / PACK, first = (int)(at % packs) * PACK;
    u32 pixel = at / packs;
    int column = (int)(pixel % g.out_width);
    u32 rest = pixel / g.out_width;
    int row = (int)(rest % g.out_height);
    u32 image = rest / g.out_height, length = (u32)g.kernel * g.kernel * g.in;
    float sum[PACK] = {0};
    for (int u = 0; u < g.kernel; u++) {
        int i = row * g.stride + u - g.padding;
        if (i < 0 || i >= g.height) continue;
        for (int v = 0; v < g.kernel; v++) {
            int j = column * g.stride + v - g.padding;
            if (j < 0 || j >= g.width) continue;
            const real *from = x + ((image * g.height + i) * g.width + j) * g.in;
            const real *weight = w + first * length + ((i64)u * g.kernel + v) * g.in;
            for (int c = 0; c < g.in; c++) {
                float a = value(from[c]);
                for (int k = 0; k < PACK; k++) sum[k] = fmaf(a, value(weight[k * length + c]), sum[k]);
            }
        }
    }
    save(y + at * PACK, sum);
}

// dx: a thread computes a pack of input channels of a pixel.
KERNEL conv_backward_data(const real *dy, const real *w, sizes g, i64 count, real *dx) {
    FOR_EACH(at, count);
    int packs = g.in / PACK, first = (int)(at % packs) * PACK;
    u32 pixel = at / packs;
    int column = (int)(pixel % g.width);
    u32 rest = pixel / g.width;
    int row = (int)(rest % g.height);
    u32 image = rest / g.height, length = (u32)g.kernel * g.kernel * g.in;
    float sum[PACK] = {0};
    for (int u = 0; u < g.kernel; u++) {
        int i = row + g.padding - u;
        if (i < 0 || i % g.stride != 0 || i / g.stride >= g.out_height) continue;
        for (int v = 0; v < g.kernel; v++) {
            int j = column + g.padding - v;
            if (j < 0 || j % g.stride != 0 || j / g.stride >= g.out_width) continue;
            const real *from = dy + ((image * g.out_height + i / g.stride) * g.out_width + j / g.stride) * g.out;
            const real *weight = w + ((i64)u * g.kernel + v) * g.in + first;
            for (int o = 0; o < g.out; o++) {
                float a = value(from[o]), b[PACK];
                load(weight + o * length, b);
                for (int k = 0; k < PACK; k++) sum[k] = fmaf(a, b[k], sum[k]);
            }
        }
    }
    save(dx + at * PACK, sum);
}

// dw of every `parts`-th image: a thread computes a pack of input channels of one tap of one output channel;
// `sums` [parts, out * kernel * kernel * in].
KERNEL conv_filter_parts(const real *x, const real *dy, sizes g, int images, int parts, i64 count, double *sums) {
    FOR_EACH(at, count);
    u32 packs = (u32)g.out * g.kernel * g.kernel * g.in / PACK;
    u32 part = at / packs, pack = at % packs;
    int first = (int)(pack % (g.in / PACK)) * PACK;
    u32 rest = pack / (g.in / PACK);
    int v = (int)(rest % g.kernel), u = (int)(rest / g.kernel % g.kernel), o = (int)(rest / g.kernel / g.kernel);
    double sum[PACK] = {0};
    for (i64 image = part; image < images; image += parts) {
        float partial[PACK] = {0};
        for (int row = 0; row < g.out_height; row++) {
            int i = row * g.stride + u - g.padding;
            if (i < 0 || i >= g.height) continue;
            for (int column = 0; column < g.out_width; column++) {
                int j = column * g.stride + v - g.padding;
                if (j < 0 || j >= g.width) continue;
                float a = value(dy[((image * g.out_height + row) * g.out_width + column) * g.out + o]), b[PACK];
                load(x + ((image * g.height + i) * g.width + j) * g.in + first, b);
                for (int k = 0; k < PACK; k++) partial[k] = fmaf(a, b[k], partial[k]);
            }
        }
        for (int k = 0; k < PACK; k++) sum[k] += partial[k];
    }
    for (int k = 0; k < PACK; k++) sums[((i64)part * packs + pack) * PACK + k] = sum[k];
}

KERNEL sums_to_reals(const double *sums, i64 count, real *to) {
    FOR_EACH(at, count);
    to[at] = stored((float)sums[at]);
}
