// Makes C++ of CUDA: one thread after the other. Kernels that wait for each other would not work; there are none.
#include <math.h>
#include <string.h>
#include <tuple>
#include <utility>

#define __global__
#define __device__
#define __forceinline__ inline
#define __align__(n) alignas(n)

struct dim3 {
    unsigned x, y, z;
};
static thread_local dim3 blockIdx, blockDim, threadIdx;

static inline float __uint_as_float(unsigned bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
static inline unsigned __float_as_uint(float x) {
    unsigned bits;
    memcpy(&bits, &x, 4);
    return bits;
}
static inline unsigned atomicAdd(unsigned *to, unsigned more) { return __atomic_fetch_add(to, more, __ATOMIC_RELAXED); }

// Calls a kernel as cuLaunchKernel does: `arguments[i]` points to the argument number i.
template <class... A, size_t... I>
static void run(void (*kernel)(A...), unsigned blocks, unsigned threads, void **arguments, std::index_sequence<I...>) {
    blockDim.x = threads;
    for (unsigned block = 0; block < blocks; block++) {
        for (unsigned thread = 0; thread < threads; thread++) {
            blockIdx.x = block;
            threadIdx.x = thread;
            kernel(*(A *)arguments[I]...);
        }
    }
}
template <class... A>
static void run(void (*kernel)(A...), unsigned blocks, unsigned threads, void **arguments) {
    run(kernel, blocks, threads, arguments, std::index_sequence_for<A...>());
}
