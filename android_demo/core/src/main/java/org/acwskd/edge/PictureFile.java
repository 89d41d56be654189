package org.acwskd.edge;

/** What may be opened as a picture, before anything of it is decoded. */
public final class PictureFile {
    public static final int MOST_SIDE = 8192;
    public static final int MOST_PIXELS = 25000000; // 100 MB decoded; a phone's usual photo has 12 million
    public static final int HEADER = 26; // bytes that `checkHeader` needs of a PNG

    private PictureFile() {
    }

    /**
     * Looks at a file's first bytes.
     *
     * @return whether it is a PNG; else it is a JPEG
     * @throws EdgeException neither PNG nor JPEG, or a PNG of 16 bits per channel
     */
    public static boolean checkHeader(byte[] first, int count) throws EdgeException {
        boolean png = count >= HEADER && first[0] == (byte) 0x89 && first[1] == 'P' && first[2] == 'N'
                && first[3] == 'G';
        boolean jpeg = count >= 4 && first[0] == (byte) 0xff && first[1] == (byte) 0xd8;
        if (!png && !jpeg) {
            throw new EdgeException("not a picture that can be read; allowed: PNG or JPEG");
        }
        if (png && first[24] > 8) {
            throw new EdgeException(first[24] + " bits per channel; allowed: 8");
        }
        return png;
    }

    /** Refuses what would not fit into a phone's memory; a smaller copy would not be the same image. */
    public static void checkSize(int width, int height) throws EdgeException {
        if (width < 1 || height < 1 || Math.max(width, height) > MOST_SIDE || (long) width * height > MOST_PIXELS) {
            throw new EdgeException("a picture of " + width + " x " + height + " pixels; allowed: " + MOST_SIDE
                    + " a side, " + MOST_PIXELS / 1000000 + " million in all; cut a part out");
        }
    }
}
