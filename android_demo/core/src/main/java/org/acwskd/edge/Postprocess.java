package org.acwskd.edge;

/** Logits (h, w, K) to a mask, to probabilities, and back onto the image. */
public final class Postprocess {
    private Postprocess() {
    }

    /** The class of the largest logit at every pixel of the grid; the lowest id on a tie. */
    public static byte[] argmax(float[] logits, int classes) {
        byte[] mask = new byte[logits.length / classes];
        for (int i = 0; i < mask.length; i++) {
            int best = 0;
            for (int k = 1; k < classes; k++) {
                if (logits[i * classes + k] > logits[i * classes + best]) {
                    best = k;
                }
            }
            mask[i] = (byte) best;
        }
        return mask;
    }

    /** Softmax in float32 after subtracting the largest logit, the same shape. Not calibrated. */
    public static float[] softmax(float[] logits, int classes) {
        float[] result = new float[logits.length];
        for (int start = 0; start < logits.length; start += classes) {
            float largest = logits[start];
            for (int k = 1; k < classes; k++) {
                largest = Math.max(largest, logits[start + k]);
            }
            float sum = 0;
            for (int k = 0; k < classes; k++) {
                result[start + k] = (float) Math.exp(logits[start + k] - largest);
                sum += result[start + k];
            }
            for (int k = 0; k < classes; k++) {
                result[start + k] /= sum;
            }
        }
        return result;
    }

    /** Mask on the grid (h, w) to mask on the image (height, width): nearest neighbour, the letterbox cut off. */
    public static byte[] toImage(byte[] mask, Contract contract, int height, int width) {
        Placement spot = new Placement(contract, height, width);
        int[] columns = new int[width];
        for (int x = 0; x < width; x++) {
            columns[x] = spot.left + nearest(x, spot.width, width);
        }
        byte[] result = new byte[height * width];
        for (int y = 0; y < height; y++) {
            int from = (spot.top + nearest(y, spot.height, height)) * contract.width;
            for (int x = 0; x < width; x++) {
                result[y * width + x] = mask[from + columns[x]];
            }
        }
        return result;
    }

    private static int nearest(int index, int source, int target) {
        return Math.min(source - 1, (int) Math.floor((index + 0.5) * ((double) source / target)));
    }

    /** (K, h, w) as in a golden vector to (h, w, K) as TFLite has it. */
    public static float[] channelsLast(float[] values, int classes) {
        int pixels = values.length / classes;
        float[] result = new float[values.length];
        for (int k = 0; k < classes; k++) {
            for (int i = 0; i < pixels; i++) {
                result[i * classes + k] = values[k * pixels + i];
            }
        }
        return result;
    }

    /** How many pixels each class has. */
    public static int[] areas(byte[] mask, int classes) {
        int[] counts = new int[classes];
        for (byte label : mask) {
            counts[label & 0xff]++;
        }
        return counts;
    }

    /**
     * For every class the mean probability of the pixels that were given to it, where the image lies; NaN where there
     * are none. Not calibrated.
     */
    public static double[] confidence(float[] logits, byte[] mask, Contract contract, int height, int width) {
        Placement spot = new Placement(contract, height, width);
        int classes = contract.classes();
        float[] probability = softmax(logits, classes);
        double[] sums = new double[classes];
        int[] counts = new int[classes];
        for (int y = spot.top; y < spot.top + spot.height; y++) {
            for (int x = spot.left; x < spot.left + spot.width; x++) {
                int i = y * contract.width + x;
                int label = mask[i] & 0xff;
                sums[label] += probability[i * classes + label];
                counts[label]++;
            }
        }
        for (int k = 0; k < classes; k++) {
            sums[k] /= counts[k]; // 0 / 0 is NaN
        }
        return sums;
    }
}
