package org.tensorflow.lite;

import java.nio.ByteBuffer;

/** The shape of LiteRT's class, for the compiler alone; see stubs/README.md. */
public final class Interpreter implements AutoCloseable {
    public Interpreter(ByteBuffer model, Options options) {
        throw new UnsupportedOperationException("stub");
    }

    public void run(Object input, Object output) {
        throw new UnsupportedOperationException("stub");
    }

    public int getInputTensorCount() {
        throw new UnsupportedOperationException("stub");
    }

    public int getOutputTensorCount() {
        throw new UnsupportedOperationException("stub");
    }

    public Tensor getInputTensor(int index) {
        throw new UnsupportedOperationException("stub");
    }

    public Tensor getOutputTensor(int index) {
        throw new UnsupportedOperationException("stub");
    }

    @Override
    public void close() {
        throw new UnsupportedOperationException("stub");
    }

    /** The shape of LiteRT's class, for the compiler alone. */
    public static class Options {
        public Options setNumThreads(int threads) {
            throw new UnsupportedOperationException("stub");
        }

        public Options setUseXNNPACK(boolean use) {
            throw new UnsupportedOperationException("stub");
        }

        public Options addDelegate(Delegate delegate) {
            throw new UnsupportedOperationException("stub");
        }
    }
}
