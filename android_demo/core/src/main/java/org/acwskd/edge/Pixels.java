package org.acwskd.edge;

/** A decoded picture that lies elsewhere, for instance in an Android bitmap: 0xAARRGGBB, alpha not multiplied in. */
public interface Pixels {
    int width();

    int height();

    /** Copies a rectangle, row by row; `width` * `height` values from the start of `into`. */
    void read(int x, int y, int width, int height, int[] into);
}
