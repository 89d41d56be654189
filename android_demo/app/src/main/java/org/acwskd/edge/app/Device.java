package org.acwskd.edge.app;

/** What can run a model on this phone. */
enum Device {
    CPU_1(R.string.device_cpu_1, 1, null, 0),
    CPU_2(R.string.device_cpu_2, 2, null, 0),
    CPU_4(R.string.device_cpu_4, 4, null, 0),
    GPU(R.string.device_gpu, 1, "org.tensorflow.lite.gpu.GpuDelegate", 0),
    NNAPI(R.string.device_nnapi, 1, "org.tensorflow.lite.nnapi.NnApiDelegate", 27); // Android 8.1

    final int title;
    final int threads;
    final String delegate; // its class, which an APK may lack; none: XNNPACK on the CPU
    final int leastSdk;

    Device(int title, int threads, String delegate, int leastSdk) {
        this.title = title;
        this.threads = threads;
        this.delegate = delegate;
        this.leastSdk = leastSdk;
    }

    /** Whether float32 is computed as float32. */
    boolean exact() {
        return delegate == null;
    }
}
