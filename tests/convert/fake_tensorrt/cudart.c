/* A FAKE of CUDA's runtime for tests: the GPU's memory is malloc's, a copy is memcpy, an event is the host's clock. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *cudaGetErrorString(int code) { return code ? "fake error" : "no error"; }
int cudaGetDeviceCount(int *count) { *count = 1; return 0; }
int cudaSetDevice(int device) { return device; }
int cudaRuntimeGetVersion(int *version) { *version = 12060; return 0; }
int cudaDriverGetVersion(int *version) { *version = 12060; return 0; }
int cudaDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? 8 : 7; return device; }
int cudaMemGetInfo(size_t *free, size_t *total) { *free = *total = (size_t)4 << 30; return 0; }
int cudaStreamCreateWithFlags(void **stream, unsigned flags) { *stream = malloc(1); return (int)(flags & ~1u); }
int cudaStreamSynchronize(void *stream) { return stream == NULL; }
int cudaMalloc(void **pointer, size_t size) { *pointer = malloc(size); return *pointer ? 0 : 2; }
int cudaHostAlloc(void **pointer, size_t size, unsigned flags) { return cudaMalloc(pointer, size) + (int)flags; }
int cudaMemcpyAsync(void *to, const void *from, size_t size, int kind, void *stream) {
    memcpy(to, from, size);
    return kind < 1 || kind > 2 || stream == NULL;
}
int cudaEventCreate(void **event) { *event = malloc(sizeof(struct timespec)); return 0; }
int cudaEventRecord(void *event, void *stream) { return clock_gettime(CLOCK_MONOTONIC, event) + (stream == NULL); }
int cudaEventElapsedTime(float *milliseconds, void *start, void *end) {
    struct timespec *a = start, *b = end;
    *milliseconds = (float)((b->tv_sec - a->tv_sec) * 1e3 + (b->tv_nsec - a->tv_nsec) / 1e6);
    return 0;
}
