// A driver and a cuBLASLt that compute nothing: they count what they are asked for and fail where they are told to. What the
// backend does with a driver is tested against it on machines without a GPU; what a GPU does is not.
#include <cstddef>
#include <cstring>

#define API extern "C" __attribute__((visibility("default")))

using Count = unsigned long long;

// The file is made into two libraries, one by each name; the loader gives both the one first loaded of what is exported.
// In the order of `Counts` in main.rs.
struct Counts {
    Count modules_loaded, modules_unloaded, functions, blocks_taken, blocks_given_back, contexts, descriptors, launches;
};
__attribute__((visibility("default"))) Counts counts = {};
// Answers of a call, and how often it succeeds before: of loading modules, and of taking memory.
static struct { int load, load_after, malloc, malloc_after; } failures;

static int after(int answer, int &left) { return answer == 0 ? 0 : left-- > 0 ? 0 : answer; }
template <typename T> static int give(T *target, T value) { *target = value; return 0; }

API void recorded_reset(int load, int load_after, int malloc, int malloc_after) {
    counts = {};
    failures = {load, load_after, malloc, malloc_after};
}
API void recorded_counts(Count *target) { memcpy(target, &counts, sizeof counts); }

API int cuInit(unsigned) { return 0; }
API int cuDriverGetVersion(int *version) { return give(version, 13000); }
API int cuDeviceGetCount(int *count) { return give(count, 1); }
API int cuDeviceGet(int *device, int) { return give(device, 0); }
API int cuDeviceGetName(char *name, int length, int) { strncpy(name, "recorded device", length); return 0; }
API int cuDeviceTotalMem_v2(size_t *bytes, int) { return give(bytes, size_t{8} << 30); }
API int cuMemGetInfo_v2(size_t *free, size_t *total) { *free = *total = size_t{8} << 30; return 0; }
API int cuDeviceGetAttribute(int *value, int attribute, int) {
    switch (attribute) {
    case 75: return give(value, 8);          // compute capability, major
    case 76: return give(value, 0);          // minor
    case 16: return give(value, 108);        // multiprocessors
    case 97: return give(value, 166912);     // shared memory a block may ask for
    default: return give(value, 40 << 20);   // second-level cache
    }
}
API int cuDevicePrimaryCtxRetain(void **context, int) { ++counts.contexts; return give(context, (void *)1); }
API int cuDevicePrimaryCtxRelease_v2(int) { --counts.contexts; return 0; }
API int cuCtxSetCurrent(void *) { return 0; }
API int cuStreamCreate(void **stream, unsigned) { return give(stream, (void *)2); }
API int cuStreamDestroy_v2(void *) { return 0; }
API int cuStreamSynchronize(void *) { return 0; }
API int cuGetErrorName(int error, const char **name) {
    return give(name, error == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : error == 209 ? "CUDA_ERROR_NO_BINARY_FOR_GPU" : "another error");
}
API int cuModuleLoadData(void **module, const void *) {
    const int answer = after(failures.load, failures.load_after);
    if (answer != 0) return answer;
    return give(module, (void *)++counts.modules_loaded);
}
API int cuModuleUnload(void *) { ++counts.modules_unloaded; return 0; }
API int cuModuleGetFunction(void **function, void *, const char *) { return give(function, (void *)++counts.functions); }
API int cuFuncSetAttribute(void *, int, int) { return 0; }
API int cuMemAlloc_v2(Count *address, size_t bytes) {
    static Count next = 1 << 20;
    const int answer = after(failures.malloc, failures.malloc_after);
    if (answer != 0) return answer;
    ++counts.blocks_taken;
    *address = next;
    next += (bytes + 511) / 512 * 512;
    return 0;
}
API int cuMemFree_v2(Count) { ++counts.blocks_given_back; return 0; }
API int cuMemsetD8Async(Count, unsigned char, size_t, void *) { return 0; }
API int cuMemcpyHtoDAsync_v2(Count, const void *, size_t, void *) { return 0; }
API int cuMemcpyDtoHAsync_v2(void *target, Count, size_t bytes, void *) { memset(target, 0, bytes); return 0; }
API int cuLaunchKernel(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **) {
    ++counts.launches;
    return 0;
}

API size_t cublasLtGetVersion() { return 130201; }
API int cublasLtCreate(void **handle) { return give(handle, (void *)3); }
API int cublasLtDestroy(void *) { return 0; }
API int cublasLtMatmulDescCreate(void **made, int, int) { return give(made, (void *)++counts.descriptors); }
API int cublasLtMatmulDescDestroy(void *) { --counts.descriptors; return 0; }
API int cublasLtMatmulDescSetAttribute(void *, int, const void *, size_t) { return 0; }
API int cublasLtMatrixLayoutCreate(void **made, int, unsigned long long, unsigned long long, long long) {
    return give(made, (void *)++counts.descriptors);
}
API int cublasLtMatrixLayoutDestroy(void *) { --counts.descriptors; return 0; }
API int cublasLtMatmulPreferenceCreate(void **made) { return give(made, (void *)++counts.descriptors); }
API int cublasLtMatmulPreferenceDestroy(void *) { --counts.descriptors; return 0; }
API int cublasLtMatmulPreferenceSetAttribute(void *, int, const void *, size_t) { return 0; }
API int cublasLtMatmulAlgoGetHeuristic(void *, void *, void *, void *, void *, void *, void *, int, void *found, int *count) {
    // An algorithm of 64 bytes, then sizes and a state of 0.
    memset(found, 0, 96);
    return give(count, 1);
}
API int cublasLtMatmul(void *, void *, const void *, const void *, void *, const void *, void *, const void *, const void *, void *,
                       void *, void *, const void *, void *, size_t, void *) {
    return 0;
}
