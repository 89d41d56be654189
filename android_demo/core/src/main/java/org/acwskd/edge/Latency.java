package org.acwskd.edge;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The last timings of one stage, in milliseconds. */
public final class Latency {
    private static final int KEPT = 200;
    private final List<Double> samples = new ArrayList<Double>();

    public void add(double milliseconds) {
        if (samples.size() == KEPT) {
            samples.remove(0);
        }
        samples.add(milliseconds);
    }

    public int count() {
        return samples.size();
    }

    /** A quantile, 0 to 1, between the two nearest samples as numpy does; NaN without samples. */
    public double quantile(double part) {
        if (samples.isEmpty()) {
            return Double.NaN;
        }
        double[] sorted = new double[samples.size()];
        for (int i = 0; i < sorted.length; i++) {
            sorted[i] = samples.get(i);
        }
        Arrays.sort(sorted);
        double place = part * (sorted.length - 1);
        int below = (int) place;
        int above = Math.min(below + 1, sorted.length - 1);
        return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
    }
}
