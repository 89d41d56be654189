package org.acwskd.edge;

/** (height, width, channels) numbers as the contract takes them; read by rows, so that no photo is copied whole. */
public abstract class Image {
    public final int height;
    public final int width;
    public final int channels;

    private Image(int height, int width, int channels) {
        this.height = height;
        this.width = width;
        this.channels = channels;
    }

    /** One row: width * channels values. */
    public abstract void row(int y, double[] into);

    /**
     * A scan's array, (H, W) or (H, W, C), its values as they are.
     *
     * @throws EdgeException empty, or another number of channels than the contract's
     */
    public static Image of(final Npy array, Contract contract) throws EdgeException {
        int sides = array.shape.length;
        int channels = sides == 3 ? array.shape[2] : 1;
        if (sides < 2 || sides > 3 || channels != contract.channels || array.size == 0) {
            throw new EdgeException("an image of " + sides + " dimensions, " + channels + " channel(s) and "
                    + array.size + " values; allowed: (height, width) with " + contract.channels + " channel(s)");
        }
        return new Image(array.shape[0], array.shape[1], channels) {
            @Override
            public void row(int y, double[] into) {
                int start = y * width * channels;
                for (int i = 0; i < width * channels; i++) {
                    into[i] = array.at(start + i);
                }
            }
        };
    }

    /** A picture of 8 bits; for a contract in HU it is taken as a screenshot of the window. Alpha is dropped. */
    public static Image of(final Upright picture, final Contract contract) {
        return new Image(picture.height, picture.width, contract.channels) {
            private final int[] line = new int[picture.width];

            @Override
            public void row(int y, double[] into) {
                picture.row(y, line);
                for (int x = 0; x < width; x++) {
                    int red = line[x] >> 16 & 0xff;
                    int green = line[x] >> 8 & 0xff;
                    int blue = line[x] & 0xff;
                    if (channels == 1) {
                        into[x] = value(luma(red, green, blue), contract);
                    } else {
                        into[3 * x] = value(red, contract);
                        into[3 * x + 1] = value(green, contract);
                        into[3 * x + 2] = value(blue, contract);
                    }
                }
            }
        };
    }

    /** BT.601 in whole numbers, so that every language agrees. */
    static int luma(int red, int green, int blue) {
        return 9798 * red + 19235 * green + 3735 * blue + 16384 >> 15;
    }

    private static double value(int level, Contract contract) {
        return contract.wide ? contract.low + level / 255.0 * (contract.high - contract.low) : level;
    }
}
