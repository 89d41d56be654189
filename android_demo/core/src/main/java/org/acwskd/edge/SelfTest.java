package org.acwskd.edge;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** Proves a bundle on the device it lies on; preprocessing apart from runtimes, so that a failure says which. */
public final class SelfTest {
    static final double FP32_LOGIT_ERROR = 1e-3; // an fp32 artefact is the checkpoint in another file format
    static final double AGREEMENT_SLACK = 0.005; // other machines round otherwise: a tie may fall to the other side

    private SelfTest() {
    }

    /** The verdict on one thing. */
    public static final class Check {
        public final boolean passed;
        public final String detail;

        public Check(boolean passed, String detail) {
            this.passed = passed;
            this.detail = detail;
        }
    }

    /** Image to pixels must be exact, and so must logits to mask. */
    public static Check preprocessing(List<Bundle.Golden> golden, Contract contract) throws EdgeException {
        List<String> wrong = new ArrayList<String>();
        for (Bundle.Golden one : golden) {
            if (!Arrays.equals(Preprocess.toGrid(one.image, contract), one.pixels)) {
                wrong.add(one.name + " (pixels)");
            }
            byte[] grid = Postprocess.argmax(one.logits, contract.classes());
            byte[] mask = Postprocess.toImage(grid, contract, one.image.height, one.image.width);
            if (!Arrays.equals(mask, one.mask)) {
                wrong.add(one.name + " (mask)");
            }
        }
        if (golden.isEmpty()) {
            return new Check(false, "no golden vectors in the bundle");
        }
        return new Check(wrong.isEmpty(), wrong.isEmpty() ? golden.size() + " golden vectors, exact"
                : "preprocessing differs: " + wrong);
    }

    /**
     * The network on the golden pixels must agree as well as it did when it was made.
     *
     * @param exact whether fp32 means float32 arithmetic here, as on a CPU; GPUs and NPUs compute in fewer bits
     */
    public static Check model(List<Bundle.Golden> golden, Contract contract, Bundle.Artefact artefact, Model model,
            boolean exact) throws EdgeException {
        long equal = 0;
        long pixels = 0;
        double error = 0;
        for (Bundle.Golden one : golden) {
            float[] logits = model.run(Preprocess.normalise(one.pixels, contract));
            if (logits.length != one.logits.length) {
                return new Check(false, logits.length + " logits; needed " + one.logits.length);
            }
            for (int i = 0; i < logits.length; i++) {
                error = Math.max(error, Math.abs((double) logits[i] - one.logits[i])); // NaN stays NaN
            }
            byte[] found = Postprocess.argmax(logits, contract.classes());
            byte[] wanted = Postprocess.argmax(one.logits, contract.classes());
            for (int i = 0; i < found.length; i++) {
                equal += found[i] == wanted[i] ? 1 : 0;
            }
            pixels += found.length;
        }
        double agreement = (double) equal / pixels;
        double needed = Math.max(0, artefact.agreement - AGREEMENT_SLACK);
        boolean bounded = artefact.precision.equals("fp32") && exact ? error <= FP32_LOGIT_ERROR : !Double.isNaN(error);
        boolean passed = agreement >= needed && bounded;
        return new Check(passed, (passed ? "" : "runtime differs: ") + String.format(Locale.ROOT,
                "argmax agreement %.5f (needed %.5f), logit error %.1e", agreement, needed, error));
    }
}
