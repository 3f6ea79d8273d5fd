// What every kernel uses. These files are compiled twice by NVRTC for a GPU, once for each type of stored activations
// (`real`: f32, or bf16 with ROBIN_BF16), and by a C++ compiler with host.h before them, for tests without a GPU.
//
// Conventions: images of activations lie [n, h, w, channels] with `channels` a multiple of 8; a thread takes 8 channels
// of a pixel ("a pack"). No kernel uses shared memory or waits for another thread: sums are cut into parts by their
// lengths alone, and parts are joined in order, so results do not depend on the device. Compiled without contraction
// to fused multiply-adds, which are written out where they are wanted. Places are 32 bits, whose division is quick: no
// launch has more than 2^31 threads, and no tensor of activations more values.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define KERNEL extern "C" __global__ void
#define HELPER static __device__ __forceinline__
#define FOR_EACH(at, count) \
    const u32 at = blockIdx.x * blockDim.x + threadIdx.x; \
    if (at >= (count)) return

#ifdef ROBIN_BF16
struct real {
    unsigned short bits;
};
HELPER float value(real x) { return __uint_as_float((u32)x.bits << 16); }
// Rounds to the nearest, ties to even; what is no number stays none.
HELPER real stored(float x) {
    u32 bits = __float_as_uint(x);
    real y;
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        y.bits = (unsigned short)((bits >> 16) | 0x40u);
    } else {
        y.bits = (unsigned short)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
    }
    return y;
}
#else
typedef float real;
HELPER float value(real x) { return x; }
HELPER real stored(float x) { return x; }
#endif

HELPER int is_finite(float x) { return (__float_as_uint(x) & 0x7f800000u) != 0x7f800000u; }

#define PACK 8
struct __align__(16) pack {
    real v[PACK];
};

HELPER void load(const real *from, float *to) {
    pack p = *(const pack *)from;
    for (int k = 0; k < PACK; k++) to[k] = value(p.v[k]);
}
HELPER void save(real *to, const float *from) {
    pack p;
    for (int k = 0; k < PACK; k++) p.v[k] = stored(from[k]);
    *(pack *)to = p;
}

// Philox4x32-10 (Salmon et al. 2011), as crates/core/src/seed.rs has it.
struct words {
    u32 v[4];
};
HELPER words philox(u32 key0, u32 key1, u32 c0, u32 c1, u32 c2, u32 c3) {
    for (int round = 0; round < 10; round++) {
        if (round > 0) {
            key0 += 0x9E3779B9u;
            key1 += 0xBB67AE85u;
        }
        u64 a = (u64)0xD2511F53u * c0, b = (u64)0xCD9E8D57u * c2;
        u32 next0 = (u32)(b >> 32) ^ c1 ^ key0, next2 = (u32)(a >> 32) ^ c3 ^ key1;
        c0 = next0;
        c1 = (u32)b;
        c2 = next2;
        c3 = (u32)a;
    }
    words w = {{c0, c1, c2, c3}};
    return w;
}

// The numbers of one stream, in order.
struct stream {
    u32 key0, key1, index, occurrence, block, left;
    words buffer;
};
HELPER stream stream_of(u32 key0, u32 key1, const u32 *ids, i64 row) {
    stream s = {key0, key1, ids[2 * row], ids[2 * row + 1], 0, 0, {{0, 0, 0, 0}}};
    return s;
}
HELPER u32 bits(stream *s) {
    if (s->left == 0) {
        s->buffer = philox(s->key0, s->key1, s->block, s->index, s->occurrence, 0);
        s->block++;
        s->left = 4;
    }
    s->left--;
    return s->buffer.v[3 - s->left];
}
// Uniform among 0..bound, without bias (Lemire 2019).
HELPER u32 below(stream *s, u32 bound) {
    u32 threshold = (0u - bound) % bound;
    for (;;) {
        u64 product = (u64)bits(s) * bound;
        if ((u32)product >= threshold) return (u32)(product >> 32);
    }
}
// Uniform in [0, 1), 24 bits.
HELPER float unit(u32 bits) { return (float)(bits >> 8) * (1.0f / 16777216.0f); }
// Uniform in [-1, 1), 24 bits.
HELPER float symmetric(u32 bits) { return 2.0f * unit(bits) - 1.0f; }
