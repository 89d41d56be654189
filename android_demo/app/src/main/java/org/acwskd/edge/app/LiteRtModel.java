package org.acwskd.edge.app;

import android.os.Build;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.acwskd.edge.Contract;
import org.acwskd.edge.EdgeException;
import org.acwskd.edge.Model;
import org.tensorflow.lite.DataType;
import org.tensorflow.lite.Delegate;
import org.tensorflow.lite.Interpreter;
import org.tensorflow.lite.Tensor;

/** A .tflite file on LiteRT's interpreter. A GPU's delegate wants one thread for its whole life. */
final class LiteRtModel implements Model, AutoCloseable {
    private static final int FLOAT = 4; // bytes
    private final Interpreter interpreter;
    private final Delegate delegate; // none on the CPU
    private final ByteBuffer input;
    private final ByteBuffer output;

    private LiteRtModel(Interpreter interpreter, Delegate delegate, Contract contract) {
        this.interpreter = interpreter;
        this.delegate = delegate;
        input = buffer(FLOAT * contract.pixels() * contract.channels);
        output = buffer(FLOAT * contract.pixels() * contract.classes());
    }

    /**
     * Loads a file.
     *
     * @throws EdgeException this device cannot run it, or the file does not fit the contract
     */
    static LiteRtModel open(byte[] file, Device device, Contract contract) throws EdgeException {
        Delegate delegate = null;
        Interpreter interpreter = null;
        LiteRtModel model = null;
        try {
            delegate = device.delegate == null ? null : delegate(device);
            Interpreter.Options options = new Interpreter.Options();
            options.setNumThreads(device.threads).setUseXNNPACK(delegate == null);
            if (delegate != null) {
                options.addDelegate(delegate);
            }
            ByteBuffer bytes = buffer(file.length);
            bytes.put(file).rewind();
            interpreter = new Interpreter(bytes, options);
            checkShapes(interpreter, contract);
            model = new LiteRtModel(interpreter, delegate, contract);
            return model;
        } catch (RuntimeException | LinkageError error) { // what LiteRT throws, and what an APK without it does
            throw new EdgeException("cannot run here: " + reason(error), error);
        } finally {
            if (model == null) {
                close(interpreter);
                close(delegate);
            }
        }
    }

    private static Delegate delegate(Device device) throws EdgeException {
        if (Build.VERSION.SDK_INT < device.leastSdk) {
            throw new EdgeException("cannot run here: needs Android API " + device.leastSdk);
        }
        try {
            return (Delegate) Class.forName(device.delegate).getConstructor().newInstance();
        } catch (ReflectiveOperationException error) {
            Throwable cause = error.getCause() == null ? error : error.getCause();
            throw new EdgeException("cannot run here: " + reason(cause), error);
        }
    }

    private static void checkShapes(Interpreter interpreter, Contract contract) throws EdgeException {
        int[] in = {1, contract.height, contract.width, contract.channels};
        int[] out = {1, contract.height, contract.width, contract.classes()};
        if (interpreter.getInputTensorCount() != 1 || interpreter.getOutputTensorCount() != 1
                || !fits(interpreter.getInputTensor(0), in) || !fits(interpreter.getOutputTensor(0), out)) {
            throw new EdgeException("the model does not fit the contract; needed: float32 " + Arrays.toString(in)
                    + " to " + Arrays.toString(out));
        }
    }

    private static boolean fits(Tensor tensor, int[] shape) {
        return tensor.dataType() == DataType.FLOAT32 && Arrays.equals(tensor.shape(), shape);
    }

    private static ByteBuffer buffer(int bytes) {
        return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
    }

    @Override
    public float[] run(float[] values) throws EdgeException {
        input.rewind();
        input.asFloatBuffer().put(values);
        output.rewind();
        try {
            interpreter.run(input, output);
        } catch (RuntimeException error) {
            throw new EdgeException("cannot run here: " + reason(error), error);
        }
        float[] logits = new float[output.capacity() / FLOAT];
        output.rewind();
        output.asFloatBuffer().get(logits);
        return logits;
    }

    private static String reason(Throwable error) {
        String message = error.getMessage();
        return error.getClass().getSimpleName() + (message == null ? "" : " (" + message.trim() + ")");
    }

    @Override
    public void close() {
        close(interpreter);
        close(delegate);
    }

    private static void close(AutoCloseable resource) {
        try {
            if (resource != null) {
                resource.close();
            }
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }
}
