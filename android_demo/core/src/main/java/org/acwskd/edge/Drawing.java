package org.acwskd.edge;

/** An image with a tint of the contract's colours over every class but background, row by row. */
public final class Drawing {
    public static final double OPACITY = 0.45;

    private final Image image;
    private final byte[] mask;
    private final Contract contract;
    private final double[] line;

    /** @param mask on the image's grid, label ids */
    public Drawing(Image image, byte[] mask, Contract contract) {
        this.image = image;
        this.mask = mask;
        this.contract = contract;
        line = new double[image.width * image.channels];
    }

    /** One row as opaque 0xFFRRGGBB; opacity of the tint 0 to 1. */
    public void row(int y, double opacity, int[] into) {
        image.row(y, line);
        for (int x = 0; x < image.width; x++) {
            int label = mask[y * image.width + x] & 0xff;
            int color = contract.labels.get(label).color;
            int argb = 0xff;
            for (int c = 0; c < 3; c++) {
                int shown = shown(line[image.channels == 1 ? x : 3 * x + c]);
                int tinted = mix(shown, color >> 16 - 8 * c & 0xff, opacity);
                argb = argb << 8 | (label == 0 ? shown : tinted);
            }
            into[x] = argb;
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
