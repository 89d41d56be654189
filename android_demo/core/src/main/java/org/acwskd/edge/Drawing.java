package org.acwskd.edge;

/** An image with a tint of the contract's colours over every class but background, row by row. */
public final class Drawing {
    public static final double OPACITY = 0.45;

    private final Image image;
    private final byte[] mask;
    private final Contract contract;
    public final int height;
    public final int width;
    private final int step;
    private final double[] line;

    /**
     * @param mask on the image's grid, label ids
     * @param step draw every step-th pixel of every step-th row: 1 for all
     */
    public Drawing(Image image, byte[] mask, Contract contract, int step) {
        this.image = image;
        this.mask = mask;
        this.contract = contract;
        this.step = step;
        height = (image.height + step - 1) / step;
        width = (image.width + step - 1) / step;
        line = new double[image.width * image.channels];
    }

    /** One row as opaque 0xFFRRGGBB; opacity of the tint 0 to 1. */
    public void row(int y, double opacity, int[] into) {
        image.row(y * step, line);
        for (int column = 0; column < width; column++) {
            int x = column * step;
            int label = mask[y * step * image.width + x] & 0xff;
            int color = contract.labels.get(label).color;
            int argb = 0xff;
            for (int c = 0; c < 3; c++) {
                int shown = shown(line[image.channels == 1 ? x : 3 * x + c]);
                int tinted = mix(shown, color >> 16 - 8 * c & 0xff, opacity);
                argb = argb << 8 | (label == 0 ? shown : tinted);
            }
            into[column] = argb;
        }
    }

    private int shown(double value) {
        double part = (value - contract.low) / (contract.high - contract.low);
        return (int) Math.floor(Math.min(1, Math.max(0, part)) * 255 + 0.5);
    }

    private static int mix(int shown, int color, double opacity) {
        return (int) Math.floor((1 - opacity) * shown + opacity * color + 0.5);
    }
}
