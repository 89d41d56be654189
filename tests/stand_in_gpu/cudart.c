/* Stand-in for libcudart: NVIDIA's signatures, no GPU. Device memory is host memory, a stream runs at once, and a graph
   replays the one launch that was captured. It aborts on what the real library would answer with an error or worse:
   a copy outside an allocation, a launch of nothing. Steered by FAKE_NO_GPU, and as the real one by
   an empty CUDA_VISIBLE_DEVICES. */
#define _POSIX_C_SOURCE 199309L
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void (*launch_t)(void);
static launch_t launch = 0;
static int capturing = 0, captured = 0, replays = 0;
static struct { char *start; size_t size; } known[64];
static int count = 0;

static int inside(const void *p, size_t n) {
    for (int i = 0; i < count; i++)
        if ((const char *)p >= known[i].start && (const char *)p + n <= known[i].start + known[i].size) return 1;
    return 0;
}
static int allocate(void **p, size_t n) {
    if (count == 64) return 2;
    *p = calloc(1, n);
    known[count].start = *p;
    known[count++].size = n;
    return 0;
}

int cudaGetDeviceCount(int *n) {
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    *n = 0;
    if (getenv("FAKE_NO_GPU") || (visible && !*visible)) return 100;
    *n = 1;
    return 0;
}
const char *cudaGetErrorString(int e) { return e == 100 ? "no CUDA-capable device is detected" : "stand-in error"; }
int cudaSetDevice(int d) { return d ? 101 : 0; }
int cudaRuntimeGetVersion(int *v) { *v = 12060; return 0; }
int cudaDriverGetVersion(int *v) { *v = 12060; return 0; }
int cudaDeviceGetAttribute(int *v, int what, int d) {
    const char *given = getenv("FAKE_MINOR");
    *v = what == 75 ? 8 : given ? atoi(given) : 7;
    return d;
}
int cudaMemGetInfo(size_t *f, size_t *t) { *f = (size_t)4 << 30; *t = (size_t)8 << 30; return 0; }
int cudaMalloc(void **p, size_t n) { return allocate(p, n); }
int cudaHostAlloc(void **p, size_t n, unsigned flags) { return flags ? 1 : allocate(p, n); }
int cudaStreamCreateWithFlags(void **s, unsigned flags) { return flags == 1 ? allocate(s, 8) : 1; }
int cudaStreamSynchronize(void *s) { return inside(s, 1) ? 0 : 400; }
int cudaMemcpyAsync(void *to, const void *from, size_t n, int kind, void *s) {
    if (!inside(to, n) || !inside(from, n) || (kind != 1 && kind != 2) || !inside(s, 1)) abort();
    memcpy(to, from, n);
    return 0;
}
int cudaEventCreate(void **e) { return allocate(e, sizeof(struct timespec)); }
int cudaEventRecord(void *e, void *s) { return clock_gettime(CLOCK_MONOTONIC, e) || !inside(s, 1); }
int cudaEventElapsedTime(float *ms, void *a, void *b) {
    struct timespec *x = a, *y = b;
    *ms = (y->tv_sec - x->tv_sec) * 1e3f + (y->tv_nsec - x->tv_nsec) / 1e6f;
    return 0;
}
int cudaStreamBeginCapture(void *s, int mode) { capturing = 1; captured = 0; return mode == 1 && inside(s, 1) ? 0 : 1; }
int cudaStreamEndCapture(void *s, void **graph) { capturing = 0; return captured == 1 && inside(s, 1) ? allocate(graph, 1) : 901; }
int cudaGraphInstantiateWithFlags(void **e, void *graph, unsigned long long f) { return f || !inside(graph, 1) ? 1 : allocate(e, 1); }
int cudaGraphLaunch(void *e, void *s) {
    if (!inside(e, 1) || !inside(s, 1) || !launch) abort();
    replays++;
    launch();
    return 0;
}

/* For the stand-in of TensorRT. */
void fake_execute(launch_t what) { launch = what; if (capturing) captured++; else what(); }
int fake_replays(void) { return replays; }
