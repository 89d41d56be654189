package org.acwskd.edge;

import java.util.Arrays;

/** Image to pixels on the network's grid to network input: a port of acwskd_edge/preprocess.py. */
public final class Preprocess {
    private Preprocess() {
    }

    /**
     * Resizes one image onto the network's grid: triangle filter, antialiased, half-pixel centres, rounded half up.
     *
     * @return (h, w, C) in the contract's pixel type, which fits a short
     * @throws EdgeException NaN or infinite values
     */
    public static short[] toGrid(Image image, Contract contract) throws EdgeException {
        Placement spot = new Placement(contract, image.height, image.width);
        int channels = image.channels;
        Axis columns = new Axis(image.width, spot.width);
        Axis rows = new Axis(image.height, spot.height);
        double[] small = new double[spot.height * spot.width * channels];
        double[] row = new double[image.width * channels];
        double[] narrow = new double[spot.width * channels];
        for (int y = 0; y < image.height; y++) {
            image.row(y, row);
            checkFinite(row);
            columns.apply(row, channels, narrow);
            for (int i = rows.firstTarget(y); i < spot.height && rows.first[i] <= y; i++) {
                double weight = rows.weight(i, y);
                for (int x = 0; weight != 0 && x < narrow.length; x++) {
                    small[i * narrow.length + x] += weight * narrow[x];
                }
            }
        }
        return onGrid(small, spot, contract);
    }

    private static void checkFinite(double[] row) throws EdgeException {
        for (double value : row) {
            if (Double.isNaN(value) || Double.isInfinite(value)) {
                throw new EdgeException("the image has NaN or infinite values; allowed: finite ones");
            }
        }
    }

    private static short[] onGrid(double[] small, Placement spot, Contract contract) {
        int channels = contract.channels;
        short[] grid = new short[contract.pixels() * channels];
        Arrays.fill(grid, round(contract.low, contract));
        for (int y = 0; y < spot.height; y++) {
            int from = y * spot.width * channels;
            int to = ((spot.top + y) * contract.width + spot.left) * channels;
            for (int x = 0; x < spot.width * channels; x++) {
                grid[to + x] = round(small[from + x], contract);
            }
        }
        return grid;
    }

    /** The 1e-6 makes exact halves round up whatever the order of summation was. */
    private static short round(double value, Contract contract) {
        double least = contract.wide ? Short.MIN_VALUE : 0;
        double most = contract.wide ? Short.MAX_VALUE : 255;
        return (short) Math.min(most, Math.max(least, Math.floor(value + 0.5 + 1e-6)));
    }

    /** Pixels (h, w, C) to the network's input, the same shape: every operation in float32. */
    public static float[] normalise(short[] pixels, Contract contract) {
        float low = (float) contract.low;
        float high = (float) contract.high;
        float[] result = new float[pixels.length];
        for (int i = 0; i < pixels.length; i++) {
            int channel = i % contract.channels;
            float clipped = Math.min(high, Math.max(low, (float) pixels[i]));
            result[i] = (clipped - (float) contract.mean[channel]) / (float) contract.std[channel];
        }
        return result;
    }

    /** The triangle filter along one axis: for every target index the first source index that counts, and weights. */
    private static final class Axis {
        final int[] first;
        private final double[][] weights;

        Axis(int source, int target) {
            double ratio = (double) source / target;
            double support = Math.max(ratio, 1);
            first = new int[target];
            weights = new double[target][];
            for (int i = 0; i < target; i++) {
                double centre = (i + 0.5) * ratio - 0.5;
                first[i] = Math.max(0, (int) Math.ceil(centre - support));
                int last = Math.min(source - 1, (int) Math.floor(centre + support));
                double[] row = new double[last - first[i] + 1];
                double sum = 0;
                for (int j = 0; j < row.length; j++) {
                    row[j] = Math.max(0, 1 - Math.abs(first[i] + j - centre) / support);
                    sum += row[j];
                }
                for (int j = 0; j < row.length; j++) {
                    row[j] /= sum;
                }
                weights[i] = row;
            }
        }

        /** The first target index that a source index may count for. */
        int firstTarget(int source) {
            int low = 0;
            int high = first.length;
            while (low < high) {
                int middle = (low + high) / 2;
                if (first[middle] + weights[middle].length - 1 < source) {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            return low;
        }

        double weight(int target, int source) {
            int j = source - first[target];
            return j < weights[target].length ? weights[target][j] : 0;
        }

        void apply(double[] row, int channels, double[] into) {
            for (int i = 0; i < weights.length; i++) {
                for (int c = 0; c < channels; c++) {
                    double sum = 0;
                    for (int j = 0; j < weights[i].length; j++) {
                        sum += weights[i][j] * row[(first[i] + j) * channels + c];
                    }
                    into[i * channels + c] = sum;
                }
            }
        }
    }
}
