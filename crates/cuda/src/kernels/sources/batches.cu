// Batches out of a data set that lies on the device as u8 [images, c, h, w], and out of each other.

// Where each image is cut, and whether it is mirrored: [n, 3] = top, left, mirrored.
KERNEL draw_windows(const u32 *ids, u32 crop0, u32 crop1, u32 flip0, u32 flip1, int padding, int flip, i64 count,
                    int *windows) {
    FOR_EACH(at, count);
    int top = 0, left = 0, mirrored = 0;
    if (padding > 0) {
        stream s = stream_of(crop0, crop1, ids, at);
        top = (int)below(&s, 2 * padding + 1);
        left = (int)below(&s, 2 * padding + 1);
    }
    if (flip) {
        stream s = stream_of(flip0, flip1, ids, at);
        mirrored = below(&s, 2) == 1;
    }
    windows[3 * at] = top;
    windows[3 * at + 1] = left;
    windows[3 * at + 2] = mirrored;
}

// Where place `at` of a padded side lies in the image's own side, or -1 for black.
HELPER int source_of(int at, int padding, int side, int reflect) {
    int inside = at - padding;
    if (inside >= 0 && inside < side) return inside;
    if (!reflect) return -1;
    return inside < 0 ? -inside : 2 * (side - 1) - inside;
}

// Images f32 [n, c, h, w] in [0, 1], cut and mirrored; image number i of the batch is ids[2 i] of the data set.
KERNEL gather_images(const u8 *data, const u32 *ids, const int *windows, int padding, int reflect, int channels,
                     int height, int width, i64 count, float *to) {
    FOR_EACH(at, count);
    int x = (int)(at % width);
    u32 rest = at / width;
    int y = (int)(rest % height);
    rest /= height;
    int channel = (int)(rest % channels);
    u32 row = rest / channels;
    const int *window = windows + 3 * row;
    int column = source_of((window[2] ? width - 1 - x : x) + window[1], padding, width, reflect);
    int line = source_of(y + window[0], padding, height, reflect);
    i64 image = ids[2 * row];
    to[at] = column < 0 || line < 0
        ? 0.0f
        : (float)data[((image * channels + channel) * height + line) * width + column] / 255.0f;
}

// The rows of `from` [., length] at `rows`.
KERNEL gather_rows(const float *from, const u32 *rows, int length, i64 count, float *to) {
    FOR_EACH(at, count);
    to[at] = from[(i64)rows[at / length] * length + at % length];
}

// Adds the rows of `from` to those of `to` at `rows`, which are distinct, or in their order where there are none.
KERNEL add_rows(const float *from, const u32 *rows, int length, i64 count, float *to) {
    FOR_EACH(at, count);
    i64 row = rows ? rows[at / length] : at / length;
    to[row * length + at % length] += from[at];
}

// The rows of `from` to the places `rows` of `to`.
KERNEL scatter_rows(const float *from, const u32 *rows, int length, i64 count, float *to) {
    FOR_EACH(at, count);
    to[(i64)rows[at / length] * length + at % length] = from[at];
}
