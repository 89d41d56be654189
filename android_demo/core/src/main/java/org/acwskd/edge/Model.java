package org.acwskd.edge;

/** A network on some runtime. */
public interface Model {
    /**
     * Runs it once.
     *
     * @param input normalised pixels (h, w, C)
     * @return logits (h, w, K)
     * @throws EdgeException the runtime failed
     */
    float[] run(float[] input) throws EdgeException;
}
