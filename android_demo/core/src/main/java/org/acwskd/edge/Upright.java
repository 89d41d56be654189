package org.acwskd.edge;

/** A picture turned and mirrored as its EXIF orientation says, read by rows; nothing is copied. */
public final class Upright {
    /** 5 to 8 swap rows and columns. */
    private static final int FIRST_TRANSPOSED = 5;

    public final int width;
    public final int height;
    private final Pixels pixels;
    private final int orientation;

    /** @param orientation EXIF's 1 to 8; everything else counts as 1 */
    public Upright(Pixels pixels, int orientation) {
        this.pixels = pixels;
        this.orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
        boolean transposed = this.orientation >= FIRST_TRANSPOSED;
        width = transposed ? pixels.height() : pixels.width();
        height = transposed ? pixels.width() : pixels.height();
    }

    /** One row of the upright picture. */
    public void row(int y, int[] into) {
        boolean fromEnd = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
        boolean reversed = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
        int line = fromEnd ? height - 1 - y : y;
        if (orientation < FIRST_TRANSPOSED) {
            pixels.read(0, line, width, 1, into);
        } else {
            pixels.read(line, 0, 1, width, into);
        }
        for (int left = 0, right = width - 1; reversed && left < right; left++, right--) {
            int kept = into[left];
            into[left] = into[right];
            into[right] = kept;
        }
    }
}
