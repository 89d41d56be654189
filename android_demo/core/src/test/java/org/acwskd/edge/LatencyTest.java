package org.acwskd.edge;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import org.junit.Test;

/** Median and p90 of the last timings. */
public class LatencyTest {
    @Test
    public void medianAndQuantilesAreNumpys() {
        Latency latency = new Latency();
        assertTrue(Double.isNaN(latency.quantile(0.5)));
        for (int i = 1; i <= 4; i++) {
            latency.add(i);
        }
        assertEquals(2.5, latency.quantile(0.5), 1e-12);
        assertEquals(3.7, latency.quantile(0.9), 1e-12);
        for (int i = 0; i < 300; i++) {
            latency.add(7);
        }
        assertEquals(200, latency.count());
        assertEquals(7, latency.quantile(0), 0);
    }
}
