package org.acwskd.edge;

/** One image segmented, and how long each stage took. */
public final class Segmentation {
    public final byte[] mask; // (H, W) on the image's grid, label ids
    public final int[] areas; // pixels of the image, by label id
    public final double[] confidence; // mean probability by label id, not calibrated; NaN where a class is absent
    public final double preMs;
    public final double modelMs;
    public final double postMs;

    private Segmentation(byte[] mask, int[] areas, double[] confidence, double[] ms) {
        this.mask = mask;
        this.areas = areas;
        this.confidence = confidence;
        preMs = ms[0];
        modelMs = ms[1];
        postMs = ms[2];
    }

    /**
     * Image to mask.
     *
     * @throws EdgeException the image is not allowed, or the runtime failed
     */
    public static Segmentation run(Image image, Model model, Contract contract) throws EdgeException {
        long start = System.nanoTime();
        float[] input = Preprocess.normalise(Preprocess.toGrid(image, contract), contract);
        long fed = System.nanoTime();
        float[] logits = model.run(input);
        long done = System.nanoTime();
        byte[] grid = Postprocess.argmax(logits, contract.classes());
        byte[] mask = Postprocess.toImage(grid, contract, image.height, image.width);
        long end = System.nanoTime();
        double[] confidence = Postprocess.confidence(logits, grid, contract, image.height, image.width);
        double[] ms = {(fed - start) / 1e6, (done - fed) / 1e6, (end - done) / 1e6};
        return new Segmentation(mask, Postprocess.areas(mask, contract.classes()), confidence, ms);
    }
}
